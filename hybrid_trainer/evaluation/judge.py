"""The one look at the test split: each task's metrics beside naive baselines on the same rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from hybrid_trainer.config.targets import TargetConfig
from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.data.room import PIECE
from hybrid_trainer.evaluation.baselines import baselines
from hybrid_trainer.metrics import OwnMetric, metric_for, own_metrics, whole_metrics
from hybrid_trainer.types import JUDGED_BY, LOWER_IS_BETTER, TargetSpec


@dataclass(frozen=True, kw_only=True)
class TaskBest:
    """The epoch that was the best for one task, on the test rows.

    Attributes:
        epoch: which it was. by: the number of the epoch row that chose it. metrics: the task's, of its weights.
    """

    epoch: int
    by: str
    metrics: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """One task on the test rows.

    Attributes:
        rows: how many had a label.
        metrics: the model's. baselines: each baseline's, by its name.
        strongest: for each metric the baseline that is best by it, which is the hardest to beat.
        oracle: what could be reached at best, where that is known (data=synthetic).
        task_best: of the checkpoint that was the best for this task, where such are kept.
    """

    spec: TargetSpec
    rows: int
    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]
    strongest: dict[str, str]
    oracle: dict[str, float] | None = None
    task_best: TaskBest | None = None

    def baseline(self, metric: str) -> float:
        """The strongest baseline's value of a metric."""
        return self.baselines[self.strongest[metric]][metric]

    def beaten(self, metric: str) -> bool:
        """Whether the model is better than the strongest baseline by one metric, or by the one that judges it."""
        metric = JUDGED_BY.get(metric, metric)
        ours, theirs = self.metrics[metric], self.baseline(metric)
        return ours < theirs if metric in LOWER_IS_BETTER else ours > theirs

    def verdict(self, metric: str) -> str:
        """The model beside the strongest baseline: better, same or worse; nothing where one of them is no number."""
        if self.beaten(metric):
            return "better"
        metric = JUDGED_BY.get(metric, metric)
        ours, theirs = self.metrics[metric], self.baseline(metric)
        if math.isnan(ours) or math.isnan(theirs):
            return ""
        return "same" if ours == theirs else "worse"


def evaluate(
    data: Dataset,
    outputs: dict[str, Tensor],
    configs: dict[str, TargetConfig],
    part: str = "test",
    oracles: dict[str, Tensor] | None = None,
    own: Sequence[OwnMetric] = (),
) -> list[TaskResult]:
    """Judge raw outputs {task: (R, D)} for the decision rows of a part; masked rows don't count.

    Args:
        oracles: {task: (N, D)} raw outputs for every row of the panel, of who knows how the data came about.
        own: metrics of plug-ins.
    """
    results = []
    known = oracles or {}
    rows, moment = torch.from_numpy(data.split.rows[part]), data.moments(part)
    for target in data.targets:
        spec = target.spec
        label, mask = _labels(data, spec.name, rows)
        said = {
            base.name: _metrics(base.spec, base.raw, label, mask, moment, own)
            for base in baselines(data, target, configs[spec.name], part)
        }
        strongest = {metric: _best(said, metric) for metric in next(iter(said.values()))}
        results.append(
            TaskResult(
                spec=spec,
                rows=int(mask.sum()),
                metrics=_metrics(spec, outputs[spec.name], label, mask, moment, own),
                baselines=said,
                strongest=strongest,
                oracle=_metrics(spec, known[spec.name][rows], label, mask, moment, own) if spec.name in known else None,
            )
        )
    return results


def metrics_of(
    data: Dataset, spec: TargetSpec, raw: Tensor, part: str = "test", own: Sequence[OwnMetric] = ()
) -> dict[str, float]:
    """The metrics of one task's (R, D) raw outputs for the decision rows of a part; own: those of plug-ins."""
    rows = torch.from_numpy(data.split.rows[part])
    return _metrics(spec, raw, *_labels(data, spec.name, rows), data.moments(part), own)


def _labels(data: Dataset, task: str, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Labels and mask of (R,) rows."""
    label = data.tensors.labels(task, rows.to(data.tensors.features.device)).cpu()
    return label, data.tensors.mask[task].cpu()[rows].float()


def _best(said: dict[str, dict[str, float]], metric: str) -> str:
    """The best by a metric, or by the one that judges it; whose value is no number comes last."""
    metric = JUDGED_BY.get(metric, metric)
    sign = 1 if metric in LOWER_IS_BETTER else -1
    return min(said, key=lambda name: (math.isnan(said[name][metric]), sign * said[name][metric]))


def _metrics(
    spec: TargetSpec, raw: Tensor, label: Tensor, mask: Tensor, moment: Tensor, own: Sequence[OwnMetric]
) -> dict[str, float]:
    metric = metric_for(spec, torch.device("cpu"))
    for start in range(0, len(mask), PIECE):  # little memory, and a count of float32 is exact up to 16 million
        rows = slice(start, start + PIECE)
        metric.update(raw[rows], label[rows], mask[rows])
    whole = whole_metrics(spec, raw, label, mask, moment)
    return metric.compute() | whole | own_metrics(own, spec, raw, label, mask)


def as_json(results: list[TaskResult]) -> dict[str, Any]:
    """The content of report/metrics.json."""
    return {
        result.spec.name: {
            "kind": result.spec.kind,
            "rows": result.rows,
            "model": result.metrics,
            "baselines": result.baselines,
            "strongest_baseline": result.strongest,
            **({"oracle": result.oracle} if result.oracle else {}),
            **({"task_best": asdict(result.task_best)} if result.task_best else {}),
        }
        for result in results
    }


def headline(results: list[TaskResult]) -> dict[str, float]:
    """The flat numbers for run.json: test/<task>/<metric>, and the strongest baseline's beside them."""
    found: dict[str, float] = {}
    for result in results:
        for metric, value in result.metrics.items():
            found[f"test/{result.spec.name}/{metric}"] = value
            found[f"baseline/{result.spec.name}/{metric}"] = result.baseline(metric)
    return found
