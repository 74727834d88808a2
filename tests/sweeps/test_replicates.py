"""`seeds=` and `folds=`: what is taken out of a command line, and what becomes of it."""

from __future__ import annotations

from math import comb

import pytest

from hybrid_trainer.config.split import SplitConfig
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.sweeps.replicates import Replicates, dimensions, folds_of, repetitions, take


def test_they_are_taken_out_of_the_line() -> None:
    assert take(["seeds=5", "model.lstm_units=8,16", "folds=all"]) == (
        ["model.lstm_units=8,16"],
        Replicates(5, folds=True),
    )
    words, none = take(["seed=3", "data.split.fold=range(3)"])
    assert words == ["seed=3", "data.split.fold=range(3)"] and not none


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["seeds=0"], "seeds: '0' is not a number of seeds; write seeds=5"),
        (["seeds=1,2"], "seeds: '1,2' is not a number of seeds"),
        (["folds=3"], "folds: '3' is not 'all'"),
        (["seeds=2", "seed=1,2"], "seeds: seed has several values already"),
        (["folds=all", "data.split.fold=range(2)"], "folds: data.split.fold has several values already"),
    ],
)
def test_a_wrong_one_is_told(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match="^" + said.replace("(", r"\(")):
        take(words)


def test_seeds_begin_at_the_configs_own_and_folds_are_the_splits() -> None:
    walk = SplitConfig(kind="walk_forward", folds=3)
    values = Replicates(2, folds=True).values(7, [walk, walk])
    assert values == {"seed": [7, 8], "data.split.fold": [0, 1, 2]}
    assert dimensions(values) == ["seed=7,8", "data.split.fold=0,1,2"]
    assert repetitions(values)[:2] == [["seed=7", "data.split.fold=0"], ["seed=7", "data.split.fold=1"]]
    assert len(repetitions(values)) == 6
    assert folds_of(SplitConfig(kind="cpcv", groups=6, test_groups=2)) == comb(6, 2)


def test_a_split_without_folds_or_jobs_with_different_ones_are_told() -> None:
    with pytest.raises(ConfigError, match=r"^folds: data.split.kind=chronological has no folds"):
        Replicates(folds=True).values(0, [SplitConfig()])
    splits = [SplitConfig(kind="walk_forward", folds=count) for count in (3, 4)]
    with pytest.raises(ConfigError, match=r"different numbers of folds \(\[3, 4\]\)"):
        Replicates(folds=True).values(0, splits)
    with pytest.raises(ConfigError, match=r"^seeds: 2 seeds from 4294967295 on"):
        Replicates(2).values(2**32 - 1, [])
