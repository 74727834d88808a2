"""A table's checked rows, and what a user should know of their order. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.data.layout import Layout
from hybrid_trainer.data.segments import NO_BREAKS


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
        breaks: the rows before which a gap in time lies, instruments' first rows apart; ascending.
        notes: what was done to the rows on reading that a user should know; report: the same in numbers.
        parts: the name of each file, and how many rows stand in the files before it.
        key: the name under which the table is kept between runs; none where it is in memory alone.

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
    breaks: NDArray[np.int64] = field(default_factory=NO_BREAKS.copy)
    notes: tuple[str, ...] = ()
    parts: tuple[tuple[str, int], ...] = ()
    report: dict[str, Any] = field(default_factory=dict)
    key: str = ""

    def __len__(self) -> int:
        return len(self.timestamp)

    def take(self, rows: NDArray[np.int64]) -> Table:
        """A table of some of the rows, ascending; instruments and categories keep their numbers."""
        breaks = np.searchsorted(rows, self.breaks)
        begins = np.flatnonzero(np.diff(self.instrument[rows])) + 1  # where an instrument begins there is no gap
        return replace(
            self,
            key="",
            breaks=np.setdiff1d(np.unique(breaks[(breaks > 0) & (breaks < len(rows))]), begins),
            timestamp=self.timestamp[rows],
            instrument=self.instrument[rows],
            line=self.line[rows],
            prices={name: values[rows] for name, values in self.prices.items()},
            numbers={name: values[rows] for name, values in self.numbers.items()},
            labels={name: column[rows] for name, column in self.labels.items()},
            categories={name: column[rows] for name, column in self.categories.items()},
        )

    @property
    def instrument_blocks(self) -> list[tuple[int, int]]:
        """The [start, stop) row range of each instrument, in the order of `instruments`."""
        starts = np.searchsorted(self.instrument, np.arange(len(self.instruments) + 1))
        return list(pairwise(starts.tolist()))

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """The [start, stop) row ranges without a gap: what a feature or a label of a row may look at."""
        starts = np.searchsorted(self.instrument, np.arange(len(self.instruments) + 1))
        if not len(self.breaks):
            return list(pairwise(starts.tolist()))
        return list(pairwise(np.union1d(starts, self.breaks).tolist()))

    def place(self, row: int) -> str:
        """Where a row came from, as file:line."""
        line = int(self.line[row])
        file, before = next(((f, b) for f, b in reversed(self.parts) if b < line), (self.file, 0))
        return f"{file}:{line - before}"
