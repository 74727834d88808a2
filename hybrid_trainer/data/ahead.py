"""Looking ahead of the decision row, for labels alone: sums and extremes over (t, t + horizon]. Imports no torch.

Each is made in one fixed order over the horizon, so that the same rows give the same bits wherever the table starts.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.data.features import Bars, Values
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.targets import NO_CLASS

_CHUNK = 1 << 18  # rows computed at a time: a long instrument's temporaries stay small


def future(x: Values, bars: int) -> Values:
    """x at t + bars; NaN in the last `bars` rows."""
    out = np.full_like(x, np.nan)
    out[: max(len(x) - bars, 0)] = x[bars:]
    return out


def future_sum(x: Values, horizon: int) -> Values:
    """Sum of x over (t, t + horizon]."""
    total = future(x, 1)
    for bar in range(2, horizon + 1):
        total = total + future(x, bar)
    return total


def future_extreme(x: Values, horizon: int, pick: np.ufunc) -> Values:
    """Largest (np.maximum) or smallest (np.minimum) x over (t, t + horizon]."""
    extreme = future(x, 1)
    for bar in range(2, horizon + 1):
        extreme = pick(extreme, future(x, bar))
    return extreme


def per_instrument(table: Table, compute: Callable[[Bars], Values]) -> Values:
    """Compute one value per row from each block's bars alone; (N,) float64, NaN where it isn't finite."""
    out = np.full(len(table), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        for start, stop in table.blocks:
            out[start:stop] = compute(Bars.of(table.prices, start, stop))
    out[~np.isfinite(out)] = np.nan
    return out


def per_row(table: Table, compute: Callable[[Bars], Values], *, behind: int, ahead: int, chunk: int = _CHUNK) -> Values:
    """Compute one value per row t from the bars [t - behind, t + ahead] alone; NaN where these are not in one block.

    The rows are taken in chunks that overlap by as many bars, whatever the blocks: neither one long instrument nor very
    many short ones are slow.

    Returns:
        (N,) float64, NaN where it isn't finite.
    """
    out = np.empty(len(table))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for first in range(0, len(table), chunk):
            last = min(first + chunk, len(table))
            low, high = max(first - behind, 0), min(last + ahead, len(table))
            part = compute(Bars.of(table.prices, low, high))[first - low : last - low]
            out[first:last] = np.where(np.isfinite(part), part, np.nan)
    for start, stop in table.blocks:
        out[start : min(start + behind, stop)] = np.nan
        out[max(stop - ahead, start) : stop] = np.nan
    return out


def classes(score: Values, borders: Values) -> NDArray[np.int64]:
    """0 below the first border, len(borders) above the last, a border belongs inwards; -1 where the score is NaN."""
    codes = np.searchsorted(borders, score, side="left").astype(np.int64)
    # A score on the upper border is not beyond it, one on the lower border isn't either.
    for border in borders[borders < 0]:
        codes += score == border
    codes[np.isnan(score)] = NO_CLASS
    return codes
