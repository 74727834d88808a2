"""A table's checked rows, and what a user should know of their order and their holes. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.data.columns import ROWS, blocks_of
from hybrid_trainer.data.layout import Layout
from hybrid_trainer.data.timestamps import iso

_HOLE = 15  # steps of the usual length: weekends, holidays and a week without trading are no hole in daily bars
_NOTES = 5


@dataclass(frozen=True)
class Coded:
    """A text column as numbers: (N,) int32 `codes` into `names`, which are in alphabetical order; -1 is 'missing'."""

    codes: NDArray[np.int32]
    names: tuple[str, ...]

    @classmethod
    def of(cls, texts: list[str | None]) -> Coded:
        """Number the texts."""
        names = tuple(sorted({text for text in texts if text is not None}))
        numbers: dict[str | None, int] = {name: number for number, name in enumerate(names)}
        return cls(np.array([numbers.get(text, -1) for text in texts], dtype=np.int32), names)

    def texts(self) -> list[str | None]:
        """The texts back, None where missing."""
        return [None if code < 0 else self.names[code] for code in self.codes.tolist()]

    def __getitem__(self, rows: NDArray[np.int64]) -> Coded:
        return Coded(self.codes[rows], self.names)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Checked rows, sorted by instrument, then time; N rows.

    Attributes:
        file: where it came from, for messages; sha256: the digest of that file; layout: which of its columns are what.
        timestamp: (N,) int64, ns since 1970 UTC (or the file's own integers).
        instrument: (N,) int64 into `instruments`, which are in alphabetical order.
        line: (N,) int64, the row's line in a CSV file, or its number in a Parquet file, from 1; see `place`.
        prices, numbers: (N,) float64 each, NaN where missing. labels, categories: text columns, (N,) each.
        notes: what was done to the rows on reading that a user should know; report: the same in numbers.
        parts: the name of each file, and how many rows stand in the files before it.

    The arrays of a large table are read-only maps of files.
    """

    file: str
    sha256: str
    layout: Layout
    timestamp: NDArray[np.int64]
    instrument: NDArray[np.int64]
    instruments: tuple[str, ...]
    line: NDArray[np.int64]
    prices: dict[str, NDArray[np.float64]]
    numbers: dict[str, NDArray[np.float64]]
    labels: dict[str, Coded]
    categories: dict[str, Coded] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    parts: tuple[tuple[str, int], ...] = ()
    report: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.timestamp)

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """The [start, stop) row range of each instrument, in the order of `instruments`."""
        starts = np.searchsorted(self.instrument, np.arange(len(self.instruments) + 1))
        return [(int(a), int(b)) for a, b in pairwise(starts)]

    def place(self, row: int) -> str:
        """Where a row came from, as file:line."""
        line = int(self.line[row])
        file, before = next(((f, b) for f, b in reversed(self.parts) if b < line), (self.file, 0))
        return f"{file}:{line - before}"


def notes_on_holes(
    file: str, timestamp: NDArray[np.int64], blocks: list[tuple[int, int]], instruments: tuple[str, ...]
) -> list[str]:
    """Say where an instrument misses many rows in time: a row's neighbour is its next row, however far away."""
    notes, holes = [], 0
    for (start, stop), name in zip(blocks, instruments, strict=True):
        row = _hole(timestamp, start, stop)
        if row is None:
            continue
        holes += 1
        if holes <= _NOTES:
            notes.append(
                f"{file}: instrument '{name}' has no row between {iso(timestamp[row])} and {iso(timestamp[row + 1])}; "
                "windows and labels go across such holes as if there were none"
            )
    if holes > _NOTES:
        notes.append(f"{file}: {holes - _NOTES} more instrument(s) have such holes")
    return notes


def _hole(timestamp: NDArray[np.int64], start: int, stop: int) -> int | None:
    """The row before the longest step of [start, stop), None where it is no hole beside the usual step."""
    longest, row = 0, start
    for begin, end in blocks_of(stop - 1, start):
        steps = np.diff(timestamp[begin : end + 1])
        if steps.max() > longest:
            longest, row = int(steps.max()), begin + int(steps.argmax())
    usual = np.median(np.diff(timestamp[start : min(stop, start + ROWS)])) if stop - start > 1 else 0
    return row if longest > _HOLE * usual and longest else None
