"""Weights from the last two epochs' training losses."""

from __future__ import annotations

import math

import pytest
import torch

from hybrid_trainer.balancing.dwa import DynamicWeightAverage

TASKS = ["a", "b", "c"]


def row(*losses: float) -> dict[str, float]:
    return {f"train/{task}/loss": loss for task, loss in zip(TASKS, losses, strict=True)}


def made(*given: float) -> DynamicWeightAverage:
    return DynamicWeightAverage(TASKS, torch.tensor(given), temperature=2.0)


def test_the_first_two_epochs_have_the_given_weights() -> None:
    balancing = made(1.0, 2.0, 1.0)
    for _ in range(2):
        assert balancing.weights.tolist() == [1.0, 2.0, 1.0]
        balancing.advance(row(1.0, 1.0, 1.0))
    torch.testing.assert_close(balancing.weights, torch.tensor([1.0, 2.0, 1.0]))


def test_a_loss_that_falls_slowly_gets_more_weight() -> None:
    balancing = made(1.0, 2.0, 1.0)
    for losses in ((9.0, 9.0, 9.0), (4.0, 1.0, 2.0), (2.0, 1.0, 3.0)):  # the first is forgotten
        balancing.advance(row(*losses))
    powers = [math.exp(ratio / 2) for ratio in (0.5, 1.0, 1.5)]
    expected = [given * 3 * power / sum(powers) for given, power in zip((1, 2, 1), powers, strict=True)]
    torch.testing.assert_close(balancing.weights, torch.tensor(expected))


def test_the_total_is_by_the_weights_of_its_epoch() -> None:
    balancing = made(1.0, 2.0, 1.0)
    said = balancing.row(row(1.0, 10.0, math.nan))
    assert said == {"train/loss": 21.0, "train/a/weight": 1.0, "train/b/weight": 2.0, "train/c/weight": 1.0}


@pytest.mark.parametrize("odd", [(math.nan, 1.0), (1.0, math.nan), (0.0, 1.0), (-1.0, 1.0)])
def test_a_ratio_that_is_not_known_counts_as_no_change(odd: tuple[float, float]) -> None:
    balancing, plain = made(1.0, 1.0, 1.0), made(1.0, 1.0, 1.0)
    for step in range(2):
        balancing.advance(row(odd[step], 2.0, 1.0 + step))
        plain.advance(row(1.0, 2.0, 1.0 + step))
    assert torch.equal(balancing.weights, plain.weights)
    assert balancing.weights.sum().item() == pytest.approx(3.0)


def test_a_task_of_weight_zero_is_not_among_those_that_share() -> None:
    balancing = made(1.0, 0.0, 1.0)
    for losses in ((4.0, 1.0, 2.0), (2.0, 9.0, 3.0)):
        balancing.advance(row(*losses))
    assert balancing.weights[1] == 0
    assert balancing.weights.sum().item() == pytest.approx(2.0)


def test_another_takes_the_state_over_with_weights_of_its_own() -> None:
    balancing, other = made(1.0, 1.0, 1.0), made(2.0, 2.0, 2.0)
    for losses in ((4.0, 1.0, 2.0), (2.0, 9.0, 3.0)):
        balancing.advance(row(*losses))
    other.load_state_dict(balancing.state_dict())
    assert torch.equal(other.weights, 2 * balancing.weights)
