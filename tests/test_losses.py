"""Losses by name: values by hand, gradients by finite differences, and nothing from rows without a label."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from hybrid_trainer.config.losses import DEFAULT_LOSS, LOSS_CONFIGS, FocalConfig, HuberConfig, names_for
from hybrid_trainer.criterion import Criterion
from hybrid_trainer.losses import LOSSES, CrossEntropy, Focal, Gaussian, Huber, Mse, Qlike, default_loss, make_losses
from hybrid_trainer.types import Kind, TargetSpec
from tests.test_criterion import CPU, RANGE, SIGNAL, batch, loss_and_gradients, numbers
from tests.test_criterion_weights import FORECAST, QUANTILE

VOLATILITY = replace(numbers("volatility", dim=1), labels=("log_volatility",), shift=(-4.0,), scale=(0.5,))
SPREAD = replace(RANGE, spread=True)
SOFT_SPREAD = replace(numbers(link="softplus"), spread=True)
LOGITS = torch.tensor([[0.0, math.log(2), math.log(5)], [0.0, 0.0, 0.0]])  # probabilities 1/8, 2/8, 5/8; 1/3 each

TRIED = {
    "cross_entropy": (CrossEntropy(SIGNAL), SIGNAL),
    "label_smoothing": (CrossEntropy(SIGNAL, 0.2), SIGNAL),
    "focal": (Focal(SIGNAL), SIGNAL),
    "focal_0.5": (Focal(SIGNAL, 0.5), SIGNAL),
    "mse": (Mse(RANGE), RANGE),
    "huber": (Huber(RANGE), RANGE),
    "huber_0.3": (Huber(RANGE, 0.3), RANGE),
    "mse_softplus": (Mse(numbers(link="softplus")), RANGE),
    "huber_softplus": (Huber(numbers(link="softplus")), RANGE),
    "qlike": (Qlike(VOLATILITY), VOLATILITY),
    "qlike_variance": (Qlike(VOLATILITY, "log_variance"), VOLATILITY),
    "gaussian": (Gaussian(SPREAD), SPREAD),
    "gaussian_softplus": (Gaussian(SOFT_SPREAD), SOFT_SPREAD),
}


def drawn(spec: TargetSpec, rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Random outputs and labels of a task, in float64."""
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(rows, spec.outputs, dtype=torch.float64, generator=generator)
    if spec.kind == "classification":
        return raw, torch.randint(0, spec.dim, (rows,), generator=generator)
    return raw, 2 * torch.randn(rows, spec.dim, dtype=torch.float64, generator=generator)


def test_cross_entropy_is_the_negative_log_probability_of_the_class() -> None:
    expected = torch.tensor([-math.log(5 / 8), math.log(3)])
    torch.testing.assert_close(CrossEntropy(SIGNAL)(LOGITS, torch.tensor([2, 0])), expected)


def test_label_smoothing_spreads_a_share_over_all_classes() -> None:
    nll = [-math.log(p) for p in (1 / 8, 2 / 8, 5 / 8)]
    expected = 0.7 * nll[2] + 0.3 * sum(nll) / 3
    value = CrossEntropy(SIGNAL, 0.3)(LOGITS[:1], torch.tensor([2]))
    assert value.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_the_focal_loss_counts_what_is_told_already_less(gamma: float) -> None:
    expected = torch.tensor([-((3 / 8) ** gamma) * math.log(5 / 8), (2 / 3) ** gamma * math.log(3)])
    torch.testing.assert_close(Focal(SIGNAL, gamma)(LOGITS, torch.tensor([2, 0])), expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_a_class_that_is_certain_has_no_focal_loss_and_a_finite_gradient(gamma: float) -> None:
    raw = torch.tensor([[200.0, 0.0, 0.0], [0.0, 200.0, 0.0]], requires_grad=True)
    value = Focal(SIGNAL, gamma)(raw, torch.tensor([0, 0]))
    value.sum().backward()
    assert value.tolist() == [0.0, pytest.approx(200.0)]
    assert raw.grad is not None and bool(torch.isfinite(raw.grad).all())
    assert not raw.grad[0].any() and raw.grad[1].any()


def test_mse_is_the_mean_over_the_numbers_of_a_row() -> None:
    raw, label = torch.tensor([[1.0, 5.0], [0.0, 0.0]]), torch.tensor([[0.0, 2.0], [0.5, -0.5]])
    assert Mse(RANGE)(raw, label).tolist() == [(1 + 9) / 2, 0.25]


def test_huber_is_quadratic_up_to_delta_and_linear_beyond() -> None:
    raw, label = torch.tensor([[0.5, 3.0], [1.0, -1.0]]), torch.zeros(2, 2)
    assert Huber(RANGE)(raw, label).tolist() == [(0.125 + 2.5) / 2, 0.5]
    assert Huber(RANGE, 2.0)(raw, label).tolist() == [(0.125 + 2 * (3 - 1)) / 2, 0.5]


@pytest.mark.parametrize("loss", [Mse, Huber])
def test_a_softplus_head_is_compared_behind_its_link(loss: type[Mse] | type[Huber]) -> None:
    raw = torch.tensor([[0.0]])  # softplus: log 2
    value = loss(numbers(dim=1, link="softplus"))(raw, torch.tensor([[math.log(2) + 0.5]]))
    assert value.item() == pytest.approx(0.25 if loss is Mse else 0.125, rel=1e-6)


def test_qlike_is_that_of_the_variances_in_units() -> None:
    scaled = torch.tensor([[0.4], [-1.0]], dtype=torch.float64), torch.tensor([[1.0], [0.5]], dtype=torch.float64)
    said, realised = (torch.exp(value * 0.5 - 4.0)[:, 0] for value in scaled)  # the standard deviations themselves
    ratio = realised**2 / said**2
    torch.testing.assert_close(Qlike(VOLATILITY)(*scaled), ratio - torch.log(ratio) - 1)
    ratio = realised / said  # were they logs of variances
    torch.testing.assert_close(Qlike(VOLATILITY, "log_variance")(*scaled), ratio - torch.log(ratio) - 1)


def test_qlike_is_zero_at_the_label_and_too_little_costs_more_than_too_much() -> None:
    label = torch.zeros(3, 1)
    exact, half, double = Qlike(VOLATILITY)(torch.tensor([[0.0], [-1.0], [1.0]]), label).tolist()
    assert exact == 0
    assert half > double > 0


def test_the_gaussian_loss_is_torchs_own_density() -> None:
    raw, label = drawn(SOFT_SPREAD, 5, 0)
    variance = torch.exp(raw[:, 2:]) + 1e-6
    density = torch.distributions.Normal(F.softplus(raw[:, :2]), variance.sqrt())
    torch.testing.assert_close(Gaussian(SOFT_SPREAD)(raw, label), -density.log_prob(label).mean(dim=1))


def test_labels_that_are_told_exactly_leave_the_gaussian_loss_finite() -> None:
    raw = torch.tensor([[0.0, 0.0, -1e4, -1e4]], requires_grad=True)
    value = Gaussian(SPREAD)(raw, torch.tensor([[0.0, 0.0]]))
    value.sum().backward()
    assert value.item() == pytest.approx(0.5 * (math.log(2 * math.pi) + math.log(1e-6)), rel=1e-5)
    assert raw.grad is not None and bool(torch.isfinite(raw.grad).all())


@pytest.mark.parametrize("name", TRIED)
def test_gradients_are_right(name: str) -> None:
    loss, spec = TRIED[name]
    raw, label = drawn(spec, 6, 1)
    assert torch.autograd.gradcheck(lambda x: loss(x, label), raw.requires_grad_())


@pytest.mark.parametrize("name", TRIED)
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.booleans(), min_size=2, max_size=9).filter(any), st.data())
def test_masked_rows_change_neither_loss_nor_gradient(
    name: str, seed: int, kept: list[bool], data: st.DataObject
) -> None:
    loss, spec = TRIED[name]
    raw, label = (value.float() if value.is_floating_point() else value for value in drawn(spec, len(kept), seed))
    known = torch.tensor(kept)
    odd = [-1, 7] if spec.kind == "classification" else [math.nan, math.inf, -math.inf, 1e30]
    label[~known] = data.draw(st.sampled_from(odd))
    criterion = Criterion([spec], {spec.name: loss}, {}, CPU)
    parts, gradients = loss_and_gradients(
        criterion, {spec.name: raw}, batch({spec.name: label}, {spec.name: known.float().tolist()})
    )
    alone, expected = loss_and_gradients(
        criterion, {spec.name: raw[known]}, batch({spec.name: label[known]}, {spec.name: [1.0] * sum(kept)})
    )
    assert parts.counts.item() == sum(kept)
    torch.testing.assert_close(parts.total, alone.total)
    torch.testing.assert_close(gradients[spec.name][known], expected[spec.name])
    assert not gradients[spec.name][~known].any()


@pytest.mark.parametrize("spec", [SIGNAL, RANGE, QUANTILE, FORECAST], ids=lambda spec: str(spec.kind))
def test_every_loss_that_fits_a_kind_can_be_made_from_its_config(spec: TargetSpec) -> None:
    for name in names_for(spec.kind):
        fits = {"gaussian": replace(spec, spread=True), "qlike": VOLATILITY}.get(name, spec)
        (loss,) = make_losses([fits], {fits.name: LOSS_CONFIGS.get(name, "")()}).values()
        raw, label = drawn(fits, 4, 2)
        label = label[:, :1] if spec.kind == "quantile" else label
        assert loss(raw, label).shape == (4,)
        assert type(loss) is LOSSES.get(name, "")


def test_configs_and_makers_have_the_same_names_and_options() -> None:
    assert list(LOSSES) == list(LOSS_CONFIGS)
    for name in LOSSES:
        config = LOSS_CONFIGS.get(name, "")()
        made = LOSSES.get(name, "")(SIGNAL, **config.options)
        assert {option: getattr(made, option) for option in config.options} == config.options


def test_options_reach_the_loss_and_other_tasks_have_their_default() -> None:
    made = make_losses([SIGNAL, RANGE], {"signal": FocalConfig(gamma=3.0)})
    assert made == {"signal": Focal(SIGNAL, 3.0)}
    assert make_losses([RANGE], {"range": HuberConfig(delta=0.5)}) == {"range": Huber(RANGE, 0.5)}
    assert default_loss(RANGE) == Huber(RANGE) and default_loss(SIGNAL) == CrossEntropy(SIGNAL)


@pytest.mark.parametrize("kind", ["classification", "regression", "quantile", "forecast"])
def test_the_default_of_a_kind_fits_it(kind: Kind) -> None:
    assert DEFAULT_LOSS[kind] in names_for(kind)
