"""The moving-block bootstrap over time (Künsch, 1989): sums of whole resamples at once.

What rows close in time have in common stays together: blocks of consecutive times are drawn with replacement until a
resample is as long as the original, and a time brings all its rows, of whichever instrument. The same times and seed
give the same draws, which is what pairs two models. Shape legend: T times, B resamples, K sums.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RESAMPLES = 1000
SEED = 0
_FEWEST_BLOCKS = 5
_AT_ONCE = 8_000_000  # numbers: 64 MB


def block_length(times: int, reach: int) -> int:
    """How many times a block has: the reach of what two rows share, but a fifth of all times at most.

    Args:
        reach: the longer of window and label horizon: rows that far apart share no row of their windows, nor a bar of
            their labels.
    """
    return max(1, min(reach, times // _FEWEST_BLOCKS))


@dataclass(frozen=True)
class Draws:
    """Resamples of T times in blocks; `starts` is (B, blocks), and the last block of each is cut to fit."""

    times: int
    length: int
    starts: NDArray[np.int64]

    def sums(self, values: Array) -> Array:
        """The sums (B, K) over each resample of values (T, K)."""
        if self.times * len(self.starts) <= _AT_ONCE:
            return np.asarray(self._counts @ values)
        at_once = max(1, _AT_ONCE // self.times)
        parts = [self.counts(first, first + at_once) @ values for first in range(0, len(self.starts), at_once)]
        return np.concatenate(parts)

    @cached_property
    def _counts(self) -> Array:
        return self.counts()

    def counts(self, first: int = 0, last: int | None = None) -> Array:
        """How often each time is in each of some resamples: (B, T)."""
        starts = self.starts[first:last]
        lengths = np.full(starts.shape[1], self.length)
        lengths[-1] = self.times - self.length * (starts.shape[1] - 1)
        width = self.times + 1
        rows = np.arange(len(starts))[:, None] * width
        begun = np.bincount((rows + starts).ravel(), minlength=len(starts) * width)
        ended = np.bincount((rows + starts + lengths).ravel(), minlength=len(starts) * width)
        return np.cumsum((begun - ended).reshape(-1, width), axis=1, dtype=np.float64)[:, :-1]


def draw(times: int, length: int, resamples: int = RESAMPLES, seed: int = SEED) -> Draws:
    """Draw blocks of consecutive times; each block's first time is equally likely wherever it fits."""
    generator = np.random.default_rng(seed)
    blocks = math.ceil(times / length)
    return Draws(times, length, generator.integers(0, times - length + 1, size=(resamples, blocks)))


def interval(values: Array, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of resampled values (B,)."""
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
