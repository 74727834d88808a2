"""The one clock that all instruments share: every time that is in a table, each once. Imports no torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.config.spans import Span

Times = NDArray[np.int64]
Blocks = list[tuple[int, int]]

CHUNK = 1 << 20  # rows looked at together: what is made for them stays small beside a table of any size
_YEAR = 365 * 86_400 * 10**9
NEVER = np.iinfo(np.int64).max


def common_calendar(timestamps: Times, blocks: Blocks) -> Times:
    """(C,) int64, ascending: every time of a table once.

    Args:
        timestamps: (N,), ascending within each of the [start, stop) `blocks`, without a time twice.
    """
    parts = [np.asarray(timestamps[start:stop]) for start, stop in blocks if stop > start]
    if not parts:
        return np.empty(0, dtype=np.int64)
    # Two by two, since instruments mostly have one calendar; where they have not, halving saves nothing.
    while len(parts) > 1:
        before = sum(map(len, parts))
        parts = [np.unique(np.concatenate(parts[index : index + 2])) for index in range(0, len(parts), 2)]
        if len(parts) > 1 and sum(map(len, parts)) > 0.9 * before:
            return np.unique(np.concatenate(parts))
    return parts[0]


def positions(calendar: Times, times: Times) -> NDArray[np.int32]:
    """(R,) int32: the place in the calendar of the last time that is not after each of `times`; -1 before the first."""
    out = np.empty(len(times), dtype=np.int32)
    for start in range(0, len(times), CHUNK):
        part = slice(start, start + CHUNK)
        out[part] = np.searchsorted(calendar, times[part], side="right") - 1
    return out


def shifted(calendar: Times, times: Times, span: Span) -> Times:
    """The times `span` later: so many bars of the calendar, or a duration; behind the calendar's end without an end."""
    if not span.amount:
        return times
    if not span.in_bars:
        return np.where(times > NEVER - span.amount, NEVER, times + span.amount)
    place = np.searchsorted(calendar, times, side="right") - 1 + span.amount
    return np.where(place < len(calendar), calendar[np.minimum(place, len(calendar) - 1)], NEVER)


def is_plain(times: Times) -> bool:
    """Whether times are a plain integer clock: all within a year of 1970, as numbers of ns."""
    return bool(len(times)) and int(np.abs(times[[0, -1]]).max()) < _YEAR
