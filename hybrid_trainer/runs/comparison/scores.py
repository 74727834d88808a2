"""Test metrics from sums over rows, so that a resample of rows costs a sum and not a pass over the rows.

Each metric is the one of the same name in run.json. Shape legend: R rows, D numbers of a target, C classes, K sums;
any shape (..., K) of sums gives metrics of shape (...).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.types import Kind, TargetSpec

Array = NDArray[np.float64]

MAIN: dict[Kind, str] = {"classification": "macro_f1", "regression": "r2", "quantile": "pinball", "forecast": "mse"}
"""The metric that a task is judged by where nothing else is asked for."""

SUMMED: dict[Kind, tuple[str, ...]] = {
    "classification": ("accuracy", "balanced_accuracy", "macro_f1", "mcc"),
    "regression": ("mae", "rmse", "r2"),
    "quantile": ("pinball", "mae", "rmse"),
    "forecast": ("mse", "mae"),
}
"""The metrics of each kind that sums over rows are enough for."""


def row_sums(spec: TargetSpec, predicted: Array, label: Array) -> Array:
    """What of each row is summed up: (R, K).

    Args:
        predicted: (R, C) probabilities, (R, D) numbers or (R, Q) quantiles, in the target's units.
        label: (R, 1) classes, (R, D) numbers or (R, 1) for quantiles.
    """
    if spec.kind == "classification":
        classes = np.arange(spec.dim)
        true, told = label == classes, predicted.argmax(axis=1)[:, None] == classes  # (R, C)
        return np.concatenate([true & told, true, told], axis=1).astype(np.float64)
    one = np.ones((len(label), 1))
    if spec.kind == "forecast":  # in scaled units: columns of any unit count the same
        error = (predicted - label) / np.array(spec.scale)
        return np.concatenate(
            [one, (error**2).mean(axis=1, keepdims=True), np.abs(error).mean(axis=1, keepdims=True)], 1
        )
    if spec.kind == "quantile":
        error = label - predicted  # (R, Q)
        share = np.array(spec.quantiles)
        pinball = np.maximum(share * error, (share - 1) * error).mean(axis=1, keepdims=True)
        median = error[:, [spec.quantiles.index(0.5)]]
        return np.concatenate([one, pinball, np.abs(median), median**2], axis=1)
    error = predicted - label
    centred = label - label.mean(axis=0) if len(label) else label  # or the sums of squares lose their digits
    return np.concatenate([one, np.abs(error), error**2, centred, centred**2], axis=1)


def metric_of(kind: Kind, metric: str, sums: Array) -> Array:
    """A metric of SUMMED from sums (..., K): (...)."""
    return _METRICS[kind](metric, sums)


def _classification(metric: str, sums: Array) -> Array:
    """Classes that neither occur nor are told are left out of the means, as in scikit-learn."""
    hits, true, told = np.split(sums, 3, axis=-1)  # (..., C) each
    n = true.sum(axis=-1)
    if metric == "accuracy":
        return np.asarray(hits.sum(axis=-1) / n)
    if metric == "balanced_accuracy":
        return _mean_where(true > 0, hits, true)
    if metric == "macro_f1":
        return _mean_where(true + told > 0, 2 * hits, true + told)
    covariance = hits.sum(axis=-1) * n - (true * told).sum(axis=-1)  # Gorodkin, 2004
    spread = np.sqrt((n**2 - (told**2).sum(axis=-1)) * (n**2 - (true**2).sum(axis=-1)))
    return np.asarray(np.divide(covariance, spread, out=np.zeros_like(n), where=spread > 0))


def _mean_where(counts: NDArray[np.bool_], above: Array, below: Array) -> Array:
    """The mean of above / below over the classes (..., C) that count."""
    shares = np.divide(above, below, out=np.zeros_like(above), where=counts)
    return np.asarray(shares.sum(axis=-1) / counts.sum(axis=-1))


def _regression(metric: str, sums: Array) -> Array:
    """The mean over the D numbers; where labels never change R² is 1 or 0."""
    n = sums[..., :1]
    absolute, squared, label, label_squared = np.split(sums[..., 1:], 4, axis=-1)  # (..., D) each
    if metric == "mae":
        return np.asarray((absolute / n).mean(axis=-1))
    if metric == "rmse":
        return np.asarray(np.sqrt(squared / n).mean(axis=-1))
    total = label_squared - label**2 / n
    changes = total > 1e-12 * label_squared
    fixed = (squared == 0).astype(np.float64)
    return np.asarray((np.divide(-squared, total, out=fixed - 1, where=changes) + 1).mean(axis=-1))


def _means(names: Sequence[str]) -> Callable[[str, Array], Array]:
    def mean(metric: str, sums: Array) -> Array:
        value = sums[..., 1 + names.index(metric)] / sums[..., 0]
        return np.sqrt(value) if metric == "rmse" else value

    return mean


_METRICS: dict[Kind, Callable[[str, Array], Array]] = {
    "classification": _classification,
    "regression": _regression,
    "quantile": _means(("pinball", "mae", "rmse")),
    "forecast": _means(("mse", "mae")),
}
