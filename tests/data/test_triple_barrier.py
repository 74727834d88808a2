"""Which barrier is touched first, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.config.targets import TripleBarrierTarget
from hybrid_trainer.data.labelling import build_targets
from hybrid_trainer.data.targets import NO_CLASS, Target
from tests.data.tables import FEW_EXAMPLES, Values, price_table, random_prices

STOP, OUT, TAKE = 0, 1, 2
# Log closes 0 1 0 (times ln 2): at row 2 the deviation of two returns is ln 2, so one unit is a doubling or a halving.
START = [1.0, 2.0, 1.0]


def label(bars: list[tuple[float, float]], **config: float) -> int:
    """The label of row 2, whose close is 1, for (low, high) bars after it."""
    lows, highs = [*START, *(low for low, _ in bars)], [*START, *(high for _, high in bars)]
    close = np.array([*START, *(1.0 for _ in bars)])
    prices = {"open": close, "high": np.array(highs), "low": np.array(lows), "close": close}
    settings = {"horizon": len(bars), "lookback": 2, "take_profit": 1.0, "stop_loss": 1.0} | config
    return int(barrier(prices, **settings).values[2])


def barrier(prices: dict[str, Values], **settings: float) -> Target:
    return build_targets(price_table({"A": prices}), {"task": TripleBarrierTarget(**settings)})[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bars", "expected"),
    [
        ([(0.9, 1.1), (0.9, 2.1)], TAKE),
        ([(0.9, 1.1), (0.4, 1.1)], STOP),
        ([(0.9, 1.1), (0.6, 1.9)], OUT),
        ([(0.9, 2.1), (0.1, 1.1)], TAKE),  # the first touch decides
        ([(0.4, 1.1), (0.9, 9.0)], STOP),
        ([(0.4, 2.1), (0.9, 1.1)], STOP),  # both within one bar: the worse is assumed
    ],
)
def test_the_first_barrier_decides(bars: list[tuple[float, float]], expected: int) -> None:
    assert label(bars) == expected


def test_the_barriers_stand_at_multiples_of_the_deviation_each_on_its_own() -> None:
    assert label([(0.3, 3.9)], take_profit=2.0, stop_loss=2.0) == OUT
    assert label([(0.3, 4.1)], take_profit=2.0, stop_loss=2.0) == TAKE
    assert label([(0.3, 3.9)], take_profit=2.0, stop_loss=1.5) == STOP
    assert label([(0.9, 2.1)], take_profit=2.0, stop_loss=1.0) == OUT
    assert label([(0.9, 1e9)], take_profit=1e6, stop_loss=1.0) == OUT  # as good as no barrier


def test_a_barrier_that_is_just_reached_is_touched() -> None:
    # (1, 3, 1): the deviation is exactly log 3, whatever its rounding the barrier is exp(log 3)
    close = np.array([1.0, 3.0, 1.0, 1.0])
    upper = np.exp(np.sqrt((np.log(3.0) ** 2 + np.log(3.0) ** 2) / 2))
    prices = {"open": close, "high": np.array([1, 3, 1, upper]), "low": close, "close": close}
    assert barrier(prices, horizon=1, lookback=2, take_profit=1.0, stop_loss=1.0).values.tolist() == [-1, -1, TAKE, -1]


def test_only_rows_with_the_whole_horizon_and_a_deviation_have_a_label() -> None:
    target = barrier(random_prices(30, 1), horizon=4, lookback=5)
    assert target.labelled.tolist() == [False] * 5 + [True] * 21 + [False] * 4
    assert target.spec.labels == ("stop_loss", "time_out", "take_profit")
    assert (target.spec.kind, target.spec.dim, target.spec.horizon, target.weights) == ("classification", 3, 4, None)
    still = {name: np.full(20, 7.0) for name in ("open", "high", "low", "close")}
    assert not barrier(still, horizon=2, lookback=3).labelled.any()


def test_a_missing_price_within_the_horizon_masks_the_label() -> None:
    prices = random_prices(30, 1)
    prices["high"][20] = np.nan
    labelled = barrier(prices, horizon=4, lookback=5).labelled
    assert np.flatnonzero(~labelled).tolist() == [0, 1, 2, 3, 4, 16, 17, 18, 19, 26, 27, 28, 29]


@FEW_EXAMPLES
@given(seed=st.integers(0, 2**31))
def test_it_is_what_a_loop_finds(seed: int) -> None:
    prices = random_prices(60, seed)
    target = barrier(prices, horizon=5, lookback=6, take_profit=1.5, stop_loss=1.0, uniqueness_weights=True)
    returns = np.diff(np.log(prices["close"]))
    held = np.zeros(60, dtype=int)
    for t in range(60):
        if t < 6 or t + 5 >= 60:
            assert target.values[t] == NO_CLASS
            continue
        deviation = np.sqrt((returns[t - 6 : t] ** 2).mean())
        found, held[t] = OUT, 5
        for bar in range(1, 6):
            if prices["low"][t + bar] <= prices["close"][t] * np.exp(-deviation):
                found, held[t] = STOP, bar
                break
            if prices["high"][t + bar] >= prices["close"][t] * np.exp(1.5 * deviation):
                found, held[t] = TAKE, bar
                break
        assert target.values[t] == found
    alive = [sum(t < bar <= t + held[t] for t in range(60)) for bar in range(60)]
    expected = [np.mean([1 / alive[bar] for bar in range(t + 1, t + held[t] + 1)]) if held[t] else 0 for t in range(60)]
    assert target.weights is not None
    np.testing.assert_allclose(target.weights, expected, rtol=1e-6)
