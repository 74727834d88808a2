"""The row ranges that a window may lie in: one instrument, every feature present."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def find_segments(usable: NDArray[np.bool_], instrument: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (S, 2) int64: the longest [start, stop) ranges of usable rows of one instrument."""
    if not len(usable):
        return np.empty((0, 2), dtype=np.int64)
    border = np.concatenate([[True], instrument[1:] != instrument[:-1]])
    starts = np.flatnonzero(usable & (border | np.concatenate([[True], ~usable[:-1]])))
    ends = np.flatnonzero(usable & np.concatenate([border[1:] | ~usable[1:], [True]])) + 1
    return np.stack([starts, ends], axis=1).astype(np.int64)
