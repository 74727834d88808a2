"""What a run leaves for people: every test row, the table, the model card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from hybrid_trainer.config.schema import Config
from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.data.vocabulary import Vocabulary
from hybrid_trainer.evaluation.judge import TaskResult, evaluate
from hybrid_trainer.evaluation.report import model_card, results_table, write_predictions
from hybrid_trainer.links import to_prediction

TASKS = {"signal": "signal_probs", "volatility": "volatility_pred", "regime": "regime_probs", "sl_tp": "sl_tp_pred"}


CLASSES = ["accuracy", "balanced_accuracy", "macro_f1", "mcc", "log_loss", "auroc"]
MAIN = {
    "signal": CLASSES,
    "volatility": ["mae", "rmse", "r2", "spearman", "qlike"],  # no date has three instruments
    "regime": CLASSES,
    "sl_tp": ["mae", "rmse", "r2", "spearman"],
}


@pytest.fixture(scope="module")
def outputs(data: Dataset) -> dict[str, torch.Tensor]:
    """Raw outputs of some model for the test rows."""
    generator = torch.Generator().manual_seed(0)
    rows = len(data.split.rows["test"])
    return {spec.name: torch.randn(rows, spec.dim, generator=generator) for spec in data.specs}


@pytest.fixture(scope="module")
def results(config: Config, data: Dataset, outputs: dict[str, torch.Tensor]) -> list[TaskResult]:
    return evaluate(data, outputs, config.active_targets)


@pytest.fixture(scope="module")
def written(data: Dataset, outputs: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """predictions.parquet, read back."""
    path = tmp_path_factory.mktemp("report") / "predictions.parquet"
    write_predictions(path, data, outputs)
    assert list(path.parent.iterdir()) == [path]
    return pl.read_parquet(path)


def test_every_test_row_is_there_once_with_its_time_and_instrument(data: Dataset, written: pl.DataFrame) -> None:
    assert written.columns == ["timestamp", "instrument", *TASKS.values(), *(f"{task}_label" for task in TASKS)]
    rows = data.split.rows["test"]
    assert written["timestamp"].to_physical().to_list() == data.table.timestamp[rows].tolist()
    assert written["instrument"].to_list() == [data.table.instruments[code] for code in data.table.instrument[rows]]


def test_predictions_are_in_the_targets_own_units(
    data: Dataset, outputs: dict[str, torch.Tensor], written: pl.DataFrame
) -> None:
    for spec in data.specs:
        expected = to_prediction(outputs[spec.name], spec).numpy()
        np.testing.assert_array_equal(np.array(written[spec.output_name].to_list(), dtype=np.float32), expected)


def test_labels_are_class_names_and_numbers_in_units_and_null_where_there_is_none(
    data: Dataset, written: pl.DataFrame
) -> None:
    rows = data.split.rows["test"]
    for target in data.targets:
        spec, labelled = target.spec, target.labelled[rows]
        column = written[f"{spec.name}_label"]
        assert column.is_not_null().to_list() == labelled.tolist()
        said = column.drop_nulls().to_list()
        if spec.kind == "classification":
            assert said == [spec.labels[code] for code in target.values[rows][labelled]]
        else:
            assert said == target.values[rows][labelled].tolist()
    # the longest horizon has no label where shorter ones still have
    nulls = {name: written[f"{name}_label"].null_count() for name in TASKS}
    assert nulls == {"signal": 0, "volatility": 0, "regime": 2 * 15, "sl_tp": 2 * 5}


@pytest.mark.parametrize("name", ["timestamp", "instrument"])
def test_a_head_of_any_name_hides_no_other_column(
    data: Dataset, outputs: dict[str, torch.Tensor], written: pl.DataFrame, tmp_path: Path, name: str
) -> None:
    first = data.targets[0]
    named = replace(data, targets=[replace(first, spec=replace(first.spec, name=name))])
    write_predictions(tmp_path / "p.parquet", named, {name: outputs["signal"]})
    frame = pl.read_parquet(tmp_path / "p.parquet")
    assert frame.columns == ["timestamp", "instrument", f"{name}_probs", f"{name}_label"]
    assert frame.select("timestamp", "instrument").equals(written.select("timestamp", "instrument"))


def test_the_table_holds_every_task_metric_and_strongest_baseline(results: list[TaskResult]) -> None:
    text = results_table(results)
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if "│" in line]
    task = ""
    found = {}
    for name, metric, model, baseline, which, better in rows:
        task = name or task
        found[task, metric.split()[0]] = (model, baseline, which, better)
        assert metric.split()[1] == ("↓" if metric.split()[0] in ("log_loss", "mae", "rmse", "qlike") else "↑")
    assert list(found) == [(result.spec.name, metric) for result in results for metric in MAIN[result.spec.name]]
    for result in results:
        for metric in MAIN[result.spec.name]:
            value = result.metrics[metric]
            base = result.baseline(metric)
            better = "better" if result.beaten(metric) else "same" if value == base else "worse"
            which = result.strongest[metric]
            assert found[result.spec.name, metric] == (f"{value:.4f}", f"{base:.4f}", which, better)
    assert {cells[3] for cells in found.values()} <= {"better", "worse", "same"}
    assert max(map(len, text.splitlines())) <= 100


def test_a_tie_with_the_baseline_is_neither_better_nor_worse(results: list[TaskResult]) -> None:
    tie = replace(results[0], metrics={name: results[0].baseline(name) for name in results[0].metrics})
    text = results_table([tie])
    assert text.count("same") == len(MAIN["signal"])
    assert "better" not in text and "worse" not in text


def test_the_model_card_holds_data_dates_outputs_metrics_and_origin(data: Dataset, results: list[TaskResult]) -> None:
    card = model_card("outputs/a", data, results, {"torch": "2.13.0"})
    lines = card.splitlines()
    assert lines[0] == "# outputs/a"
    assert f"- table: `prices.csv` (SHA-256 `{data.table.sha256}`)" in lines
    assert "- instruments seen in training: A, B; any other is `<unk>`" in lines
    for part, said in data.split_report["parts"].items():
        assert any(
            line.startswith(f"- {part}: {said['rows']} rows, {said['first']} to {said['last']};") for line in lines
        )
    for result in results:
        spec = result.spec
        assert f"- `{TASKS[spec.name]}`: {', '.join(spec.labels)}; about the {spec.horizon} bars after the row" in lines
        for metric, value in result.metrics.items():
            base = result.baseline(metric)
            assert f"| {spec.name} | {metric} | {value:.4f} | {base:.4f} | {result.strongest[metric]} |" in lines
    assert lines[-1] == "- torch: 2.13.0"


def test_the_model_card_tells_context_and_categories_and_not_all_of_many(
    data: Dataset, results: list[TaskResult]
) -> None:
    context = np.zeros((len(data.panel), 3), dtype=np.float32)
    train = data.split.rows["train"]
    context[train[: len(train) // 4], :2] = np.nan
    panel = replace(data.panel, context=context, context_blocks={"text": ("a", "b"), "mood": ("c",)})
    vocabularies = data.vocabularies | {"sector": Vocabulary(tuple(f"s{number:03}" for number in range(60)))}
    card = model_card("a", replace(data, panel=panel, vocabularies=vocabularies), results, {})
    shown = ", ".join(f"s{number:03}" for number in range(50))
    assert f"- categories of `sector` seen in training: {shown} and 10 more; any other is `<unk>`\n" in card
    share = 1 - (len(train) // 4) / len(train)
    assert f"- context `text`: 2 column(s), in {share:.1%} of the training rows\n" in card
    assert "- context `mood`: 1 column(s), in 100.0% of the training rows\n" in card
