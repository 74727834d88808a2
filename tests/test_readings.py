"""What monitors read off epoch rows."""

from __future__ import annotations

import math

import pytest

from hybrid_trainer.readings import MeanLoss, WeightedSum

NAN = math.nan


def rows(**values: list[float]) -> list[dict[str, float]]:
    """Epoch rows; a__b stands for a/b."""
    count = len(next(iter(values.values())))
    named = {f"valid/{name.replace('__', '/')}": each for name, each in values.items()}
    return [{"epoch": i + 1} | {name: each[i] for name, each in named.items()} for i in range(count)]


def test_normalised_errors_are_shares_of_their_first_number_and_scores_enter_as_they_are() -> None:
    reading = WeightedSum({"valid/range/rmse": 1.0, "valid/signal/mcc": 2.0}, normalise=True)
    given = rows(range__rmse=[NAN, 4.0, 2.0], signal__mcc=[0.5, 0.5, 0.25])
    values = [reading.value(row) for row in given]
    assert math.isnan(values[0]) and values[1:] == [-1.0 + 1.0, -0.5 + 0.5]
    assert reading.state_dict() == {"first": {"valid/range/rmse": 4.0}}
    assert reading.text == "- 1 valid/range/rmse + 2 valid/signal/mcc (errors as shares of their first)"


def test_a_first_number_below_zero_counts_by_its_size_and_zero_as_one() -> None:
    reading = WeightedSum({"valid/a/loss": 1.0, "valid/b/loss": 1.0}, normalise=True)
    assert [reading.value(row) for row in rows(a__loss=[-2.0, -4.0], b__loss=[0.0, 3.0])] == [1.0, 2.0 - 3.0]


def test_the_mean_loss_is_over_the_tasks_that_have_a_label() -> None:
    reading = MeanLoss(["valid/a/loss", "valid/b/loss", "valid/c/loss"])
    given = rows(a__loss=[2.0, 1.0], b__loss=[10.0, 8.0], c__loss=[NAN, NAN])
    assert [reading.value(row) for row in given] == [1.0, pytest.approx((0.5 + 0.8) / 2)]
    assert reading.lower_is_better
    assert math.isnan(MeanLoss(["valid/a/loss"]).value({"valid/a/loss": NAN}))
