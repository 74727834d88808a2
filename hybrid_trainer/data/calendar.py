"""The one clock that all instruments share: every time that is in a table, each once. Imports no torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.config.spans import Span

Times = NDArray[np.int64]
Blocks = list[tuple[int, int]]

CHUNK = 1 << 20  # rows looked at together: what is made for them stays small beside a table of any size
_RUN = 1 << 15  # rows that are looked at together for being an unbroken piece of the calendar
_YEAR = 365 * 86_400 * 10**9
NEVER = np.iinfo(np.int64).max


def common_calendar(timestamps: Times, blocks: Blocks) -> Times:
    """(C,) int64, ascending: every time of a table once.

    Args:
        timestamps: (N,), ascending within each of the [start, stop) `blocks`, without a time twice.
    """
    return _united([np.asarray(timestamps[start:stop]) for start, stop in blocks if stop > start])


def times_of(timestamps: Times, rows: Times) -> Times:
    """(T,) int64, ascending: the times of some rows, each once."""
    starts = range(0, len(rows), CHUNK)
    return _united([np.unique(timestamps[rows[start : start + CHUNK]]) for start in starts])


def _united(parts: list[Times]) -> Times:
    """What is in any of ascending arrays without a time twice, ascending, once."""
    if not parts:
        return np.empty(0, dtype=np.int64)
    # Two by two, since instruments mostly have one calendar; where they have not, halving saves nothing.
    while len(parts) > 1:
        before = sum(map(len, parts))
        parts = [_merged(parts[index : index + 2]) for index in range(0, len(parts), 2)]
        if len(parts) > 1 and sum(map(len, parts)) > 0.9 * before:
            return _merged(parts)
    return parts[0]


def _merged(parts: list[Times]) -> Times:
    """What is in any of some ascending arrays, ascending, once."""
    if all(np.array_equal(part, parts[0]) for part in parts[1:]):
        return parts[0]
    merged = np.sort(np.concatenate(parts), kind="stable")  # timsort: it finds the runs that are in order
    return np.asarray(merged[np.append(True, merged[1:] != merged[:-1])])


def positions(calendar: Times, times: Times) -> NDArray[np.int32]:
    """(R,) int32: the place in the calendar of the last time that is not after each of `times`; -1 before the first."""
    out = np.empty(len(times), dtype=np.int32)
    for start in range(0, len(times), _RUN):
        part = times[start : start + _RUN]
        first = int(np.searchsorted(calendar, part[0], side="right")) - 1
        if first >= 0 and np.array_equal(calendar[first : first + len(part)], part):  # bars without a hole: most are
            out[start : start + _RUN] = np.arange(first, first + len(part))
        else:
            out[start : start + _RUN] = np.searchsorted(calendar, part, side="right") - 1
    return out


def shifted(calendar: Times, times: Times, span: Span) -> Times:
    """The times `span` later: so many bars of the calendar, or a duration; behind the calendar's end without an end."""
    if not span.amount:
        return times
    if not span.in_bars:
        return np.where(times > NEVER - span.amount, NEVER, times + span.amount)
    place = positions(calendar, times).astype(np.int64) + span.amount
    return np.where(place < len(calendar), calendar[np.minimum(place, len(calendar) - 1)], NEVER)


def is_plain(times: Times) -> bool:
    """Whether times are a plain integer clock: all within a year of 1970, as numbers of ns."""
    return bool(len(times)) and int(np.abs(times[[0, -1]]).max()) < _YEAR


def extreme(timestamps: Times, rows: Times, pick: np.ufunc) -> int:
    """The first (np.minimum) or the last (np.maximum) time of some rows."""
    chunks = [pick.reduce(timestamps[rows[start : start + CHUNK]]) for start in range(0, len(rows), CHUNK)]
    return int(pick.reduce(chunks))
