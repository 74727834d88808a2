"""Weights from each task's noise: the gradient that is written down is the one of what is minimised."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hybrid_trainer.balancing.uncertainty import Uncertainty
from tests.engine.helpers import SPECS

TAKEN, SKIPPED = torch.zeros(()), torch.ones(())


def minimised(s: Tensor, means: Tensor, given_weights: Tensor, known: list[int]) -> Tensor:
    """As in the paper: classification without, regression with the half; s is the log of the variance."""
    classes = given_weights[0] * torch.exp(-s[0]) * means[0] + s[0] / 2
    numbers = given_weights[1] * torch.exp(-s[1]) * means[1] / 2 + s[1] / 2
    return sum((value for index, value in enumerate((classes, numbers)) if index in known), torch.zeros(()))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(-3, 3), min_size=2, max_size=2),
    st.lists(st.floats(0.01, 50), min_size=2, max_size=2),
    st.lists(st.integers(0, 9), min_size=2, max_size=2),
)
def test_loss_and_gradient_are_those_of_the_paper(s: list[float], sums: list[float], labels: list[int]) -> None:
    given_weights, counts = torch.tensor([2.0, 0.5]), torch.tensor(labels).float()
    balancing = Uncertainty(SPECS, given_weights)
    balancing.load_state_dict({"learned": torch.tensor(s), "minimised": torch.zeros(2)})
    leaf = torch.tensor(s, requires_grad=True)
    means = torch.tensor(sums) / counts.clamp(min=1)
    expected = minimised(leaf, means, given_weights, [index for index in range(2) if labels[index]])
    (slope,) = torch.autograd.grad(expected, leaf, allow_unused=True) if any(labels) else (torch.zeros(2),)
    balancing.learn(torch.tensor(sums) * (counts > 0), counts)
    torch.testing.assert_close(balancing.learned.grad, slope)
    balancing.settle(TAKEN)
    assert balancing.row({})["train/loss"] == pytest.approx(expected.item(), rel=1e-5, abs=1e-5)


def test_weights_begin_at_one_for_classes_and_a_half_for_numbers() -> None:
    balancing = Uncertainty(SPECS, torch.tensor([1.0, 3.0]))
    assert balancing.row({}) == pytest.approx(
        {"train/loss": math.nan, "train/signal/weight": 1.0, "train/range/weight": 1.5}, nan_ok=True
    )


def test_the_variance_that_is_found_is_that_of_the_loss() -> None:
    """Of a loss that stays as it is, c exp(-s) loss + s / 2 is least where the weighted loss is 1/2."""
    balancing = Uncertainty(SPECS, torch.ones(2))
    optimizer = torch.optim.SGD(balancing.parameters, lr=0.5)
    for _ in range(200):
        balancing.learn(torch.tensor([8.0, 1.0]), torch.tensor([2.0, 10.0]))  # means of 4 and 0.1
        optimizer.step()
        balancing.settle(TAKEN)
    torch.testing.assert_close(balancing.weights, torch.tensor([1 / 8, 5.0]), rtol=1e-4, atol=0)


def test_a_task_of_weight_zero_stays_out() -> None:
    balancing = Uncertainty(SPECS, torch.tensor([1.0, 0.0]))
    balancing.learn(torch.ones(2), torch.ones(2))
    assert balancing.learned.grad is not None
    assert balancing.learned.grad.tolist() == [-0.5, 0.0]
    assert balancing.weights.tolist() == [1.0, 0.0]


def test_the_log_variance_has_bounds() -> None:
    balancing = Uncertainty(SPECS, torch.ones(2))
    with torch.no_grad():
        balancing.learned.copy_(torch.tensor([-50.0, 50.0]))
    balancing.learn(torch.ones(2), torch.ones(2))
    balancing.settle(TAKEN)
    assert balancing.learned.tolist() == [-10.0, 10.0]


def test_a_step_that_was_skipped_is_not_counted() -> None:
    balancing = Uncertainty(SPECS, torch.ones(2))
    balancing.learn(torch.tensor([math.nan, 1.0]), torch.ones(2))
    balancing.settle(SKIPPED)
    balancing.learn(torch.ones(2), torch.ones(2))
    balancing.settle(TAKEN)
    assert balancing.row({})["train/loss"] == pytest.approx(1.5)
    balancing.begin_epoch()
    assert math.isnan(balancing.row({})["train/loss"])
