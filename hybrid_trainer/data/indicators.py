"""Textbook indicators of price, in their own units: averages, oscillators, channels. Imports no torch.

Each is a function of a finite number of rows. Exponential means are cut off where the weights behind sum to less than
0.1 % (`ema_rows`, `wilder_rows`): what stands further back moves a value by no more than that. Where an indicator
divides by nothing (a market that stands still) it has its middle value.

Sources: Wilder (1978) for RSI, ATR, ADX; Appel for MACD and PPO; Lane for the stochastic; Lambert for CCI; Williams for
%R and the ultimate oscillator; Chande for CMO and the stochastic RSI; Hutson for TRIX; Ehlers (2002) for the Fisher
transform; Hosoda for Ichimoku.
"""

from __future__ import annotations

import numpy as np

from hybrid_trainer.data.bars import Bars, true_range
from hybrid_trainer.data.kernels import (
    Values,
    geometric_sum,
    lagged,
    mean_absolute_deviation,
    memory,
    ratio,
    rolling_max,
    rolling_mean,
    rolling_min,
    rolling_std,
    rolling_sum,
    truncated_mean,
)

_STILL = 1e-9  # of a quantity between 0 and 100: rounding, no movement
_FISHER_POSITION, _FISHER_VALUE = 0.67, 0.5  # Ehlers' decays
FISHER_POSITION_ROWS, FISHER_VALUE_ROWS = memory(_FISHER_POSITION), memory(_FISHER_VALUE)


def ema_rows(span: int) -> int:
    """How many rows an exponential mean with alpha = 2 / (span + 1) reads."""
    return memory(1 - 2 / (span + 1))


def wilder_rows(window: int) -> int:
    """How many rows Wilder's mean with alpha = 1 / window reads."""
    return memory(1 - 1 / window)


def ema(x: Values, span: int) -> Values:
    """Exponential mean with alpha = 2 / (span + 1)."""
    return truncated_mean(x, 1 - 2 / (span + 1), ema_rows(span))


def wilder(x: Values, window: int) -> Values:
    """Wilder's mean: exponential with alpha = 1 / window."""
    return truncated_mean(x, 1 - 1 / window, wilder_rows(window))


def rsi(close: Values, window: int) -> Values:
    """Relative strength index, 0 to 100."""
    change = close - lagged(close, 1)
    gain, loss = wilder(np.maximum(change, 0), window), wilder(np.maximum(-change, 0), window)
    return 100 * ratio(gain, gain + loss, 0.5)


def cmo(close: Values, window: int) -> Values:
    """Chande's momentum oscillator, -100 to 100, from plain sums (smoothed as in Wilder's it would be RSI again)."""
    change = close - lagged(close, 1)
    return 100 * ratio(rolling_sum(change, window), rolling_sum(np.abs(change), window), 0.0)


def stochastic_rsi(close: Values, window: int) -> Values:
    """Where RSI stands in its own range over `window` rows, 0 to 100."""
    strength = rsi(close, window)
    lowest = rolling_min(strength, window)
    span = rolling_max(strength, window) - lowest
    return np.where(span < _STILL, 50.0, 100 * (strength - lowest) / span)


def macd(close: Values, fast: int, slow: int) -> Values:
    """The MACD line, in price units."""
    return ema(close, fast) - ema(close, slow)


def ppo(close: Values, fast: int, slow: int) -> Values:
    """The MACD line in per cent of the slow mean."""
    slow_mean = ema(close, slow)
    return 100 * (ema(close, fast) - slow_mean) / slow_mean


def trix(close: Values, span: int) -> Values:
    """Change of the triple exponential mean over one row, in per cent."""
    smooth = ema(ema(ema(close, span), span), span)
    before = lagged(smooth, 1)
    return 100 * (smooth - before) / before


def bollinger(close: Values, window: int, deviations: float) -> Values:
    """The band that lies `deviations` standard deviations above the mean (below, where negative)."""
    return rolling_mean(close, window) + deviations * rolling_std(close, window)


def atr(bars: Bars, window: int) -> Values:
    """Wilder's mean of the true range, in price units."""
    return wilder(true_range(bars), window)


def fast_stochastic(bars: Bars, window: int) -> Values:
    """Where the close stands in the range of `window` rows, 0 to 100."""
    lowest = rolling_min(bars.low, window)
    return 100 * ratio(bars.close - lowest, rolling_max(bars.high, window) - lowest, 0.5)


def stochastic_k(bars: Bars, window: int, smooth: int) -> Values:
    """The slow %K: the mean of `smooth` fast ones."""
    return rolling_mean(fast_stochastic(bars, window), smooth)


def williams_r(bars: Bars, window: int) -> Values:
    """Williams' %R, -100 to 0."""
    return fast_stochastic(bars, window) - 100


def adx(bars: Bars, window: int) -> Values:
    """Average directional index, 0 to 100."""
    up, down = bars.high - lagged(bars.high, 1), lagged(bars.low, 1) - bars.low
    neither = 0 * (up + down)  # 0, but NaN where a price is missing
    plus = wilder(np.where((up > down) & (up > 0), up, neither), window)
    minus = wilder(np.where((down > up) & (down > 0), down, neither), window)
    return wilder(100 * ratio(np.abs(plus - minus), plus + minus, 0.0), window)


def typical_price(bars: Bars) -> Values:
    """Mean of high, low and close."""
    return (bars.high + bars.low + bars.close) / 3


def cci(bars: Bars, window: int) -> Values:
    """Commodity channel index: distance of the typical price from its mean, in units of 0.015 mean deviations."""
    price = typical_price(bars)
    distance = price - rolling_mean(price, window)
    deviation = mean_absolute_deviation(price, window)
    return np.where(deviation <= _STILL * price / 100, 0.0, distance / (0.015 * deviation))


def momentum(close: Values, lag: int) -> Values:
    """Change over `lag` rows, in price units."""
    return close - lagged(close, lag)


def rate_of_change(close: Values, lag: int) -> Values:
    """Change over `lag` rows, in per cent."""
    return 100 * (close / lagged(close, lag) - 1)


def ultimate_oscillator(bars: Bars, windows: tuple[int, int, int]) -> Values:
    """Williams' ultimate oscillator, 0 to 100: buying pressure over three windows, weighted 4, 2, 1."""
    previous = lagged(bars.close, 1)
    pressure, span = bars.close - np.minimum(bars.low, previous), true_range(bars)
    short, middle, long = (ratio(rolling_sum(pressure, window), rolling_sum(span, window), 0.5) for window in windows)
    return 100 * (4 * short + 2 * middle + long) / 7


def detrended_price(close: Values, window: int) -> Values:
    """The close of window / 2 + 1 rows ago less the mean of the last `window`; nothing later than the row is read."""
    return lagged(close, window // 2 + 1) - rolling_mean(close, window)


def ichimoku_line(bars: Bars, window: int) -> Values:
    """The middle between the highest high and the lowest low: conversion (9), base (26), span B (52)."""
    return (rolling_max(bars.high, window) + rolling_min(bars.low, window)) / 2


def ichimoku_span_a(bars: Bars, conversion: int, base: int) -> Values:
    """The middle between conversion and base line, known at t: not moved into the future."""
    return (ichimoku_line(bars, conversion) + ichimoku_line(bars, base)) / 2


def fisher(bars: Bars, window: int) -> Values:
    """Ehlers' Fisher transform of where the middle of the bar stands in its range over `window` rows."""
    middle = (bars.high + bars.low) / 2
    lowest = rolling_min(middle, window)
    position = ratio(middle - lowest, rolling_max(middle, window) - lowest, 0.5) - 0.5
    smooth = 0.66 * geometric_sum(position, _FISHER_POSITION, FISHER_POSITION_ROWS)
    smooth = np.clip(smooth, -0.999, 0.999)
    value: Values = 0.5 * np.log((1 + smooth) / (1 - smooth))
    return geometric_sum(value, _FISHER_VALUE, FISHER_VALUE_ROWS)
