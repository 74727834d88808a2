"""Labels that are absurdly far from all others, which would be all that a model learns of. Imports no torch.

A mean and a standard deviation don't show them: one label of 1e30 makes both so large that all the others become equal.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.data.forecasts import Forecast
from hybrid_trainer.data.room import PIECE
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.targets import Target
from hybrid_trainer.errors import TableError

_FAR = 1e6  # times the usual distance from the median; returns, volumes and incomes stay far below
_SAMPLE = 1 << 20
_LARGEST = float(np.finfo(np.float32).max)
_NORMAL = 1.4826  # the standard deviation of normal numbers is so many times their median distance from the median


def refuse_too_large(table: Table, targets: list[Target]) -> None:
    """Raise TableError where a label is finite, but not as float32, which models compute in."""
    for target in targets:
        if target.spec.kind == "classification":
            continue
        for start in range(0, len(target.values), PIECE):
            piece = target.values[start : start + PIECE]
            for row, column in np.argwhere(np.isfinite(piece) & (np.abs(piece) > _LARGEST))[:1]:
                raise TableError(
                    f"{table.place(start + row)}: {_named(target, column)} {piece[row, column]:g}, too large for a "
                    "label (float32 ends at 3.4e38); scale the column, or leave the cell empty"
                )


def far_labels(table: Table, targets: list[Target], train_rows: NDArray[np.int64]) -> Iterator[str]:
    """Yield a line for each number of a target that has training labels beyond a million usual distances."""
    for target in targets:
        if target.spec.kind == "classification":
            continue
        rows = train_rows[target.labelled[train_rows]]
        if isinstance(target, Forecast):  # what the labels are read from
            rows = np.union1d(rows + 1, rows + target.spec.horizon)
        if len(rows):
            yield from _of_target(table, target, rows)


def _of_target(table: Table, target: Target, rows: NDArray[np.int64]) -> Iterator[str]:
    sample = np.asarray(target.values[rows[:: -(-len(rows) // _SAMPLE)]], dtype=np.float64)
    median = np.median(sample, axis=0)
    distances = np.abs(sample - median)
    usual = _NORMAL * np.median(distances, axis=0)
    usual = np.where(usual > 0, usual, np.quantile(distances, 0.99, axis=0))  # more than half of them are equal
    counts = np.zeros(len(median), dtype=np.int64)
    worst, where = np.zeros(len(median)), np.zeros(len(median), dtype=np.int64)
    for start in range(0, len(rows), PIECE):
        piece = rows[start : start + PIECE]
        far = np.abs(target.values[piece] - median) / np.where(usual > 0, usual, np.inf)
        counts += (far > _FAR).sum(axis=0)
        highest = far.argmax(axis=0)
        values = far[highest, np.arange(len(median))]
        where = np.where(values > worst, piece[highest], where)
        worst = np.maximum(values, worst)
    for column in np.flatnonzero(counts):
        row = int(where[column])
        label = f"{_named(target, int(column))} {target.values[row, column]:g}"
        yield (
            f"{table.place(row)}: {label}, {worst[column]:.0e} times "
            f"as far from the median ({median[column]:g}) as usual, and {counts[column]} training label(s) "
            "are more than a million times: little else will be learned; mend the row, or leave the cell empty"
        )


def _named(target: Target, column: int) -> str:
    """The label by its target and, where it has several numbers, which of them."""
    which = f", {target.spec.labels[column]}," if target.values.shape[1] > 1 else ""
    return f"the label of '{target.spec.name}'{which} is"
