"""Differences on the same test rows: what they are, when they are noise, and when there is none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score, matthews_corrcoef, r2_score

from hybrid_trainer.runs.comparison.groups import grouped
from hybrid_trainer.runs.comparison.intervals import Difference, differences
from hybrid_trainer.runs.comparison.rows import Row, row_of
from hybrid_trainer.types import TargetSpec
from tests.runs.comparison.records import run

T, INSTRUMENTS = 80, ("A", "B")
CLASS = TargetSpec(name="signal", kind="classification", dim=3, horizon=5, labels=("down", "flat", "up"))
NUMBER = TargetSpec(name="size", kind="regression", dim=1, horizon=2, labels=("size",))
LABELS = np.random.default_rng(0).integers(0, 3, size=T * len(INSTRUMENTS))
SIZES = np.random.default_rng(1).normal(size=T * len(INSTRUMENTS))


def frame(seed: int, skill: float) -> pl.DataFrame:
    """Test rows as a run keeps them; `skill` is how much the predictions know."""
    generator = np.random.default_rng(seed)
    chances: NDArray[np.float64] = generator.random((len(LABELS), 3)) + skill * np.eye(3)[LABELS]
    told = SIZES * skill + generator.normal(size=len(SIZES)) * (1 - skill)
    day = np.datetime64("2020-01-01", "ns") + np.repeat(np.arange(T), len(INSTRUMENTS)) * np.timedelta64(1, "D")
    columns = {
        "timestamp": day,
        "instrument": INSTRUMENTS * T,
        "signal_probs": chances.tolist(),
        "signal_label": [CLASS.labels[label] for label in LABELS],
        "size_pred": told[:, None].tolist(),
        "size_label": SIZES[:, None].tolist(),
    }
    return pl.DataFrame(columns)


def row(
    path: Path, rows: pl.DataFrame, specs: Sequence[TargetSpec] = (CLASS, NUMBER), window: int = 4, **config: Any
) -> Row:
    """A complete run that keeps these test rows."""
    (path / "report").mkdir(parents=True)
    (path / "model").mkdir()
    rows.write_parquet(path / "report" / "predictions.parquet")
    said = {"specs": [asdict(spec) for spec in specs], "time_window": window}
    (path / "model" / "schema.json").write_text(json.dumps(said))
    return row_of(run(str(path), **config))


def only(rows: Row, reference: Row, *asked: str) -> dict[str, Difference]:
    return differences([rows], reference, asked)[rows.name]


def macro_f1(rows: pl.DataFrame) -> float:
    told = np.array(rows["signal_probs"].to_list()).argmax(axis=1)
    true = [CLASS.labels.index(label) for label in rows["signal_label"]]
    return float(f1_score(true, told, average="macro"))


def r2(rows: pl.DataFrame) -> float:
    return float(r2_score(np.array(rows["size_label"].to_list()), np.array(rows["size_pred"].to_list())))


def test_each_tasks_main_metric_is_compared_and_luck_is_told_from_skill(tmp_path: Path) -> None:
    best, same, worse = frame(0, 0.6), frame(1, 0.6), frame(2, 0.0)
    reference = row(tmp_path / "best", best)
    rows = [row(tmp_path / "same", same), row(tmp_path / "worse", worse), reference]
    found = differences(rows, reference)
    assert list(found) == [str(tmp_path / "same"), str(tmp_path / "worse")]
    for path, other in ((tmp_path / "same", same), (tmp_path / "worse", worse)):
        signal, size = found[str(path)]["signal"], found[str(path)]["size"]
        assert (signal.metric, size.metric) == ("test/signal/macro_f1", "test/size/r2")
        assert signal.value == pytest.approx(macro_f1(other) - macro_f1(best))
        assert size.value == pytest.approx(r2(other) - r2(best))
        assert signal.low < signal.value < signal.high and (signal.length, signal.times) == (5, T)
        assert size.length == 4  # the window reaches further than the label
        assert signal.noise == (path.name == "same")
    assert not found[str(tmp_path / "worse")]["size"].noise


def test_a_metric_that_was_asked_for_takes_the_main_ones_place(tmp_path: Path) -> None:
    rows = row(tmp_path / "a", frame(1, 0.2))
    found = only(rows, row(tmp_path / "b", frame(2, 0.2)), "test/signal/mcc", "valid/loss")
    true = LABELS.tolist()
    mcc = [matthews_corrcoef(true, np.array(frame(n, 0.2)["signal_probs"].to_list()).argmax(axis=1)) for n in (1, 2)]
    assert found["signal"].metric == "test/signal/mcc"
    assert found["signal"].value == pytest.approx(mcc[0] - mcc[1])
    assert found["size"].metric == "test/size/r2"


def test_the_same_predictions_differ_by_nothing_in_any_resample(tmp_path: Path) -> None:
    found = only(row(tmp_path / "a", frame(1, 0.2)), row(tmp_path / "b", frame(1, 0.2)))
    assert [(one.value, one.low, one.high) for one in found.values()] == [(0, 0, 0)] * 2


def test_rows_are_matched_by_instrument_and_time(tmp_path: Path) -> None:
    """The one has lost some rows, and the other one's are in another order and partly without a label."""
    ours, theirs = frame(1, 0.2), frame(2, 0.2)
    cut = ours.filter(pl.col("timestamp") >= pl.datetime(2020, 1, 11))
    null = pl.when(pl.col("timestamp") < pl.datetime(2020, 3, 1)).then("signal_label").alias("signal_label")
    other = theirs.with_columns(null).sort("instrument", "timestamp")
    found = only(row(tmp_path / "a", cut), row(tmp_path / "b", other))["signal"]
    common = pl.col("timestamp").is_between(pl.datetime(2020, 1, 11), pl.datetime(2020, 2, 29))
    assert found.value == pytest.approx(macro_f1(ours.filter(common)) - macro_f1(theirs.filter(common)))
    assert found.times == 50


def test_a_configurations_seeds_are_resampled_jointly_and_averaged(tmp_path: Path) -> None:
    runs = [row(tmp_path / f"{skill}-{seed}", frame(seed, skill), seed=seed, skill=skill).runs[0]
            for skill in (0.0, 0.5) for seed in (0, 1, 2)]  # fmt: skip
    worse, best = grouped(runs, ["seed"])
    found = differences([worse], best)[worse.name]["signal"]
    means = [np.mean([macro_f1(frame(seed, skill)) for seed in (0, 1, 2)]) for skill in (0.0, 0.5)]
    assert found.value == pytest.approx(means[0] - means[1])
    alone = only(row_of(runs[0]), row_of(runs[3]))["signal"]
    assert found.high - found.low < alone.high - alone.low  # a mean varies less


def test_folds_are_resampled_each_by_itself_and_those_of_both_count(tmp_path: Path) -> None:
    early, late = pl.col("timestamp") < pl.datetime(2020, 2, 1), pl.col("timestamp") >= pl.datetime(2020, 2, 1)
    made = []
    for name, number in (("a", 1), ("b", 2)):
        for fold, part in enumerate((early, late) if name == "a" else (early,)):
            config = {"data__split__fold": fold, "model__name": name}
            made.append(row(tmp_path / f"{name}{fold}", frame(number, 0.3).filter(part), **config).runs[0])
    ours, theirs = grouped(made, ["data.split.fold"])
    found = differences([ours], theirs)[ours.name]["signal"]
    assert found.value == pytest.approx(macro_f1(frame(1, 0.3).filter(early)) - macro_f1(frame(2, 0.3).filter(early)))
    assert found.times == 31


def test_what_cannot_be_compared_is_told(tmp_path: Path) -> None:
    reference = row(tmp_path / "best", frame(0, 0.5))
    other_labels = frame(1, 0.5).with_columns(pl.col("signal_label").reverse())
    later = frame(1, 0.5).with_columns((pl.col("timestamp") + pl.duration(days=1000)).cast(pl.Datetime("ns")))
    number = frame(1, 0.5).with_columns(pl.col("timestamp").to_physical())
    renamed = replace(CLASS, labels=("down", "up", "flat"))
    cases = {
        "labels": (row(tmp_path / "labels", other_labels), "the labels differ"),
        "classes": (row(tmp_path / "classes", frame(1, 0.5), (renamed, NUMBER)), "the labels differ"),
        "later": (row(tmp_path / "later", later), "no test row in common"),
        "clock": (row(tmp_path / "clock", number), "the clocks differ"),
        "task": (row(tmp_path / "task", frame(1, 0.5), (NUMBER,)), "another task"),
        "fold": (row(tmp_path / "fold", frame(1, 0.5), data__split__fold=1), "no fold in common"),
    }
    for rows, why in cases.values():
        found = only(rows, reference)["signal"]
        assert found.why_not.startswith(why)


@pytest.mark.parametrize("file", ["report/predictions.parquet", "model/schema.json"])
@pytest.mark.parametrize(
    "content", [None, b"", b"PAR1 nothing", b'{"specs": [{"name": "x"}], "time_window": 4}', b"[]"]
)
def test_files_that_cannot_be_read_are_told_and_never_fatal(tmp_path: Path, file: str, content: bytes | None) -> None:
    reference, rows = row(tmp_path / "best", frame(0, 0.5)), row(tmp_path / "bad", frame(1, 0.5))
    path = tmp_path / "bad" / file
    path.unlink() if content is None else path.write_bytes(content)
    for found in (only(rows, reference), differences([reference], rows)[reference.name]):
        assert list(found) == [""] and str(tmp_path / "bad") in found[""].why_not and "\n" not in found[""].why_not
