"""From raw outputs to scaled numbers to units."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_trainer.links import pinball, to_prediction, to_scaled, to_units
from hybrid_trainer.types import Link, TargetSpec
from tests.specs import classes, numbers, quantiles_of


def regression(link: Link = "identity", dim: int = 2) -> TargetSpec:
    return numbers(dim, link, shift=(10.0, -1.0)[:dim], scale=(2.0, 0.5)[:dim])


CLASSES = classes(3)


def test_the_identity_link_changes_nothing() -> None:
    raw = torch.tensor([[-3.0, 0.25]])
    assert torch.equal(to_scaled(raw, regression()), raw)


def test_softplus_is_the_log_of_one_plus_exp_and_never_negative() -> None:
    raw = torch.tensor([[-4.0, 0.0], [1.5, 60.0]], dtype=torch.float64)
    expected = [[math.log1p(math.exp(x)) for x in row] for row in raw.tolist()]
    torch.testing.assert_close(to_scaled(raw, regression("softplus")), torch.tensor(expected, dtype=torch.float64))
    assert (to_scaled(torch.tensor([[-50.0, -1e4]]), regression("softplus")) >= 0).all()


def test_units_are_the_scaled_number_times_scale_plus_shift() -> None:
    scaled = torch.tensor([[0.0, 0.0], [1.0, -2.0]])
    assert to_units(scaled, regression()).tolist() == [[10.0, -1.0], [12.0, -2.0]]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=2))
def test_units_undo_the_scaling_of_labels(values: list[float]) -> None:
    spec = regression()
    label = torch.tensor([values], dtype=torch.float64)
    scaled = (label - torch.tensor(spec.shift, dtype=torch.float64)) / torch.tensor(spec.scale, dtype=torch.float64)
    torch.testing.assert_close(to_units(scaled, spec), label, rtol=1e-12, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-80, 80), min_size=3, max_size=3), st.floats(-50, 50))
def test_class_predictions_are_probabilities_that_a_common_shift_does_not_change(
    logits: list[float], shift: float
) -> None:
    probabilities = to_prediction(torch.tensor([logits]), CLASSES)
    assert (probabilities >= 0).all()
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(to_prediction(torch.tensor([logits]) + shift, CLASSES), probabilities, rtol=0, atol=1e-4)


def test_class_predictions_are_the_softmax() -> None:
    logits = torch.tensor([[0.0, math.log(2), math.log(5)]])
    torch.testing.assert_close(to_prediction(logits, CLASSES), torch.tensor([[0.125, 0.25, 0.625]]))


def test_a_regression_prediction_goes_through_link_and_units() -> None:
    raw = torch.tensor([[0.0, 1.0]])
    expected = torch.tensor([[math.log(2) * 2 + 10, math.log1p(math.e) * 0.5 - 1]])
    torch.testing.assert_close(to_prediction(raw, regression("softplus")), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("spec", [CLASSES, regression("softplus", dim=1)], ids=["classes", "numbers"])
def test_predictions_from_half_precision_are_float32(dtype: torch.dtype, spec: TargetSpec) -> None:
    raw = torch.randn(4, spec.dim, generator=torch.Generator().manual_seed(0)).to(dtype)
    prediction = to_prediction(raw, spec)
    assert prediction.dtype == torch.float32
    assert torch.equal(prediction, to_prediction(raw.float(), spec))


def quantile_spec(*quantiles: float) -> TargetSpec:
    return quantiles_of(*quantiles, shift=10.0, scale=2.0)


def test_quantiles_are_the_median_and_positive_steps_from_it() -> None:
    raw = torch.tensor([[0.0, 1.0, 3.0, 0.0, 0.0]])
    ln_2, step = math.log(2), math.log1p(math.e)
    expected = [[3 - step - ln_2, 3 - step, 3, 3 + ln_2, 3 + 2 * ln_2]]
    torch.testing.assert_close(to_scaled(raw, quantile_spec(0.05, 0.25, 0.5, 0.75, 0.9)), torch.tensor(expected))
    torch.testing.assert_close(to_scaled(raw[:, 2:], quantile_spec(0.5, 0.75, 0.9)), torch.tensor(expected)[:, 2:])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=4, max_size=4))
def test_quantiles_never_cross(values: list[float]) -> None:
    predicted = to_prediction(torch.tensor([values]), quantile_spec(0.1, 0.4, 0.5, 0.9))
    assert predicted.shape == (1, 4)
    assert (predicted.diff(dim=1) >= 0).all()


def test_quantiles_in_units_share_one_scale() -> None:
    predicted = to_prediction(torch.tensor([[-60.0, 1.0, 0.0]]), quantile_spec(0.1, 0.5, 0.9))
    torch.testing.assert_close(predicted, torch.tensor([[12.0, 12.0, 12.0 + 2 * math.log(2)]]))


def test_pinball_by_hand() -> None:
    predicted, label = torch.tensor([[1.0, 2.0], [5.0, 6.0]]), torch.tensor([[3.0], [3.0]])
    # below by 2 and 1: 0.1 * 2, 0.5 * 1; above by 2 and 3: 0.9 * 2, 0.5 * 3
    torch.testing.assert_close(pinball(predicted, label, (0.1, 0.5)), torch.tensor([0.7 / 2, 3.3 / 2]))
