"""Whole runs under each kind of split: what the report says of them, and that the saved model keeps to the gaps."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from hybrid_trainer.errors import TableError
from hybrid_trainer.inference.bundle import load_bundle
from hybrid_trainer.train import train
from tests.conftest import make_config, price_frame
from tests.engine.helpers import TINY_RUN
from tests.test_command_line import cli

QUICK = [*TINY_RUN, "training.epochs=1", "callbacks.tensorboard.enabled=false"]
OWN = ["data.features=[x]", "data.targets.own={column: own, kind: classification}", "model.heads=[own]"]


def run(folder: Path, frame: pl.DataFrame, *overrides: str) -> tuple[Path, dict[str, Any]]:
    """Run on a table; returns the run directory and its split report."""
    frame.write_csv(folder / "table.csv")
    given = [*QUICK, f"data.path={folder / 'table.csv'}", f"paths.root={folder}", *overrides]
    train(make_config(*given), folder / "run", given)
    assert json.loads((folder / "run" / "run.json").read_text())["status"] == "complete"
    assert (folder / "run" / "report" / "split.png").read_bytes().startswith(b"\x89PNG")
    return folder / "run", json.loads((folder / "run" / "split_report.json").read_text())


def sequences(count: int, length: int) -> pl.DataFrame:
    """Gestures of one label each, which stands in the last row."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, count)
    return pl.DataFrame(
        {
            "timestamp": np.tile(np.arange(length), count),
            "instrument": np.repeat([f"g{number:03}" for number in range(count)], length),
            "x": generator.normal(size=count * length) + np.repeat(labels, length),
            "own": [
                None if row % length < length - 1 else f"c{labels[row // length]}" for row in range(count * length)
            ],
        }
    )


def test_combinations_purge_training_on_both_sides_of_a_test_block(tmp_path: Path) -> None:
    _, said = run(tmp_path, price_frame(300), "data.split.kind=cpcv", "data.split.fold=6", "data.split.embargo=3")
    assert (said["kind"], said["fold"], said["folds"], said["tested_groups"]) == ("cpcv", 6, 15, [1, 3])
    # days 60 to 299 in groups of 36 or so (warm-up and a window are gone): two borders each, labels of 5 bars
    train_part = said["parts"]["train"]
    assert train_part["purged"] == 2 * (5 * 5 + 0)
    assert train_part["embargoed"] == 2 * (5 * 3)
    assert len(said["paths"]) == 5


def test_a_column_of_the_file_says_the_parts_and_a_file_to_predict_does_not_need_it(tmp_path: Path) -> None:
    frame = price_frame(200)
    parts = ["train"] * 120 + ["valid"] * 30 + ["later"] * 10 + ["test"] * 40
    directory, said = run(
        tmp_path,
        frame.with_columns(pl.Series("part", parts * 2)),
        *("data.split.kind=column", "data.split.column=part"),
    )
    assert said["unused_values"] == {"later": 20}
    assert said["parts"]["train"]["purged"] == 2 * 5
    assert said["parts"]["valid"]["rows"] == 2 * 30
    assert said["rows_in_no_part"] == 20
    frame.write_csv(tmp_path / "fresh.csv")
    assert len(load_bundle(directory / "model").predict_file(tmp_path / "fresh.csv")) > 200


def test_sequences_with_one_labelled_row_each_are_divided_whole(tmp_path: Path) -> None:
    _, said = run(tmp_path, sequences(60, 12), *OWN, "data.independent_sequences=true")
    assert said["independent_sequences"] is True
    assert {part: entry["rows"] for part, entry in said["parts"].items()} == {"train": 42, "valid": 9, "test": 9}
    named = [name for entry in said["parts"].values() for name in entry["instruments"]]
    assert len(named) == len(set(named)) == 60
    assert said["segments"] == {
        "gaps": 0,
        "count": 60,
        "too_short": 0,
        "rows_lost": 0,
        "stretches": 60,
        "stretches_without_a_window": 0,
    }


def test_sequences_that_are_not_said_to_be_independent_are_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"data\.split: 1 different times with a decidable row are too few"):
        run(tmp_path, sequences(60, 12), *OWN)


def test_windows_labels_and_predictions_end_at_a_gap(tmp_path: Path) -> None:
    frame = price_frame(260, instruments=("A",))
    days = (np.datetime64("2020-01-01") + np.arange(260)).astype("datetime64[D]")
    days[130:] += 60
    frame = frame.with_columns(pl.Series("timestamp", [str(day) for day in days]))
    # features of 61 rows warm up, windows have 8 rows: 68 rows behind the gap are the first to be decided
    directory, said = run(tmp_path, frame)
    assert said["segments"]["gaps"] == 1
    assert said["segments"]["stretches"] == 2
    log = (directory / "train.log").read_text()
    assert "1 gap(s) (data.max_gap=auto)" in log
    assert "'A' has no row between 2020-05-09 and 2020-07-09" in log
    predicted = load_bundle(directory / "model").predict_file(tmp_path / "table.csv")["timestamp"].dt.date()
    expected = [*days[67:130].tolist(), *days[130 + 67 :].tolist()]
    assert predicted.to_list() == expected


def test_without_a_largest_gap_windows_go_on(tmp_path: Path) -> None:
    frame = price_frame(260, instruments=("A",))
    days = (np.datetime64("2020-01-01") + np.arange(260)).astype("datetime64[D]")
    days[130:] += 60
    frame = frame.with_columns(pl.Series("timestamp", [str(day) for day in days]))
    directory, said = run(tmp_path, frame, "data.max_gap=null")
    assert said["segments"]["gaps"] == 0
    assert len(load_bundle(directory / "model").predict_file(tmp_path / "table.csv")) == 260 - 67


@pytest.mark.slow
def test_a_range_of_folds_cross_validates(tmp_path: Path) -> None:
    price_frame(300).write_csv(tmp_path / "table.csv")
    done = cli(
        tmp_path,
        *QUICK,
        "--multirun",
        "data.path=table.csv",
        "data.split.kind=walk_forward",
        "data.split.folds=3",
        "folds=all",
    )
    assert (done.returncode, done.stderr) == (0, "")
    reports = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("multirun/*/*/*/split_report.json"))]
    assert [said["fold"] for said in reports] == [0, 1, 2]
    for earlier, later in pairwise(reports):
        assert earlier["parts"]["test"]["last"] < later["parts"]["test"]["first"]
        assert earlier["parts"]["train"]["rows"] < later["parts"]["train"]["rows"]
