"""Metrics from sums, beside scikit-learn on the rows; also on resamples, where a class or a change may be missing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from hybrid_trainer.runs.comparison.scores import MAIN, SUMMED, metric_of, row_sums
from hybrid_trainer.types import TargetSpec

R = 60


def spec(kind: str, dim: int, **more: object) -> TargetSpec:
    names = tuple(map(str, range(dim)))
    return TargetSpec(name="x", kind=kind, dim=dim, horizon=1, labels=names, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(5))
def test_classification_is_scikit_learns(seed: int) -> None:
    generator = np.random.default_rng(seed)
    true, probabilities = generator.integers(0, 4, size=R), generator.random((R, 5))
    probabilities[:, 3] = 0  # true, never told; class 4 is told, never true
    drawn = generator.integers(0, R if seed else 3, size=R)
    sums = row_sums(spec("classification", 5), probabilities, true[:, None].astype(float))[drawn].sum(axis=0)
    t, p = true[drawn], probabilities.argmax(axis=1)[drawn]
    present = np.unique(np.concatenate([t, p]))
    expected = {
        "accuracy": metrics.accuracy_score(t, p),
        "balanced_accuracy": metrics.recall_score(t, p, average="macro", labels=np.unique(t), zero_division=0),
        "macro_f1": metrics.f1_score(t, p, average="macro", labels=present, zero_division=0),
        "mcc": metrics.matthews_corrcoef(t, p),
    }
    assert {name: metric_of("classification", name, sums) for name in SUMMED["classification"]} == pytest.approx(
        expected
    )


@pytest.mark.parametrize("seed", range(3))
def test_regression_is_scikit_learns(seed: int) -> None:
    generator = np.random.default_rng(seed)
    label = generator.normal(size=(R, 2)) * [1, 100] + [0, 1e6]
    predicted = label + generator.normal(size=(R, 2))
    drawn = generator.integers(0, R, size=R)
    sums = row_sums(spec("regression", 2), predicted, label)[drawn].sum(axis=0)
    y, p = label[drawn], predicted[drawn]
    expected = {
        "mae": metrics.mean_absolute_error(y, p),
        "rmse": metrics.root_mean_squared_error(y, p),
        "r2": metrics.r2_score(y, p),
    }
    assert {name: metric_of("regression", name, sums) for name in SUMMED["regression"]} == pytest.approx(expected)


@pytest.mark.parametrize(("error", "r2"), [(0.0, 1.0), (1.0, 0.0)])
def test_r2_of_labels_that_never_change(error: float, r2: float) -> None:
    label = np.full((R, 1), 3.0)
    sums = row_sums(spec("regression", 1), label + error, label).sum(axis=0)
    assert metric_of("regression", "r2", sums) == r2


def test_quantiles_and_forecasts_are_means_over_rows() -> None:
    generator = np.random.default_rng(0)
    label, predicted = generator.normal(size=(R, 1)), np.sort(generator.normal(size=(R, 3)), axis=1)
    sums = row_sums(spec("quantile", 3, quantiles=(0.1, 0.5, 0.9)), predicted, label).sum(axis=0)
    losses = [metrics.mean_pinball_loss(label[:, 0], predicted[:, i], alpha=q) for i, q in enumerate((0.1, 0.5, 0.9))]
    assert metric_of("quantile", "pinball", sums) == pytest.approx(np.mean(losses))
    assert metric_of("quantile", "mae", sums) == pytest.approx(np.abs(predicted[:, 1] - label[:, 0]).mean())
    assert metric_of("quantile", "rmse", sums) == pytest.approx(((predicted[:, 1] - label[:, 0]) ** 2).mean() ** 0.5)

    ahead, scale = generator.normal(size=(R, 4)), (1.0, 2.0, 1.0, 2.0)
    sums = row_sums(spec("forecast", 4, scale=scale), ahead + scale, ahead).sum(axis=0)
    assert metric_of("forecast", "mse", sums) == pytest.approx(1) and metric_of(
        "forecast", "mae", sums
    ) == pytest.approx(1)


def test_many_resamples_at_once_are_each_by_itself() -> None:
    sums: NDArray[np.float64] = np.random.default_rng(0).random((7, 9)) + 1
    for name in SUMMED["classification"]:
        one_by_one = [metric_of("classification", name, row) for row in sums]
        assert metric_of("classification", name, sums) == pytest.approx(np.array(one_by_one), nan_ok=True)


def test_every_kinds_main_metric_can_be_summed() -> None:
    assert all(MAIN[kind] in names for kind, names in SUMMED.items())
