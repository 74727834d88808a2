"""From a table to a `Panel`: one contiguous feature matrix, and the row ranges that a window may lie in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.data.features import compute_core
from hybrid_trainer.data.segments import find_segments
from hybrid_trainer.data.table import Table
from hybrid_trainer.errors import TableError


@dataclass(frozen=True, kw_only=True)
class Panel:
    """N rows sorted by instrument, then time; F features, C context columns.

    Attributes:
        features: (N, F) float32, contiguous, as computed (not scaled); NaN outside the segments.
        context: (N, C) float32, or None where there are no context columns.
        timestamps: (N,) int64, ns since 1970 UTC.
        instrument: (N,) int64 into `instruments`.
        segments: (S, 2) int64, [start, stop): one instrument, every feature present; a window lies inside one segment.
    """

    features: NDArray[np.float32]
    feature_names: tuple[str, ...]
    context: NDArray[np.float32] | None
    context_names: tuple[str, ...]
    timestamps: NDArray[np.int64]
    instrument: NDArray[np.int64]
    instruments: tuple[str, ...]
    segments: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.timestamps)

    def decidable_rows(self, time_window: int) -> NDArray[np.int64]:
        """The rows that end a window of `time_window` rows inside one segment, in ascending order."""
        ranges = [np.arange(start + time_window - 1, stop) for start, stop in self.segments.tolist()]
        return np.concatenate([*ranges, np.empty(0, dtype=np.int64)]).astype(np.int64)


def build_panel(table: Table, *, feature_set: str, features: list[str], context: list[str]) -> Panel:
    """Compute the features of a table and cut it into segments.

    Args:
        feature_set: 'core' computes the causal indicators, 'none' does not.
        features: the table's own columns to use as features, behind the computed ones.
        context: the table's own columns for the context branch.
    """
    columns = [table.numbers[name] for name in features]
    names = tuple(features)
    if feature_set == "core":
        computed, computed_names = compute_core(table.prices, table.blocks)
        columns = [*computed.T, *columns]
        names = computed_names + names
    twice = [name for index, name in enumerate(names) if name in names[:index]]
    if twice:
        raise TableError(f"{table.file}: column '{twice[0]}' has the name of a computed feature; rename it")
    matrix = _to_float32(np.stack(columns, axis=1), names, table)
    dense = np.stack([table.numbers[name] for name in context], axis=1).astype(np.float32) if context else None
    usable = np.asarray(np.isfinite(matrix).all(axis=1))
    if dense is not None:
        usable &= np.isfinite(dense).all(axis=1)
    return Panel(
        features=matrix,
        feature_names=names,
        context=dense,
        context_names=tuple(context),
        timestamps=table.timestamp,
        instrument=table.instrument,
        instruments=table.instruments,
        segments=find_segments(usable, table.instrument),
    )


def _to_float32(values: NDArray[np.float64], names: tuple[str, ...], table: Table) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        matrix = np.ascontiguousarray(values, dtype=np.float32)
    for row, column in np.argwhere(np.isinf(matrix) & np.isfinite(values))[:1]:
        raise TableError(
            f"{table.place(row)}: column '{names[column]}': {values[row, column]:g} is too large for a "
            "feature (float32 ends at 3.4e38); scale the column"
        )
    return matrix
