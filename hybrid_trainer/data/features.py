"""Causal indicators: each is a function of the rows [t - lookback + 1, t] alone. Imports no torch.

Every sum runs over its lags in one fixed order, so the same rows give the same bits wherever the table starts; a
cumulative sum would not. No indicator is a price level: all are returns, ratios or logs of ratios, on one scale in
every year. Names and order are part of the contract between a saved model and its input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_TINY = 1e-6  # a volatility of 0.0001 % per bar: where nothing moves, the log stays finite


@dataclass(frozen=True, kw_only=True)
class Bars:
    """One instrument's bars in the order of time, (n,) each; `volume` may be missing."""

    open: Values
    high: Values
    low: Values
    close: Values
    volume: Values | None

    @classmethod
    def of(cls, prices: dict[str, Values], start: int, stop: int) -> Bars:
        """The bars of the rows [start, stop) of a table's price columns."""
        part = {name: values[start:stop] for name, values in prices.items()}
        return cls(
            open=part["open"], high=part["high"], low=part["low"], close=part["close"], volume=part.get("volume")
        )


@dataclass(frozen=True)
class Feature:
    """A named indicator; rows before the first full lookback are NaN."""

    name: str
    lookback: int
    compute: Callable[[Bars], Values]
    needs_volume: bool


CORE: dict[str, Feature] = {}


def feature(
    name: str, lookback: int, needs_volume: bool = False
) -> Callable[[Callable[[Bars], Values]], Callable[[Bars], Values]]:
    """Enter a function into the core set; `lookback` counts the rows it reads, the decision row included."""

    def enter(compute: Callable[[Bars], Values]) -> Callable[[Bars], Values]:
        CORE[name] = Feature(name, lookback, compute, needs_volume)
        return compute

    return enter


def compute_core(prices: dict[str, Values], blocks: list[tuple[int, int]]) -> tuple[Values, tuple[str, ...]]:
    """Compute the core set for every instrument.

    Args:
        prices: (N,) per price column, sorted by instrument, then time.
        blocks: [start, stop) rows of each instrument.

    Returns:
        (N, F) float64, NaN where the lookback isn't full or a price is missing; and the F names. Without a volume
        column the indicators that need one are left out.
    """
    active = [entry for entry in CORE.values() if not entry.needs_volume or "volume" in prices]
    matrix = np.full((len(prices["close"]), len(active)), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        for start, stop in blocks:
            bars = Bars.of(prices, start, stop)
            for column, entry in enumerate(active):
                values = entry.compute(bars)
                values[: entry.lookback - 1] = np.nan
                matrix[start:stop, column] = values
    return matrix, tuple(entry.name for entry in active)


def lagged(x: Values, lag: int) -> Values:
    """x at t - lag; NaN in the first `lag` rows."""
    out = np.full_like(x, np.nan)
    out[lag:] = x[: max(len(x) - lag, 0)]
    return out


def rolling_sum(x: Values, window: int) -> Values:
    """Sum of the last `window` rows, oldest first, in the same order for every row; NaN before it is full."""
    total = lagged(x, window - 1)
    for lag in range(window - 2, -1, -1):
        total = total + lagged(x, lag)
    return total


def log_return(close: Values, bars: int = 1) -> Values:
    """log(close_t / close_{t - bars})."""
    log = np.log(close)
    return log - lagged(log, bars)


def true_range(bars: Bars) -> Values:
    """Wilder (1978): the largest of high - low, |high - previous close|, |low - previous close|."""
    previous = lagged(bars.close, 1)
    return np.maximum(bars.high - bars.low, np.maximum(np.abs(bars.high - previous), np.abs(bars.low - previous)))


def average_true_range(bars: Bars, window: int) -> Values:
    """Mean true range of the last `window` bars (a simple mean: its lookback is finite), in price units."""
    return rolling_sum(true_range(bars), window) / window


def root_mean_square_return(close: Values, window: int) -> Values:
    """Standard deviation of the last `window` log returns around zero."""
    deviation: Values = np.sqrt(rolling_sum(log_return(close) ** 2, window) / window)
    return deviation


@feature("return_1", 2)
def _return_1(bars: Bars) -> Values:
    return log_return(bars.close)


@feature("return_5", 6)
def _return_5(bars: Bars) -> Values:
    return log_return(bars.close, 5)


@feature("return_20", 21)
def _return_20(bars: Bars) -> Values:
    return log_return(bars.close, 20)


@feature("overnight_return", 2)
def _overnight_return(bars: Bars) -> Values:
    return np.log(bars.open) - lagged(np.log(bars.close), 1)


@feature("intraday_return", 1)
def _intraday_return(bars: Bars) -> Values:
    return np.log(bars.close / bars.open)


@feature("range", 1)
def _range(bars: Bars) -> Values:
    return np.log(bars.high / bars.low)


@feature("close_in_range", 1)
def _close_in_range(bars: Bars) -> Values:
    """Where the close stands between low (-1) and high (+1); 0 where the bar has no range."""
    span = bars.high - bars.low
    return np.where(span == 0, 0.0, (2 * bars.close - bars.high - bars.low) / span)


@feature("log_volatility_5", 6)
def _log_volatility_5(bars: Bars) -> Values:
    return np.log(root_mean_square_return(bars.close, 5) + _TINY)


@feature("log_volatility_20", 21)
def _log_volatility_20(bars: Bars) -> Values:
    return np.log(root_mean_square_return(bars.close, 20) + _TINY)


@feature("log_volatility_60", 61)
def _log_volatility_60(bars: Bars) -> Values:
    return np.log(root_mean_square_return(bars.close, 60) + _TINY)


@feature("log_range_10", 10)
def _log_range_10(bars: Bars) -> Values:
    """Log of Parkinson's (1980) volatility of the last 10 bars."""
    squares: Values = np.log(bars.high / bars.low) ** 2
    variance = rolling_sum(squares, 10) / (40 * np.log(2))
    log_range: Values = np.log(np.sqrt(variance) + _TINY)
    return log_range


@feature("distance_20", 20)
def _distance_20(bars: Bars) -> Values:
    """How many standard deviations the log close stands from its mean over 20 bars; 0 where nothing moves."""
    log = np.log(bars.close)
    mean = rolling_sum(log, 20) / 20
    spread = np.zeros_like(log)
    for lag in range(19, -1, -1):
        spread = spread + (lagged(log, lag) - mean) ** 2
    deviation = np.sqrt(spread / 20)
    return np.where(deviation < _TINY, 0.0, (log - mean) / deviation)


@feature("relative_volume_1", 20, needs_volume=True)
def _relative_volume_1(bars: Bars) -> Values:
    """Log of the volume against its mean over 20 bars."""
    assert bars.volume is not None
    return np.log((bars.volume + 1) / (rolling_sum(bars.volume, 20) / 20 + 1))


@feature("relative_volume_5", 60, needs_volume=True)
def _relative_volume_5(bars: Bars) -> Values:
    """Log of the mean volume of 5 bars against that of 60."""
    assert bars.volume is not None
    return np.log((rolling_sum(bars.volume, 5) / 5 + 1) / (rolling_sum(bars.volume, 60) / 60 + 1))
