"""A table's checked rows, and what a user should know of their order and their holes. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.data.layout import Layout
from hybrid_trainer.data.timestamps import iso

_HOLE = 15  # steps of the usual length: weekends, holidays and a week without trading are no hole in daily bars


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
        line: (N,) int64, the row's line in a CSV file, or its number in a Parquet file, from 1.
        prices, numbers: (N,) float64 each, NaN where missing. labels, categories: text columns, (N,) each.
        notes: what was done to the rows on reading that a user should know.
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

    def __len__(self) -> int:
        return len(self.timestamp)

    def take(self, rows: NDArray[np.int64]) -> Table:
        """A table of some of the rows, ascending; instruments and categories keep their numbers."""
        return replace(
            self,
            timestamp=self.timestamp[rows],
            instrument=self.instrument[rows],
            line=self.line[rows],
            prices={name: values[rows] for name, values in self.prices.items()},
            numbers={name: values[rows] for name, values in self.numbers.items()},
            labels={name: column[rows] for name, column in self.labels.items()},
            categories={name: column[rows] for name, column in self.categories.items()},
        )

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """The [start, stop) row range of each instrument, in the order of `instruments`."""
        starts = np.searchsorted(self.instrument, np.arange(len(self.instruments) + 1))
        return [(int(a), int(b)) for a, b in pairwise(starts)]


def note_on_order(file: str, timestamp: NDArray[np.int64], instrument: NDArray[np.int64]) -> list[str]:
    """Say that the rows were sorted, where they were not in the order of time."""
    in_order = _sorted_within(timestamp, instrument)
    return [] if in_order else [f"{file}: the rows were not in the order of time; they were sorted"]


def notes_on_holes(
    file: str, timestamp: NDArray[np.int64], instrument: NDArray[np.int64], instruments: tuple[str, ...]
) -> list[str]:
    """Say where an instrument misses many rows in time: a row's neighbour is its next row, however far away."""
    notes = []
    for code, name in enumerate(instruments):
        times = timestamp[instrument == code]
        steps = np.diff(times)
        if len(steps) and steps.max() > _HOLE * np.median(steps):
            longest = int(steps.argmax())
            notes.append(
                f"{file}: instrument '{name}' has no row between {iso(times[longest])} and {iso(times[longest + 1])}; "
                "windows and labels go across such holes as if there were none"
            )
    return notes


def _sorted_within(timestamp: NDArray[np.int64], instrument: NDArray[np.int64]) -> bool:
    """Whether each instrument's rows, however mixed with others', are in the order of time."""
    by_instrument = np.argsort(instrument, kind="stable")
    times, codes = timestamp[by_instrument], instrument[by_instrument]
    return bool(((np.diff(times) >= 0) | (np.diff(codes) != 0)).all())
