"""Causal features: each is a function of the rows [t - lookback + 1, t] alone. Imports no torch.

The built-in sets, single features (a user's own among them) and expressions, chosen by name, computed block by block.
No built-in feature is a price level: all are returns, ratios or logs of ratios, on one scale in every year. Names and
order are part of the contract between a saved model and its input.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.data import calendar_features, core_features, technical_features  # noqa: F401  they enter their features into the sets
from hybrid_trainer.data.bars import Bars, average_true_range, log_return, root_mean_square_return, true_range
from hybrid_trainer.data.expressions import parse
from hybrid_trainer.data.feature_registry import CORE, FEATURES, SETS, TECHNICAL, TIME, Feature, feature
from hybrid_trainer.data.kernels import (
    Values,
    geometric_sum,
    lagged,
    rolling_max,
    rolling_mean,
    rolling_min,
    rolling_std,
    rolling_sum,
)
from hybrid_trainer.errors import ConfigError, UserError

# What a feature of one's own is written with stands here as well.
__all__ = [
    "CORE",
    "FEATURES",
    "TECHNICAL",
    "TIME",
    "Bars",
    "Feature",
    "TooLargeError",
    "Values",
    "average_true_range",
    "compute_features",
    "feature",
    "geometric_sum",
    "lagged",
    "log_return",
    "rolling_max",
    "rolling_mean",
    "rolling_min",
    "rolling_std",
    "rolling_sum",
    "root_mean_square_return",
    "select_features",
    "true_range",
]

_BLOCK_ROWS = 32_768  # smaller ones stay in a core's cache, but two threads then wait for the interpreter
_HALO_SHARE = 8  # a block is at least this many times as long as what it computes twice
_THREADS = 4


class TooLargeError(UserError):
    """A value that float32 cannot hold: the row, the feature and the value, for the panel to tell."""

    def __init__(self, row: int, name: str, value: float) -> None:
        super().__init__(f"row {row} of feature '{name}': {value:g} is too large (float32 ends at 3.4e38)")
        self.row, self.name, self.value = row, name, value


def select_features(
    feature_set: str, extra: Sequence[str], expressions: Mapping[str, str], *, without_volume: bool = False
) -> list[Feature]:
    """The features that a config asks for, in the order of a panel's columns.

    Args:
        feature_set: 'core', 'technical' or 'none'. extra: names of single features.
        expressions: name -> text, as in `data.expressions`.
        without_volume: leave out what a set holds of features that need a volume.

    Raises:
        ConfigError: a name isn't known or stands there twice, or an expression isn't one.
    """
    chosen = [
        *(entry for entry in SETS.get(feature_set, {}).values() if not (without_volume and entry.needs_volume)),
        *(FEATURES.get(name, "data.extra_features") for name in extra),
        *(parse(name, text) for name, text in expressions.items()),
    ]
    names = [entry.name for entry in chosen]
    twice = [name for index, name in enumerate(names) if name in names[:index]]
    if twice:
        raise ConfigError(f"data: two features have the name '{twice[0]}'; keep one, or give the other a new name")
    return chosen


def compute_features(
    columns: Mapping[str, Values],
    blocks: Sequence[tuple[int, int]],
    selected: Sequence[Feature],
    out: NDArray[np.float32],
    *,
    block_rows: int = _BLOCK_ROWS,
    threads: int | None = None,
) -> None:
    """Write the selected features into the first columns of `out`; the bits depend on neither blocks nor threads.

    Args:
        columns: (N,) per column that a feature reads, sorted by instrument, then time; they may be memory maps.
        blocks: [start, stop) rows of each instrument, behind each other from 0 to N.
        out: (N, at least F) float32, which may be a memory map; NaN goes where a lookback isn't full or lacks a value.
        block_rows: rows that are computed at a time. threads: how many blocks at once; None: one per core, up to four.

    Raises:
        TooLargeError: a value is finite, but not as float32. ConfigError: a feature doesn't return a number per row.
    """
    if not selected or not len(out):
        return
    used = {name: columns[name] for name in {name for entry in selected for name in entry.columns}}
    starts = np.array(sorted({start for start, stop in blocks if stop > start}), dtype=np.int64)
    halo = max(entry.lookback for entry in selected) - 1
    borders = [*range(0, len(out), max(block_rows, _HALO_SHARE * halo)), len(out)]

    def fill(block: tuple[int, int]) -> None:
        _fill(used, starts, selected, out, *block, halo)

    workers = min(_THREADS, len(os.sched_getaffinity(0))) if threads is None else threads
    if min(workers, len(borders) - 1) < 2:
        for block in pairwise(borders):
            fill(block)
        return
    with ThreadPoolExecutor(workers) as pool:  # numpy's loops let go of the interpreter
        for _ in pool.map(fill, pairwise(borders)):
            pass


def _fill(
    columns: Mapping[str, Values],
    starts: NDArray[np.int64],
    selected: Sequence[Feature],
    out: NDArray[np.float32],
    first: int,
    last: int,
    halo: int,
) -> None:
    """Compute the rows [first, last) from themselves and the `halo` rows before.

    A block may hold several instruments: a value whose lookback lies inside its instrument reads nothing of another.
    """
    begin = max(first - halo, 0)
    bars = Bars.of(columns, begin, last)
    rows = np.arange(first, last)
    age = rows - starts[np.searchsorted(starts, rows, side="right") - 1]  # rows of the instrument before this one
    youngest = int(age.min())
    block = np.empty((len(selected), last - first), dtype=np.float32)
    with np.errstate(all="ignore"):
        for column, entry in zip(block, selected, strict=True):
            values = entry.values(bars, last - begin)[first - begin :]
            column[:] = values
            if youngest < entry.lookback - 1:
                column[age < entry.lookback - 1] = np.nan
            for row in np.flatnonzero(np.isinf(column))[:1].tolist():
                if np.isfinite(values[row]):
                    raise TooLargeError(first + row, entry.name, float(values[row]))
    out[first:last, : len(selected)] = block.T  # turned at one go: half the time of writing each column across the rows
