"""The curve of a range test: hand-made losses, and pandas' exponential average as the oracle."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from hybrid_trainer.tune.curve import BETA, Smoother, Suggestion, rates_between, run_test, smoothed, suggest


def test_rates_grow_by_the_same_factor() -> None:
    assert rates_between(1e-4, 1.0, 5) == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1])


def test_smoothing_is_pandas_adjusted_exponential_average() -> None:
    losses = np.random.default_rng(0).uniform(1, 3, size=50)
    smoother = Smoother()
    mine = [smoother.add(loss) for loss in losses.tolist()]
    left = pd.Series(losses).ewm(alpha=1 - BETA, adjust=True).mean().to_numpy()
    assert mine == pytest.approx(left)
    right = pd.Series(losses[::-1]).ewm(alpha=1 - BETA, adjust=True).mean().to_numpy()[::-1]
    assert smoothed(losses) == pytest.approx((left + right) / 2)


def test_smoothing_from_both_sides_does_not_lag() -> None:
    ramp = 50 + np.arange(101.0)
    assert smoothed(ramp)[50] == pytest.approx(100, rel=1e-3)
    assert smoothed(ramp[::-1]) == pytest.approx(smoothed(ramp)[::-1])


def test_what_has_diverged_hides_nothing_before_it() -> None:
    losses = np.array([4.0, 3, 2, 1, 1e6])
    best = (0.9**3 * 4 + 0.9**2 * 3 + 0.9 * 2 + 1) / (0.9**3 + 0.9**2 + 0.9 + 1)
    assert smoothed(losses) == pytest.approx(smoothed(np.array([4.0, 3, 2, 1, 4 * best])))


def test_a_test_ends_when_the_smoothed_loss_is_four_times_its_best() -> None:
    told: list[float] = []
    losses = iter([1.0, 1.0, 30.0, 60.0, 0.5])

    def loss_at(rate: float) -> float:
        told.append(rate)
        return next(losses)

    # 1, 1, then (0.81 + 0.9 + 30) / 2.71 = 11.7
    assert run_test(np.array([1e-3, 1e-2, 1e-1, 1.0, 10.0]), loss_at).tolist() == [1.0, 1.0, 30.0]
    assert told == [1e-3, 1e-2, 1e-1]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_it_and_is_left_out(bad: float) -> None:
    losses = iter([2.0, 1.0, bad, 0.5])
    assert run_test(np.ones(4), lambda rate: next(losses)).tolist() == [2.0, 1.0]


def test_the_suggestions_of_a_curve_drawn_by_hand() -> None:
    rates = np.logspace(-6, 0, 13)
    #           1e-6            1e-4      1e-3      1e-2      1e-1      1
    smooth = [5, 5, 5, 4.9, 4.7, 4, 3, 2.5, 2.2, 2.1, 2.0, 4, 9]
    # The gradient takes both neighbours: it is steepest where 4.7 has become 3, at 10 ** -3.5; the minimum is at 0.1.
    found = suggest(rates, np.array(smooth))
    assert found is not None
    assert (found.steepest, found.tenth) == (pytest.approx(10**-3.5), pytest.approx(1e-2))


def test_a_fall_behind_the_minimum_or_at_the_very_start_does_not_count() -> None:
    rates = np.logspace(-9, 0, 20)
    smooth = np.array([9.0, 4, 4, 4, 4, 3.9, 3.6, 3.4, 3.3, 3.2, 5, 8, 20, 50, 90, 40, 20, 10, 20, 50])
    found = suggest(rates, smooth)
    assert found == Suggestion(pytest.approx(rates[6]), pytest.approx(rates[9] / 10))  # type: ignore[arg-type]


@pytest.mark.parametrize("losses", [[], [1.0], [1.0, 2.0, 3.0, 4.0]])
def test_a_loss_that_never_falls_suggests_nothing(losses: list[float]) -> None:
    assert suggest(np.logspace(-6, 0, 10), np.array(losses)) is None
