"""Sums, extremes and deviations over the last rows: the same rows give the same bits wherever the table starts.

A window is put together from parts of 1, 2, 4, 8 ... rows in an order that depends on its length alone: a few passes
instead of one per row, and no running sum, whose last bits would depend on where it began. NaN before a window is full,
and wherever one of its rows is NaN. Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def lagged(x: Values, lag: int) -> Values:
    """x at t - lag; NaN in the first `lag` rows."""
    out = np.full_like(x, np.nan)
    out[lag:] = x[: max(len(x) - lag, 0)]
    return out


def change(x: Values, lag: int) -> Values:
    """x less what it was `lag` rows before; NaN in the first `lag` rows."""
    out = np.empty_like(x)
    out[:lag] = np.nan
    np.subtract(x[lag:], x[: max(len(x) - lag, 0)], out=out[lag:])
    return out


def rolling_sum(x: Values, window: int) -> Values:
    """Sum of the last `window` rows."""
    return geometric_sum(x, 1.0, window)


def rolling_mean(x: Values, window: int) -> Values:
    """Mean of the last `window` rows."""
    total = rolling_sum(x, window)
    total /= window
    return total


def geometric_sum(x: Values, decay: float, window: int) -> Values:
    """The sum of x[t - k] * decay**k for k below `window`."""
    if window > len(x):
        return np.full(len(x), np.nan)
    total: Values | None = None  # over the last `have` rows, and so defined from row have - 1 on
    have, part, width = 0, x, 1  # `part`: the same sum over the last `width` rows
    while True:
        if window & width:
            older = part[: len(x) - have - width + 1]
            total = older if total is None else total[width:] + _scaled(older, decay**have)
            have += width
        if have == window:
            return _from_row(total, window)
        part = part[width:] + _scaled(part[:-width], decay**width)
        width *= 2


def rolling_max(x: Values, window: int) -> Values:
    """The largest of the last `window` rows."""
    return _extreme(x, window, np.maximum)


def rolling_min(x: Values, window: int) -> Values:
    """The smallest of the last `window` rows."""
    return _extreme(x, window, np.minimum)


def rolling_std(x: Values, window: int, ddof: int = 0) -> Values:
    """Standard deviation of the last `window` rows around their mean; divided by window - ddof."""
    return rolling_mean_and_std(x, window, ddof)[1]


def rolling_mean_and_std(x: Values, window: int, ddof: int = 0) -> tuple[Values, Values]:
    """Mean and standard deviation of the last `window` rows; the mean has the bits of `rolling_mean`.

    Chan, Golub, LeVeque (1983): two neighbouring parts with their sums and squared distances to their means make one.
    """
    if window > len(x):
        return np.full(len(x), np.nan), np.full(len(x), np.nan)
    total: _Part | None = None  # of the last `have` rows, as in `geometric_sum`
    part: _Part = x, None
    have, width = 0, 1
    while True:
        if window & width:
            total = part if total is None else _joined(_but_last(part, have), width, _but_first(total, width), have)
            have += width
        if have == window and total is not None:
            break
        part = _joined(_but_last(part, width), width, _but_first(part, width), width)
        width *= 2
    sums, squares = total
    spread = sums - sums  # NaN where a row is infinite, whose distances would otherwise be so as well
    if squares is not None:
        spread += squares
    spread /= window - ddof
    return _from_row(sums / window, window), _from_row(np.sqrt(spread, out=spread), window)


def mean_absolute_deviation(x: Values, window: int) -> Values:
    """Mean distance of the last `window` rows from their mean."""
    if window > len(x):
        return np.full(len(x), np.nan)
    mean = rolling_mean(x, window)[window - 1 :]
    total = np.zeros_like(mean)
    for start in range(window):
        distance = x[start : start + len(mean)] - mean
        total += np.abs(distance, out=distance)
    total /= window
    return _from_row(total, window)


def memory(decay: float, rest: float = 1e-3) -> int:
    """How many rows a mean with weights decay**k needs until the weights behind them sum to less than `rest`."""
    return math.ceil(math.log(rest) / math.log(decay))


def truncated_mean(x: Values, decay: float, window: int) -> Values:
    """Mean of the last `window` rows with weights decay**k: an exponential mean that forgets for good."""
    return geometric_sum(x, decay, window) / ((1 - decay**window) / (1 - decay))


def ratio(numerator: Values, denominator: Values, otherwise: float) -> Values:
    """numerator / denominator; `otherwise` where the denominator is 0."""
    return np.where(denominator == 0, otherwise, numerator / denominator)


_Part = tuple[Values, Values | None]  # sums, and squared distances to the mean, which one row has none of


def _joined(older: _Part, n: int, newer: _Part, m: int) -> _Part:
    """Parts of `n` rows and of the `m` rows behind them, as one."""
    gap = older[0] - newer[0] if n == m else older[0] * m - newer[0] * n
    gap *= gap
    gap *= 1 / (2 * n if n == m else n * m * (n + m))  # dividing takes several times as long
    for squares in (older[1], newer[1]):
        if squares is not None:
            gap += squares
    return older[0] + newer[0], gap


def _but_first(part: _Part, rows: int) -> _Part:
    return part[0][rows:], None if part[1] is None else part[1][rows:]


def _but_last(part: _Part, rows: int) -> _Part:
    stop = len(part[0]) - rows
    return part[0][:stop], None if part[1] is None else part[1][:stop]


def _scaled(x: Values, factor: float) -> Values:
    return x if factor == 1.0 else x * factor


def _extreme(x: Values, window: int, pick: Callable[[Values, Values], Values]) -> Values:
    if window > len(x):
        return np.full(len(x), np.nan)
    part, width = x, 1
    while 2 * width <= window:
        part = pick(part[width:], part[:-width])
        width *= 2
    if window > width:  # two parts that overlap: an extreme may be counted twice
        part = pick(part[window - width :], part[: width - window])
    return _from_row(part, window)


def _from_row(values: Values | None, window: int) -> Values:
    """Put NaN in front of values that begin in row window - 1."""
    assert values is not None
    out = np.empty(window - 1 + len(values))
    out[: window - 1] = np.nan
    out[window - 1 :] = values
    return out
