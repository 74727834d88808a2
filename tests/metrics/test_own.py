"""Metrics of plug-ins: what they are given, what becomes of what they give, and what goes wrong with them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hybrid_trainer.config.metrics import METRIC_CONFIGS, MetricConfig
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.extend import metric
from hybrid_trainer.links import to_prediction, to_units
from hybrid_trainer.metrics import OwnMetric, make_own_metrics, own_metrics, try_own_metrics
from hybrid_trainer.monitor import Monitor
from hybrid_trainer.types import Kind, TargetSpec
from tests.metrics.test_streaming import QUANTILES, classes, forecast_of, numbers, random_classes, random_numbers

KINDS: tuple[Kind, ...] = ("classification", "regression", "quantile", "forecast")


class Seen:
    """A metric that keeps what it was given."""

    def __call__(self, predicted: NDArray[Any], label: NDArray[Any], spec: TargetSpec, **options: Any) -> float:
        self.predicted, self.label, self.spec, self.options = predicted, label, spec, options
        return 3


def one(function: Any, *, kinds: tuple[Kind, ...] = KINDS, **options: Any) -> OwnMetric:
    return OwnMetric("mine", kinds, function, options)


def test_classes_come_as_probabilities_and_numbers_of_labelled_rows_alone() -> None:
    raw, target, mask = random_classes(0, 40, 3, 3, 0.4)
    seen = Seen()
    assert own_metrics([one(seen, share=0.5)], classes(3), raw, target, mask) == {"mine": 3.0}
    kept = mask > 0
    np.testing.assert_array_equal(seen.label, target[kept].numpy())
    np.testing.assert_allclose(seen.predicted, to_prediction(raw[kept], classes(3)).numpy(), rtol=1e-6)
    assert (seen.predicted.dtype, seen.label.dtype, seen.spec) == (np.float64, np.int64, classes(3))
    assert seen.options == {"share": 0.5}


@pytest.mark.parametrize(
    "spec",
    [numbers(2, "softplus"), forecast_of(4), replace(numbers(2), spread=True)],
    ids=["numbers", "forecast", "spread"],
)
def test_numbers_and_forecasts_come_in_units(spec: TargetSpec) -> None:
    raw, target, mask = random_numbers(1, 30, spec.dim, 0.3)
    raw = torch.cat([raw, raw], dim=1)[:, : spec.outputs]
    seen = Seen()
    own_metrics([one(seen)], spec, raw, target, mask)
    kept = mask > 0
    np.testing.assert_allclose(seen.predicted, to_prediction(raw[kept], spec).numpy(), rtol=1e-5)
    np.testing.assert_allclose(seen.label, to_units(target[kept].double(), spec).numpy(), rtol=1e-12)
    assert seen.predicted.shape == seen.label.shape == (int(kept.sum()), spec.dim)


def test_quantiles_come_in_order_and_their_label_is_one_number() -> None:
    raw, target, mask = torch.randn(9, QUANTILES.dim), torch.randn(9, 1), torch.ones(9)
    seen = Seen()
    own_metrics([one(seen)], QUANTILES, raw, target, mask)
    assert (np.diff(seen.predicted, axis=1) > 0).all() and seen.label.shape == (9, 1)
    np.testing.assert_allclose(seen.label[:, 0], to_units(target.double(), QUANTILES)[:, 0].numpy())


def test_a_task_of_another_kind_has_none_and_each_is_given_arrays_of_its_own() -> None:
    raw, target, mask = random_numbers(2, 20, 1, 0.0)

    def spoils(predicted: NDArray[Any], label: NDArray[Any], spec: TargetSpec) -> float:
        predicted[:], label[:] = 0, 0
        return 0.0

    seen = Seen()
    said = own_metrics([one(spoils), one(seen), one(seen, kinds=("quantile",))], numbers(1), raw, target, mask)
    assert said == {"mine": 3.0} and seen.label.any() and target.any()
    assert own_metrics([one(seen, kinds=("quantile",))], numbers(1), raw, target, mask) == {}


def test_no_row_no_finite_output_and_no_finite_number_are_nan() -> None:
    raw, target, mask = random_numbers(3, 6, 1, 0.0)
    for function in (lambda *_: math.inf, lambda *_: np.float32("nan")):
        assert math.isnan(own_metrics([one(function)], numbers(1), raw, target, mask)["mine"])
    assert math.isnan(own_metrics([one(Seen())], numbers(1), raw, target, torch.zeros(6))["mine"])
    raw[2] = math.inf
    assert math.isnan(own_metrics([one(Seen())], numbers(1), raw, target, mask)["mine"])


@pytest.mark.parametrize("value", [None, True, [1.0], np.ones(2), torch.ones(()), "1"])
def test_what_is_no_number_is_one_line(value: object) -> None:
    with pytest.raises(
        ConfigError, match=rf"^metric 'mine' of task 'range': it gave a {type(value).__name__}, and not"
    ):
        try_own_metrics([one(lambda *_: value)], replace(numbers(1), name="range"), torch.randn(5, 1))


def test_one_that_fails_is_one_line_with_its_place() -> None:
    def fails(predicted: NDArray[Any], label: NDArray[Any], spec: TargetSpec) -> float:
        raise KeyError("nothing")

    with pytest.raises(ConfigError, match=r"^metric 'mine' of task 'r': KeyError: 'nothing' \(.*test_own\.py:\d+\)$"):
        try_own_metrics([one(fails)], replace(numbers(1), name="r"), torch.randn(5, 1))
    try_own_metrics([one(fails)], numbers(1), torch.zeros(0, 1))  # there is nothing to try it with


def test_the_decorator_makes_it_known_with_its_direction(plugging: None) -> None:
    metric("error_of_mine", kinds=("regression",), better="smaller")(Seen())
    metric("score_of_mine", kinds=("regression", "quantile"), better="larger")(Seen())
    assert Monitor("valid/a/error_of_mine").lower_is_better and not Monitor("valid/a/score_of_mine").lower_is_better
    configs: dict[str, MetricConfig] = {name: METRIC_CONFIGS[name]() for name in ("score_of_mine", "error_of_mine")}
    made = make_own_metrics(configs)
    assert [(each.name, each.kinds) for each in made] == [
        ("score_of_mine", ("regression", "quantile")),
        ("error_of_mine", ("regression",)),
    ]
