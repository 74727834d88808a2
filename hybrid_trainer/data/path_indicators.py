"""Indicators that walk along a path: every row starts its own walk a fixed number of rows back. Imports no torch.

The walks of all rows are taken in step, so that the loop runs over the lookback and not over the rows.
Sources: Wilder (1978) for the parabolic SAR, Kaufman (1995) for KAMA.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.data.bars import Bars
from hybrid_trainer.data.kernels import Values, lagged, ratio, rolling_sum

Bar = tuple[Values, Values]  # high, low


def kama(close: Values, window: int, steps: int, fast: int = 2, slow: int = 30) -> Values:
    """Kaufman's adaptive mean after `steps` steps from the close before them; reads window + steps rows."""
    change, path = np.abs(close - lagged(close, window)), rolling_sum(np.abs(close - lagged(close, 1)), window)
    efficiency = np.where(path <= change, 1.0, ratio(change, path, 1.0))  # a sum of roundings may fall below
    efficiency = np.where(np.isnan(path), np.nan, efficiency)
    quick, sluggish = 2 / (fast + 1), 2 / (slow + 1)
    speed = (efficiency * (quick - sluggish) + sluggish) ** 2
    out = np.full(len(close), np.nan)
    if len(close) <= steps:
        return out
    walks = len(close) - steps
    level = close[:walks].copy()
    for step in range(1, steps + 1):
        ahead = close[step : step + walks] - level
        ahead *= speed[step : step + walks]
        level += ahead
    out[steps:] = level
    return out


def parabolic_sar(bars: Bars, rows: int, acceleration: float = 0.02, maximum: float = 0.2) -> Values:
    """Wilder's stop and reverse at the end of a walk over the last `rows` bars (at least 2).

    A falling walk is seen in a mirror (high becomes -low, low becomes -high), so all take the steps of rising ones.
    """
    high, low = bars.high, bars.low
    out = np.full(len(high), np.nan)
    walks = len(high) - rows + 1
    if walks < 1:
        return out
    falling = (low[:walks] - low[1 : walks + 1]) > np.maximum(high[1 : walks + 1] - high[:walks], 0)
    stop = _mirrored(falling, high[:walks], low[:walks])[1]
    before = _mirrored(falling, high[1 : walks + 1], low[1 : walks + 1])
    extreme, pace = before[0].copy(), np.full(walks, acceleration)
    for step in range(1, rows):
        now = _mirrored(falling, high[step : step + walks], low[step : step + walks])
        turned = np.flatnonzero(now[1] <= stop)  # a few walks in a hundred: theirs is computed apart
        ceiling = np.maximum(before[0][turned], now[0][turned])
        turn = np.maximum(extreme[turned], ceiling)
        if step == rows - 1:
            stop[turned] = turn
            out[step:] = np.where(falling, -stop, stop)
            break
        _go_on(stop, extreme, pace, before[1], now, acceleration, maximum)
        fallen = now[1][turned]
        stop[turned] = -np.maximum(turn + acceleration * (fallen - turn), ceiling)
        extreme[turned], pace[turned] = -fallen, acceleration
        falling[turned] = ~falling[turned]
        now[1][turned], now[0][turned] = -now[0][turned], -fallen
        before = now
    out[np.isnan(rolling_sum(high + low, rows))] = np.nan  # a comparison with NaN would pass it by
    return out


def _go_on(
    stop: Values, extreme: Values, pace: Values, before_low: Values, now: Bar, acceleration: float, maximum: float
) -> None:
    """A step, in place, of walks that don't turn: the stop moves towards the extreme, never into the last two bars."""
    np.add(pace, acceleration, out=pace, where=now[0] > extreme)
    np.minimum(pace, maximum, out=pace)
    np.maximum(extreme, now[0], out=extreme)
    stop += pace * (extreme - stop)
    np.minimum(stop, before_low, out=stop)
    np.minimum(stop, now[1], out=stop)


def _mirrored(falling: NDArray[np.bool_], high: Values, low: Values) -> Bar:
    """High and low as a rising walk sees them."""
    return np.where(falling, -low, high), np.where(falling, -high, low)
