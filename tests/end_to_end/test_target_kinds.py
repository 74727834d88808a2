"""Every kind of target goes through a whole run: labels, training, report, saved model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hybrid_trainer.inference.bundle import load_bundle
from hybrid_trainer.train import train
from hybrid_trainer.types import METRICS
from tests.conftest import make_config, price_frame
from tests.engine.helpers import TINY_RUN

OVERRIDES = [
    *TINY_RUN,
    "training.epochs=1",
    "training.class_weights=capped",
    "callbacks.tensorboard.enabled=false",
    "callbacks.progress.enabled=false",
    "callbacks.checkpoint.monitor=valid/load/mse",
    "data.targets.signal={horizons: [1,3], threshold_quantiles: [0.3,0.7]}",
    "data.targets.volatility.quantiles=[0.1,0.5,0.9]",
    "data.targets.barrier={builder: triple_barrier, horizon: 5, uniqueness_weights: true}",
    "data.targets.load={builder: future, columns: [close,volume], steps: 3}",
    "data.targets.grade={column: grade, kind: regression, quantiles: [0.5,0.8]}",
    "model.heads=[signal_1,signal_3,volatility,barrier,load,grade]",
]
KINDS = {
    "signal_1": "classification",
    "signal_3": "classification",
    "volatility": "quantile",
    "barrier": "classification",
    "load": "forecast",
    "grade": "quantile",
}


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """Prices with a column of numbers, a third of whose cells are empty."""
    prices = price_frame(250)
    generator = np.random.default_rng(0)
    grades = [None if generator.random() < 1 / 3 else float(value) for value in generator.normal(7, 2, len(prices))]
    return prices.with_columns(pl.Series("grade", grades))


@pytest.fixture(scope="module")
def run(frame: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinds")
    frame.write_csv(folder / "prices.csv")
    given = [*OVERRIDES, f"data.path={folder / 'prices.csv'}", f"paths.root={folder}"]
    train(make_config(*given), folder / "run", given)
    return folder / "run"


def test_every_head_has_the_metrics_of_its_kind_beside_baselines(run: Path) -> None:
    said = json.loads((run / "report/metrics.json").read_text())
    assert {task: entry["kind"] for task, entry in said.items()} == KINDS
    for entry in said.values():
        assert tuple(entry["model"])[: len(METRICS[entry["kind"]])] == METRICS[entry["kind"]]
        assert all(np.isfinite([entry["model"][name] for name in METRICS[entry["kind"]]]))
    assert list(said["load"]["baselines"]) == ["last value", "training mean"]
    assert list(said["volatility"]["baselines"]) == ["training quantiles"]


def test_the_report_keeps_predictions_and_labels_in_units(run: Path, frame: pl.DataFrame) -> None:
    report = pl.read_parquet(run / "report/predictions.parquet")
    rows = frame.with_columns(pl.col("timestamp").str.to_datetime("%Y-%m-%d", time_unit="ns", time_zone="UTC"))
    ahead = rows.with_columns(
        pl.col(name).shift(-step).over("instrument").alias(f"{name}_{step}")
        for name in ("close", "volume")
        for step in (1, 2, 3)
    )
    joined = report.join(ahead, on=["timestamp", "instrument"], how="left", maintain_order="left")
    labelled = joined.filter(pl.col("load_label").is_not_null())
    assert 0 < joined.height - labelled.height <= 6
    expected = labelled.select("close_1", "volume_1", "close_2", "volume_2", "close_3", "volume_3").to_numpy()
    np.testing.assert_allclose(np.array(labelled["load_label"].to_list()), expected, rtol=1e-6)
    for task, count in (("volatility", 3), ("grade", 2)):
        predicted = np.array(report[f"{task}_pred"].to_list())
        assert predicted.shape[1] == count and (np.diff(predicted, axis=1) >= 0).all()
    grades = joined.filter(pl.col("grade").is_not_null())
    assert grades["grade_label"].list.first().to_list() == grades["grade"].to_list()
    assert joined.filter(pl.col("grade").is_null())["grade_label"].is_null().all()


def test_the_saved_model_says_what_the_report_says(run: Path) -> None:
    predictor = load_bundle(run / "model")
    table = next(run.parent.glob("prices.csv"))
    predicted = predictor.predict_file(table)
    report = pl.read_parquet(run / "report/predictions.parquet")
    both = report.join(predicted, on=["timestamp", "instrument"], how="left", suffix="_again", maintain_order="left")
    for spec in predictor.schema.specs:
        ours, again = (np.array(both[f"{spec.output_name}{end}"].to_list()) for end in ("", "_again"))
        np.testing.assert_allclose(again, ours, rtol=1e-4, atol=1e-5)
    borders = {spec.name: spec.borders for spec in predictor.schema.specs}
    assert len(borders["signal_1"]) == 2 and borders["volatility"] == ()
    assert "class borders from training rows: " in (run / "model/MODEL_CARD.md").read_text()


def test_one_labelled_row_per_sequence_is_enough(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    sequences, length = 90, 8
    number = np.repeat(np.arange(sequences), length)
    classes = generator.integers(0, 2, sequences)
    last = np.arange(sequences * length) % length == length - 1
    pl.DataFrame(
        {
            "time": np.arange(sequences * length),
            "session": [f"s{one:03d}" for one in number],
            "x": generator.normal(size=sequences * length) + classes[number],
            "gesture": [("wave" if classes[one] else "point") if end else None for one, end in zip(number, last)],  # noqa: B905
        }
    ).write_csv(tmp_path / "sessions.csv")
    given = [
        *TINY_RUN,
        f"data.path={tmp_path / 'sessions.csv'}",
        f"paths.root={tmp_path}",
        "data.timestamp=time",
        "data.instrument=session",
        "data.features=[x]",
        "data.targets.gesture={column: gesture, kind: classification}",
        "model.heads=[gesture]",
        "training.epochs=1",
    ]
    run = train(make_config(*given), tmp_path / "run", given)
    said = json.loads((run.path / "split_report.json").read_text())["parts"]
    assert sum(part["rows"] + part["purged"] for part in said.values()) == sequences
    for part in said.values():
        assert part["targets"]["gesture"]["labelled"] == part["rows"] > 5
