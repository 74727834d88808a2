"""Columns that grow block by block, in memory or in files of a folder, and are put in order. Imports no torch."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.runs.write_back import WriteBack, sync

Column = NDArray[Any]
ROWS = 1 << 19  # rows at a time, where whole columns are gone through


class Columns:
    """Columns of one length; in memory up to `most_in_memory` rows, beyond in files that are memory-mapped.

    Args:
        most_in_memory: None keeps everything in memory.
        make_folder: called once, when the files are needed.
    """

    def __init__(self, most_in_memory: int | None, make_folder: Callable[[], Path]) -> None:
        self.rows = 0
        self.folder: Path | None = None
        self._most = most_in_memory
        self._make_folder = make_folder
        self._blocks: dict[str, list[Column]] = {}
        self._files: dict[str, BinaryIO] = {}
        self._types: dict[str, np.dtype[Any]] = {}
        self._arrays: dict[str, Column] = {}
        self._ahead: WriteBack | None = None

    def append(self, block: dict[str, Column]) -> None:
        """Add rows at the end; every block has the same columns."""
        for name, values in block.items():
            self._types.setdefault(name, values.dtype)
            if self.folder is None:
                self._blocks.setdefault(name, []).append(values)
            else:
                _write(self._files[name], values)
        self.rows += len(next(iter(block.values())))
        if self.folder is None and self._most is not None and self.rows > self._most:
            self._spill()

    def seal(self) -> None:
        """No more rows: from here on the columns are arrays that can be written to."""
        for name in list(self._blocks):
            self._arrays[name] = np.concatenate(self._blocks.pop(name))
        for name, stream in self._files.items():
            stream.close()
            self._arrays[name] = self._map(name, "r+")
        self._files = {}

    def sync(self) -> None:
        """Wait until the disk has every column."""
        if self._ahead is not None:
            self._ahead.finish()
        with ThreadPoolExecutor() as pool:  # the disk does the work
            list(pool.map(sync, map(self.path, self.names)))

    def discard_files(self) -> None:
        """Remove the files, if they are still there; a table that was finished has taken them away."""
        if self._ahead is not None:
            self._ahead.stop()
        for stream in self._files.values():
            stream.close()
        if self.folder is not None:
            self._files, self._arrays = {}, {}
            shutil.rmtree(self.folder, ignore_errors=True)

    def __getitem__(self, name: str) -> Column:
        return self._arrays[name]

    @property
    def names(self) -> list[str]:
        """The columns, in the order in which they came."""
        return list(self._types)

    def rearrange(self, rows: int, place: Callable[[int, int], tuple[Column, Column]]) -> None:
        """Write every column anew, `rows` long.

        Args:
            place: for the old rows [start, stop): which of them (from 0 at `start`), and where they go.
        """
        new = {name: self._empty(name, rows) for name in self.names}
        for start, stop in blocks_of(self.rows):
            which, where = place(start, stop)
            for name, values in new.items():
                values[where] = self._arrays[name][start:stop][which]
        self.rows = rows
        self._arrays = new
        if self.folder is not None:
            for name in self.names:
                (self.folder / f"{self.names.index(name)}.new").replace(self.path(name))

    def path(self, name: str) -> Path:
        """The file of a column."""
        assert self.folder is not None
        return self.folder / f"{self.names.index(name)}.bin"

    def types(self) -> list[tuple[str, str]]:
        """Name and type of each column, in the order of the files."""
        return [(name, self._types[name].str) for name in self.names]

    def _empty(self, name: str, rows: int) -> Column:
        if self.folder is None:
            return np.empty(rows, dtype=self._types[name])
        file = self.folder / f"{self.names.index(name)}.new"
        return np.memmap(file, dtype=self._types[name], mode="w+", shape=(rows,))

    def _map(self, name: str, mode: Any) -> Column:
        return np.memmap(self.path(name), dtype=self._types[name], mode=mode, shape=(self.rows,))

    def _spill(self) -> None:
        self.folder = self._make_folder()
        for name in self.names:
            self._files[name] = self.path(name).open("wb")
            for values in self._blocks.pop(name):
                _write(self._files[name], values)
        paths = [self.path(name) for name in self.names]
        self._ahead = WriteBack(lambda: paths)


def blocks_of(rows: int, start: int = 0) -> Iterator[tuple[int, int]]:
    """Yield [start, stop) ranges of at most `ROWS` rows."""
    for begin in range(start, rows, ROWS):
        yield begin, min(begin + ROWS, rows)


def sort_rows(columns: Columns, instruments: int) -> bool:
    """Sort by instrument, then time, rows of one key in the order in which they came; returns whether times were mixed.

    Columns that are in order already are not touched. Rows are dealt to their instruments first, then each
    instrument's rows are sorted on their own, unless they are sorted.
    """
    if not _never_falls(columns["instrument"]):
        counts = np.zeros(instruments, dtype=np.int64)
        for start, stop in blocks_of(columns.rows):
            counts += np.bincount(columns["instrument"][start:stop], minlength=instruments)
        columns.rearrange(columns.rows, _Dealer(columns["instrument"], np.cumsum(counts) - counts))
    mixed = False
    edges = np.searchsorted(columns["instrument"], np.arange(instruments + 1)).tolist()
    for start, stop in pairwise(edges):
        times = columns["timestamp"][start:stop]
        if _never_falls(times):
            continue
        mixed = True
        order = np.argsort(times, kind="stable")
        for name in columns.names:
            columns[name][start:stop] = columns[name][start:stop][order]
    return mixed


def second_rows(columns: Columns) -> NDArray[np.int64]:
    """The rows, sorted columns taken for granted, whose instrument and time are those of the row before."""
    times, codes = columns["timestamp"], columns["instrument"]
    found = []
    for start, stop in blocks_of(columns.rows, start=1):
        same = (times[start:stop] == times[start - 1 : stop - 1]) & (codes[start:stop] == codes[start - 1 : stop - 1])
        found.append(np.flatnonzero(same) + start)
    return np.concatenate([*found, np.empty(0, dtype=np.int64)]).astype(np.int64)


def drop_rows(columns: Columns, dropped: NDArray[np.int64]) -> None:
    """Take some rows, in ascending order, out of all columns."""

    def place(start: int, stop: int) -> tuple[Column, Column]:
        first, last = np.searchsorted(dropped, [start, stop])
        kept = np.ones(stop - start, dtype=bool)
        kept[dropped[first:last] - start] = False
        which = np.flatnonzero(kept)
        return which, np.arange(len(which)) + (start - first)

    columns.rearrange(columns.rows - len(dropped), place)


class _Dealer:
    """Says where the rows of a block go when each instrument has its own stretch, keeping their order within it."""

    def __init__(self, codes: Column, begins: NDArray[np.int64]) -> None:
        self._codes = codes
        self._next = begins.copy()

    def __call__(self, start: int, stop: int) -> tuple[Column, Column]:
        codes = self._codes[start:stop]
        which = np.argsort(codes, kind="stable")
        dealt = codes[which]
        counts = np.bincount(dealt, minlength=len(self._next))
        before = np.cumsum(counts) - counts
        where = self._next[dealt] + np.arange(len(dealt)) - before[dealt]
        self._next += counts
        return which, where


def _never_falls(values: Column) -> bool:
    blocks = blocks_of(len(values), start=1)
    return all((values[start:stop] >= values[start - 1 : stop - 1]).all() for start, stop in blocks)


def _write(stream: BinaryIO, values: Column) -> None:
    stream.write(np.ascontiguousarray(values).data)
