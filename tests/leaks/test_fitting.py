"""Other rows beyond training's reach: what divides the rows is no leak, what is learned from them is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from hybrid_trainer import prepare
from hybrid_trainer.data.vocabulary import Vocabulary
from hybrid_trainer.leaks.finding import Subject
from hybrid_trainer.leaks.fitting import fitted_on_training
from hybrid_trainer.train import load
from tests.conftest import make_config

SEQUENCES, LENGTH = 24, 30
SPLITS = {
    "shuffled": ["data.independent_sequences=true"],
    "file": ["data.independent_sequences=true", "data.split.order=file"],
    "walk_forward": ["data.independent_sequences=true", "data.split.kind=walk_forward", "data.split.folds=2"],
    "column": ["data.independent_sequences=true", "data.split.kind=column", "data.split.column=part"],
}


def subject(path: Path, *overrides: str, labelled: int = SEQUENCES) -> Subject:
    """Sequences of numbers, a category and an event; only the first `labelled` of them have events."""
    generator = np.random.default_rng(0)
    rows = SEQUENCES * LENGTH
    whose = np.repeat(np.arange(SEQUENCES), LENGTH)
    frame = pl.DataFrame(
        {
            "time": np.tile(np.arange(LENGTH), SEQUENCES),
            "who": [f"s{code:02}" for code in whose],
            "a": generator.normal(size=rows),
            "site": generator.choice(["x", "y"], rows),
            "event": pl.Series(np.where(whose < labelled, generator.choice(["no", "yes"], rows), "")).replace("", None),
            "part": np.array(["train", "train", "valid", "test"])[whose % 4],
        }
    )
    frame.write_csv(path / "t.csv")
    config = make_config(
        "data=csv", f"data.path={path / 't.csv'}", "data.timestamp=time", "data.instrument=who", "data.features=[a]",
        "data.categories=[site]", "data.targets.event={column: event, kind: classification}", "model.heads=[event]",
        "model=linear", "model.time_window=4", *overrides,
    )  # fmt: skip
    return Subject(config=config, data=prepare.dataset(config, load(config), torch.device("cpu")), samples=3, seed=0)


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_by_names_or_by_a_column_stays_as_it_was(split: str, tmp_path: Path) -> None:
    finding = fitted_on_training(subject(tmp_path, *SPLITS[split]))
    assert finding.failures == []
    assert finding.warnings == []


@pytest.mark.parametrize("split", SPLITS)
def test_a_vocabulary_of_all_rows_is_found(split: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_all_rows(codes: np.ndarray, categories: tuple[str, ...]) -> Vocabulary:  # type: ignore[type-arg]
        return Vocabulary(tuple(sorted(categories)))

    monkeypatch.setattr(Vocabulary, "fit", of_all_rows)
    failures = fitted_on_training(subject(tmp_path, *SPLITS[split])).failures
    assert any("the vocabulary of 'site'" in failure for failure in failures)


def test_what_a_mean_over_the_market_reads_of_others_is_within_training_s_reach(tmp_path: Path) -> None:
    market = "data.expressions.market=col('a').diff().market_mean()"
    given = subject(tmp_path, market, labelled=SEQUENCES // 2)
    assert "market" in given.data.panel.feature_names
    finding = fitted_on_training(given)
    assert (finding.failures, finding.warnings) == ([], [])
