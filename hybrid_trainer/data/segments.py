"""The row ranges that a window may lie in: one instrument, no gap in time, every feature present. Imports no torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

NO_BREAKS = np.empty(0, dtype=np.int64)


def find_segments(
    usable: NDArray[np.bool_], instrument: NDArray[np.integer[Any]], breaks: NDArray[np.int64] = NO_BREAKS
) -> NDArray[np.int64]:
    """Return (S, 2) int64: the longest [start, stop) ranges of usable rows of one instrument, cut before `breaks`."""
    if not len(usable):
        return np.empty((0, 2), dtype=np.int64)
    border = np.ones(len(usable), dtype=bool)
    np.not_equal(instrument[1:], instrument[:-1], out=border[1:])
    border[breaks] = True
    begins, ends = usable & border, usable.copy()
    begins[1:] |= usable[1:] & ~usable[:-1]
    ends[:-1] &= border[1:] | ~usable[1:]
    return np.stack([np.flatnonzero(begins), np.flatnonzero(ends) + 1], axis=1).astype(np.int64)


def segments_report(
    segments: NDArray[np.int64], stretches: list[tuple[int, int]], time_window: int, gaps: int
) -> dict[str, int]:
    """Count segments, those too short for a window, and the rows that are lost with them.

    Args:
        segments: (S, 2) from `find_segments`. stretches: unbroken [start, stop) rows, with features or without.
    """
    lengths = segments[:, 1] - segments[:, 0]
    short = lengths < time_window
    ends = segments[~short, 1]
    borders = np.array(stretches, dtype=np.int64).reshape(-1, 2)
    windows = np.searchsorted(ends, borders[:, 1], "right") - np.searchsorted(ends, borders[:, 0], "right")
    return {
        "gaps": gaps,
        "count": len(segments),
        "too_short": int(short.sum()),
        "rows_lost": int(lengths[short].sum()),
        "stretches": len(stretches),
        "stretches_without_a_window": int((windows == 0).sum()),
    }
