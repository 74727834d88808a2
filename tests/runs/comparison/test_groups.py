"""Configurations: means, sample deviations and ranks, by hand and beside scipy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from hybrid_trainer.runs.comparison.groups import _ranks, grouped, ranked
from hybrid_trainer.runs.comparison.run import Run
from tests.runs.comparison.records import run

ASIDE = ["seed", "data.split.fold"]


def trial(units: int, seed: int, loss: float, status: str = "complete", fold: int = 0) -> Run:
    name = f"{units}-{seed}-{fold}"
    return run(name, status, {"valid/loss": loss}, model__units=units, seed=seed, data__split__fold=fold)


def test_a_configurations_mean_and_sample_deviation() -> None:
    rows = grouped([trial(8, 0, 1.0), trial(64, 0, 5.0), trial(8, 1, 2.0), trial(8, 2, 6.0)], ASIDE)
    assert [row.name for row in rows] == ["8-0-0 +2", "64-0-0"]
    assert rows[0].metrics == {"valid/loss": 3.0} and rows[0].count == {"valid/loss": 3}
    assert rows[0].spread["valid/loss"] == pytest.approx(7**0.5)  # (4 + 1 + 9) / 2
    assert rows[1].spread == {} and rows[1].count == {"valid/loss": 1}
    assert (rows[0].status, rows[1].status) == ("3 complete", "complete")


def test_one_seed_run_twice_is_one_value() -> None:
    (row,) = grouped([trial(8, 0, 1.0), trial(8, 0, 3.0), trial(8, 1, 4.0)], ASIDE)
    assert row.metrics == {"valid/loss": 3.0} and row.count == {"valid/loss": 2}
    assert row.spread["valid/loss"] == pytest.approx(2**0.5)


def test_only_complete_runs_count_and_the_others_are_told() -> None:
    pruned = trial(8, 1, 100.0, "pruned")
    (row,) = grouped([trial(8, 0, 1.0), pruned], ASIDE)
    assert (row.metrics, row.status) == ({"valid/loss": 1.0}, "1 complete, 1 pruned")


def test_a_run_without_a_config_stands_alone() -> None:
    damaged = [run(name, "damaged") for name in "ab"]
    assert [row.name for row in grouped([trial(8, 0, 1.0), *damaged], ASIDE)] == ["8-0-0", "a", "b"]


def test_mean_ranks_over_the_cells_that_most_configurations_have() -> None:
    runs = [
        *(trial(8, 0, 1.0), trial(8, 1, 3.0)),
        *(trial(16, 0, 2.0), trial(16, 1, 2.0)),
        *(trial(32, 0, 2.0), trial(32, 1, 1.0), trial(32, 2, 0.0)),
        trial(64, 0, 0.0),
    ]
    rows = ranked(grouped(runs, ASIDE), "valid/loss", ASIDE)
    # seed 0: 1, 2.5, 2.5; seed 1: 3, 2, 1; the last configuration lacks seed 1
    assert [row.rank for row in rows] == [2.0, 2.25, 1.75, None]


def test_larger_is_better_ranks_the_other_way() -> None:
    runs = [run(name, metrics={"valid/x/r2": value}, units=value) for name, value in (("a", 0.1), ("b", 0.9))]
    assert [row.rank for row in ranked(grouped(runs, ["seed"]), "valid/x/r2", ["seed"])] == [2.0, 1.0]


@given(st.lists(st.integers(0, 5).map(float), max_size=20))
def test_ranks_are_scipys(values: list[float]) -> None:
    assert _ranks(values) == list(rankdata(values))
