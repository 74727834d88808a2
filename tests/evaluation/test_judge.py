"""Metrics of the test rows beside scikit-learn's, and the baseline that is hardest to beat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from scipy import stats
from sklearn import metrics as sk

from hybrid_trainer import build
from hybrid_trainer.config.schema import Config
from hybrid_trainer.data.dataset import Dataset, panel_tensors
from hybrid_trainer.engine.collect import collect
from hybrid_trainer.evaluation import judge, report, task_bests
from hybrid_trainer.evaluation.judge import TaskBest, TaskResult, as_json, evaluate, headline
from hybrid_trainer.metrics import Metric, metric_for
from hybrid_trainer.seeding import seed_everything
from hybrid_trainer.types import METRICS, TargetSpec, whole_metric_names
from tests.conftest import price_frame
from tests.evaluation.conftest import dataset_of

TASKS = ["signal", "volatility", "regime", "sl_tp"]


@pytest.fixture(scope="module")
def outputs(data: Dataset) -> dict[str, torch.Tensor]:
    """Raw outputs of some model for the test rows."""
    generator = torch.Generator().manual_seed(0)
    rows = len(data.split.rows["test"])
    return {spec.name: torch.randn(rows, spec.dim, generator=generator) for spec in data.specs}


@pytest.fixture(scope="module")
def results(config: Config, data: Dataset, outputs: dict[str, torch.Tensor]) -> dict[str, TaskResult]:
    return {result.spec.name: result for result in evaluate(data, outputs, config.active_targets)}


def labels_of(data: Dataset, task: str, part: str = "test") -> tuple[np.ndarray, np.ndarray]:
    """The labels in units of a part's labelled rows, and which of its rows these are."""
    target = next(target for target in data.targets if target.spec.name == task)
    rows = data.split.rows[part]
    labelled = target.labelled[rows]
    return target.values[rows][labelled], labelled


def by_scikit_learn(spec: TargetSpec, raw: torch.Tensor, label: np.ndarray) -> dict[str, float]:
    if spec.kind == "classification":
        scores = raw.double().softmax(dim=1).numpy()
        predicted = scores.argmax(axis=1)
        return {
            "accuracy": sk.accuracy_score(label, predicted),
            "balanced_accuracy": sk.recall_score(label, predicted, labels=np.unique(label), average="macro"),
            "macro_f1": sk.f1_score(label, predicted, average="macro"),
            "mcc": sk.matthews_corrcoef(label, predicted),
            "log_loss": sk.log_loss(label, scores, labels=range(spec.dim)),
        }
    scaled = np.log1p(np.exp(raw.double().numpy())) if spec.link == "softplus" else raw.double().numpy()
    predicted = scaled * np.array(spec.scale) + np.array(spec.shift)
    return {
        "mae": sk.mean_absolute_error(label, predicted),
        "rmse": sk.root_mean_squared_error(label, predicted),
        "r2": sk.r2_score(label, predicted),
    }


def names_of(spec: TargetSpec) -> list[str]:
    whole = whole_metric_names(spec.kind, spec.labels, log_volatility=spec.log_volatility)
    return [*METRICS[spec.kind], *whole]


def streaming(result: TaskResult) -> dict[str, float]:
    """Those of a result's metrics that every part has."""
    return {name: result.metrics[name] for name in METRICS[result.spec.kind]}


def without_labels(data: Dataset, task: str, rows: np.ndarray) -> Dataset:
    """The same data, but these rows have no label of the task."""
    targets = []
    for target in data.targets:
        if target.spec.name == task:
            values = target.values.copy()
            values[rows] = -1 if target.spec.kind == "classification" else np.nan
            target = replace(target, values=values)
        targets.append(target)
    ids = data.tensors.ids.numpy()
    return replace(data, targets=targets, tensors=panel_tensors(data.panel.features, None, ids, targets))


@pytest.mark.parametrize("task", TASKS)
def test_the_models_metrics_are_those_of_scikit_learn_on_the_labelled_rows(
    data: Dataset, outputs: dict[str, torch.Tensor], results: dict[str, TaskResult], task: str
) -> None:
    label, labelled = labels_of(data, task)
    result = results[task]
    assert result.rows == len(label) > 20
    assert list(result.metrics) == names_of(result.spec)
    assert streaming(result) == pytest.approx(by_scikit_learn(result.spec, outputs[task][labelled], label), rel=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_the_baselines_metrics_are_those_of_scikit_learn_on_the_same_rows(
    data: Dataset, results: dict[str, TaskResult], task: str
) -> None:
    label, _ = labels_of(data, task)
    train, _ = labels_of(data, task, "train")
    if results[task].spec.kind == "classification":
        shares = np.bincount(train, minlength=3) / len(train)
        expected = sk.log_loss(label, np.tile(shares, (len(label), 1)), labels=range(3))
        assert results[task].baselines["class prior"]["log_loss"] == pytest.approx(expected, rel=1e-5)
        assert results[task].baselines["class prior"]["mcc"] == 0
    else:
        mean = np.tile(train.mean(axis=0), (len(label), 1))
        said = results[task].baselines["training mean"]
        assert said["rmse"] == pytest.approx(sk.root_mean_squared_error(label, mean), rel=1e-5)
        assert said["r2"] == pytest.approx(sk.r2_score(label, mean), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("task", ["signal", "sl_tp"])
def test_rows_without_a_label_do_not_count(
    config: Config, data: Dataset, outputs: dict[str, torch.Tensor], results: dict[str, TaskResult], task: str
) -> None:
    test = data.split.rows["test"]
    fewer = without_labels(data, task, test[::2])
    spoilt = {name: value.clone() for name, value in outputs.items()}
    spoilt[task][::2] = torch.randn(spoilt[task][::2].shape) * 100
    said = {result.spec.name: result for result in evaluate(fewer, spoilt, config.active_targets)}
    label, labelled = labels_of(fewer, task)
    assert not labelled[::2].any()
    assert said[task].rows == len(label) == int(labelled.sum())
    assert streaming(said[task]) == pytest.approx(
        by_scikit_learn(said[task].spec, outputs[task][labelled], label), rel=1e-5
    )
    others = [name for name in TASKS if name != task]
    for name in others:
        assert said[name].metrics == pytest.approx(results[name].metrics, abs=0, nan_ok=True)
        assert said[name].strongest == results[name].strongest


def test_many_rows_are_judged_piece_by_piece(
    config: Config,
    data: Dataset,
    outputs: dict[str, torch.Tensor],
    results: dict[str, TaskResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    longest = []

    def watched(spec: TargetSpec, device: torch.device) -> Metric:
        metric = metric_for(spec, device)
        update = metric.update
        metric.update = lambda *given: (longest.append(max(map(len, given))), update(*given))[1]  # type: ignore[method-assign]
        return metric

    monkeypatch.setattr(judge, "PIECE", 7)
    monkeypatch.setattr(judge, "metric_for", watched)
    for result in evaluate(data, outputs, config.active_targets):
        assert result.metrics == pytest.approx(results[result.spec.name].metrics, rel=1e-9, nan_ok=True)
    assert max(longest) == 7


def test_a_task_without_any_label_in_the_part_has_metrics_that_are_no_numbers(
    config: Config, data: Dataset, outputs: dict[str, torch.Tensor]
) -> None:
    none = without_labels(data, "volatility", data.split.rows["test"])
    said = {result.spec.name: result for result in evaluate(none, outputs, config.active_targets)}
    assert said["volatility"].rows == 0
    assert all(np.isnan(value) for value in said["volatility"].metrics.values())
    assert set(said["volatility"].strongest.values()) <= said["volatility"].baselines.keys()


def test_another_part_can_be_judged(config: Config, data: Dataset) -> None:
    generator = torch.Generator().manual_seed(1)
    rows = len(data.split.rows["valid"])
    raw = {spec.name: torch.randn(rows, spec.dim, generator=generator) for spec in data.specs}
    label, labelled = labels_of(data, "signal", "valid")
    result = evaluate(data, raw, config.active_targets, "valid")[0]
    assert streaming(result) == pytest.approx(by_scikit_learn(result.spec, raw["signal"][labelled], label), rel=1e-5)


@pytest.mark.parametrize(("task", "by"), [("signal", "log_loss"), ("volatility", "rmse"), ("sl_tp", "mae")])
def test_the_strongest_baseline_is_the_best_by_each_metric(results: dict[str, TaskResult], task: str, by: str) -> None:
    values = {name: said[by] for name, said in results[task].baselines.items()}
    assert results[task].baseline(by) == values[results[task].strongest[by]] == min(values.values())


def test_beaten_asks_the_strongest_baseline_and_minds_the_direction(results: dict[str, TaskResult]) -> None:
    theirs = {"mean": {"rmse": 0.5, "r2": 0.0}, "weak": {"rmse": 9.0, "r2": -9.0}}
    result = replace(
        results["volatility"],
        metrics={"rmse": 0.6, "r2": 0.1},
        baselines=theirs,
        strongest={"rmse": "mean", "r2": "mean"},
    )
    assert not result.beaten("rmse")
    assert result.beaten("r2")
    same = replace(result, metrics=theirs["mean"])
    assert not same.beaten("rmse") and not same.beaten("r2")


def test_headline_names_every_metric_beside_the_strongest_baselines(results: dict[str, TaskResult]) -> None:
    said = headline(list(results.values()))
    names = {f"{task}/{metric}" for task in TASKS for metric in names_of(results[task].spec)}
    assert said.keys() == {f"{side}/{name}" for side in ("test", "baseline") for name in names}
    volatility = results["volatility"]
    assert said["test/volatility/rmse"] == volatility.metrics["rmse"]
    assert said["baseline/volatility/rmse"] == volatility.baselines[volatility.strongest["rmse"]]["rmse"]


def test_the_json_holds_the_model_and_every_baseline(results: dict[str, TaskResult]) -> None:
    said = as_json(list(results.values()))
    assert list(said) == TASKS
    assert said["volatility"] == {
        "kind": "regression",
        "rows": results["volatility"].rows,
        "model": results["volatility"].metrics,
        "baselines": results["volatility"].baselines,
        "strongest_baseline": results["volatility"].strongest,
    }


def test_an_oracle_is_judged_on_the_same_rows_and_told_in_the_json(config: Config, data: Dataset) -> None:
    rows = data.split.rows["test"]
    whole = {spec.name: torch.randn(len(data.panel), spec.dim) for spec in data.specs}
    outputs = {task: raw[torch.from_numpy(rows)] for task, raw in whole.items()}
    results = judge.evaluate(data, outputs, config.active_targets, oracles={"signal": whole["signal"]})
    by_name = {result.spec.name: result for result in results}
    assert by_name["signal"].oracle == pytest.approx(by_name["signal"].metrics, abs=0, nan_ok=True)
    assert by_name["regime"].oracle is None
    said = judge.as_json(results)
    assert said["signal"]["oracle"] == pytest.approx(said["signal"]["model"], abs=0, nan_ok=True)
    assert "oracle" not in said["regime"]
    assert "oracle" in report.results_table(results)


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Dataset]:
    """Five instruments on one calendar, one of which ends early."""
    frame = price_frame(150, instruments=tuple("ABCDE"))
    frame = frame.filter((pl.col("instrument") != "E") | (pl.col("timestamp") < "2020-05-20"))
    return dataset_of(tmp_path_factory.mktemp("five"), frame, "model.heads=[signal,volatility]")


def test_the_information_coefficient_is_the_mean_over_the_dates(five: tuple[Config, Dataset]) -> None:
    config, data = five
    generator = torch.Generator().manual_seed(0)
    raw = {spec.name: torch.randn(len(data.split.rows["test"]), spec.dim, generator=generator) for spec in data.specs}
    result = evaluate(data, raw, config.active_targets)[1]
    label, labelled = labels_of(data, "volatility")
    day = data.table.timestamp[data.split.rows["test"]][labelled]
    said = raw["volatility"][labelled].numpy()[:, 0]
    each = [
        stats.spearmanr(said[day == one], label[day == one, 0]).statistic
        for one in np.unique(day)
        if (day == one).sum() >= 3
    ]
    assert result.metrics["ic"] == pytest.approx(np.mean(each), abs=1e-6)
    assert result.metrics["spearman"] == pytest.approx(stats.spearmanr(said, label[:, 0]).statistic, abs=1e-6)
    assert result.baselines["training mean"]["ic"] == 0.0  # the same for all tells nothing
    spec = result.spec
    ratio = np.exp(2 * (label[:, 0] - (said * spec.scale[0] + spec.shift[0])))
    assert result.metrics["qlike"] == pytest.approx((ratio - np.log(ratio) - 1).mean(), rel=1e-5)


def test_validation_says_what_the_judge_says_of_the_same_rows(five: tuple[Config, Dataset]) -> None:
    """In an epoch, batch by batch, with dates; here at once."""
    config, data = five
    seed_everything(0, deterministic=True, threads=1)
    on = build.machine(config)
    trainer = build.trainer(config, build.model_spec(config, data), data, on, [])
    row = trainer.evaluate(data.loader("valid", 7), "valid")
    outputs = collect(trainer.model, data.loader("valid", 50), on.precision)
    for result in evaluate(data, outputs, config.active_targets, "valid"):
        said = {name: row[f"valid/{result.spec.name}/{name}"] for name in result.metrics}
        assert said == pytest.approx(result.metrics, rel=1e-4, abs=1e-5, nan_ok=True)
        assert not np.isnan(said.get("ic", 0.0))


def test_of_baselines_one_whose_metric_is_no_number_is_never_the_strongest(results: dict[str, TaskResult]) -> None:
    assert judge._best({"a": {"r2": np.nan}, "b": {"r2": -1.0}, "c": {"r2": np.nan}}, "r2") == "b"
    assert judge._best({"a": {"mae": np.nan}, "b": {"mae": 9.0}}, "mae") == "b"
    result = replace(results["volatility"], metrics=results["volatility"].metrics | {"ic": np.nan})
    assert result.verdict("ic") == ""


def test_a_coverage_is_judged_by_its_distance_from_what_it_should_be(results: dict[str, TaskResult]) -> None:
    said = {"wide": {"coverage": 1.0, "coverage_error": 0.2}, "narrow": {"coverage": 0.7, "coverage_error": 0.1}}
    assert judge._best(said, "coverage") == "narrow"
    ours = {"coverage": 0.78, "coverage_error": 0.02}
    result = replace(results["volatility"], metrics=ours, baselines=said, strongest=dict.fromkeys(ours, "narrow"))
    assert result.verdict("coverage") == result.verdict("coverage_error") == "better"
    assert replace(result, metrics=said["narrow"]).verdict("coverage") == "same"
    assert replace(result, metrics=said["wide"]).verdict("coverage") == "worse"


def test_a_tasks_own_best_stands_beside_the_overall_one(
    data: Dataset, outputs: dict[str, torch.Tensor], results: dict[str, TaskResult]
) -> None:
    signal = results["signal"]
    own = judge.metrics_of(data, signal.spec, outputs["signal"])
    assert own == pytest.approx(signal.metrics, abs=0, nan_ok=True)
    best = TaskBest(epoch=3, by="valid/signal/mcc", metrics=own)
    with_it = task_bests.beside(list(results.values()), {"signal": best})
    said = as_json(with_it)
    assert said["signal"]["task_best"] == {"epoch": 3, "by": "valid/signal/mcc", "metrics": own}
    assert "task_best" not in said["regime"]
    assert task_bests.line(with_it[0]).startswith("best for signal: epoch 3 (by valid/signal/mcc): test mcc ")
