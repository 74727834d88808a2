"""Which metrics and points of a history a page has room for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.runs.page import curves
from hybrid_trainer.runs.page.curves import curves_data, thinned
from hybrid_trainer.runs.page.history import read_history
from tests.runs.page.made import write_history


def test_a_history_is_read_up_to_the_first_line_that_is_no_row(tmp_path: Path) -> None:
    good = json.dumps({"epoch": 1, "valid/loss": 0.5, "note": "no number", "lr": None})
    for rest in ('{"epoch": 2, "valid', "[1]", '{"valid/loss": 1}', '{"epoch": "2"}'):
        (tmp_path / "history.jsonl").write_text(f"{good}\n{rest}\n{good}\n", encoding="utf-8")
        assert read_history(tmp_path) == [{"epoch": 1, "valid/loss": 0.5, "lr": None}]
    assert read_history(tmp_path / "nowhere") == []


def test_a_run_without_history_has_no_curves(tmp_path: Path) -> None:
    write_history(tmp_path / "b", [{"epoch": 1, "valid/loss": 0.5}, {"epoch": 2, "valid/loss": 0.25, "lr": 0.1}])
    assert curves_data([[tmp_path / "a"], [tmp_path / "b"]], []) == {
        "metrics": ["valid/loss", "lr"],
        "runs": {1: {"epoch": [1, 2], "of": {0: [0.5, 0.25], 1: [None, 0.1]}}},
    }


def test_where_room_is_short_the_best_keep_all_metrics_and_the_others_the_telling_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curves, "DETAILED", 1)
    monkeypatch.setattr(curves, "ROOM", 24)  # 12 numbers for the best one, 6 for each of the two others
    row = {"train/loss": 1.0, "valid/loss": 2.0, "valid/a/r2": 3.0, "valid/b/r2": 4.0}
    for name in "abc":
        write_history(tmp_path / name, [{"epoch": epoch} | row for epoch in (1, 2, 3)])
    data = curves_data([[tmp_path / name] for name in "abc"], ["valid/b/r2", "test/b/r2"])
    assert data["metrics"] == ["valid/b/r2", "valid/loss", "train/loss", "valid/a/r2"]
    assert data["runs"][0] == {"epoch": [1, 2, 3], "of": {0: [4.0] * 3, 1: [2.0] * 3, 2: [1.0] * 3, 3: [3.0] * 3}}
    assert data["runs"][1] == data["runs"][2] == {"epoch": [1, 3], "of": {0: [4.0] * 2, 1: [2.0] * 2, 2: [1.0] * 2}}


def test_thinned_by_hand() -> None:
    assert list(thinned(11, 3)) == [0, 5, 10]
    assert list(thinned(3, 200)) == [0, 1, 2]
    assert list(thinned(1, 0)) == [0]
    assert list(thinned(9, 0)) == [0, 8]


@given(count=st.integers(1, 5000), most=st.integers(0, 300))
def test_thinned_keeps_the_ends_and_order_and_never_more_than_asked(count: int, most: int) -> None:
    kept = list(thinned(count, most))
    assert kept == sorted(set(kept))
    assert len(kept) <= max(most, 2)
    assert {kept[0], kept[-1]} == {0, count - 1}
