"""Give up the rows whose labels reach into another part; and the proof, in another way, that none is left.

A row's label is about (t, t + horizon]. Two rows of different parts are in conflict where one's interval, from its own
row on, holds the other's row: nothing that is learned from, or chosen by, the one may be told by the bars of the other.
Test never gives way; validation gives way to test, and training to both, on whichever side it lies
(Lopez de Prado, 2018, section 7.4). An embargo makes every interval longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.config.spans import Span
from hybrid_trainer.data.calendar import CHUNK, Blocks, Times, positions, shifted, times_of
from hybrid_trainer.data.label_ends import Ends
from hybrid_trainer.data.split_kinds import TRAIN, VALID, Parts
from hybrid_trainer.data.timestamps import iso
from hybrid_trainer.errors import TableError
from hybrid_trainer.types import SPLITS

Rows = NDArray[np.int64]
Places = NDArray[np.int32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Clocks:
    """What is known of the time of N rows, sorted by instrument, then time.

    Attributes:
        timestamps: (N,) each row's time. label_end: when the longest label interval of a row ends.
        blocks: [start, stop) rows of each instrument. calendar: (C,) every time once.
        line: (N,) the row's place in the file. file: its name, for messages.
        independent: the instruments are sequences that share no calendar.
    """

    timestamps: Times
    label_end: Ends
    blocks: Blocks
    calendar: Times
    line: Rows
    file: str
    independent: bool = False

    def place(self, row: int) -> str:
        """A row as a message names it."""
        return f"{self.file}:{self.line[row]} ({iso(self.timestamps[row])})"


def on_calendar(rows: Rows, clocks: Clocks) -> Places:
    """(R,) int32: each row's position on the common calendar."""
    return _by_chunk(rows, lambda part: positions(clocks.calendar, clocks.timestamps[part]))


def reach_on_calendar(rows: Rows, clocks: Clocks, embargo: Span) -> Places:
    """(R,) int32: the last position that each row's label reaches, the embargo included."""

    def reached(part: Rows) -> Places:
        return positions(clocks.calendar, shifted(clocks.calendar, clocks.label_end[part], embargo))

    return _by_chunk(rows, reached)


def reach_in_sequence(rows: Rows, clocks: Clocks, embargo: Span) -> Places:
    """(R,) int32: the last row of its own sequence that each row's label reaches: sequences lie end to end."""
    out = np.empty(len(rows), dtype=np.int32)
    edges = np.searchsorted(rows, [edge for block in clocks.blocks for edge in block]).reshape(-1, 2)
    for (start, stop), (first, last) in zip(clocks.blocks, edges.tolist(), strict=True):
        times = clocks.timestamps[start:stop]
        ends = shifted(times, clocks.label_end[rows[first:last]], embargo)
        out[first:last] = positions(times, ends) + start
    return out


def conflicts(place: Places, reach: Places, size: int, lower: Flags, higher: Flags) -> Flags:
    """(R,) bool: the rows of `lower` whose interval holds a row of `higher`, or which lie in the interval of one.

    Args:
        place, reach: (R,) first and last position of each row's interval, both included, of `size` positions.
    """
    there = np.zeros(size, dtype=bool)
    there[place[higher]] = True
    before = np.zeros(size + 1, dtype=np.int32)  # how many positions before this one hold a higher row
    np.cumsum(there, out=before[1:])
    opened = np.zeros(size + 1, dtype=np.int32)  # how many more intervals of higher rows are open from here on
    for start in range(0, len(place), CHUNK):
        some = higher[start : start + CHUNK]
        _add_counts(opened, place[start : start + CHUNK][some], 1)
        _add_counts(opened, reach[start : start + CHUNK][some] + 1, -1)
    covered = np.cumsum(opened, out=opened)[:size] > 0
    hit = np.empty(len(place), dtype=bool)
    for start in range(0, len(place), CHUNK):
        part = slice(start, start + CHUNK)
        first, last = place[part], reach[part]
        hit[part] = lower[part] & (covered[first] | (before[last + 1] > before[first]))
    return hit


def _add_counts(counts: Places, places: Places, sign: int) -> None:
    """Add to `counts` how often each place comes; only the part between the first and the last one is touched."""
    if len(places):
        first = int(places.min())
        found = np.bincount(places - first)
        counts[first : first + len(found)] += (sign * found).astype(np.int32)


def purge(parts: Parts, place: Places, reach: Places, size: int) -> Flags:
    """(R,) bool: the rows that have to be given up, among rows with the part of each."""
    given_up = np.zeros(len(parts), dtype=bool)
    for lower in (VALID, TRAIN):  # each yields to what comes behind it in SPLITS
        given_up |= conflicts(place, reach, size, parts == lower, parts > lower)
    return given_up


def verify(rows: dict[str, Rows], clocks: Clocks, embargo: Span) -> None:
    """Raise TableError, naming two rows, where the interval of one part's row holds the row of another part.

    It looks at times alone, pair of parts by pair of parts, and knows nothing of how the split was made.
    """
    for one, other in (("train", "valid"), ("train", "test"), ("valid", "test")):
        for block, calendar in _clocks_of(rows, one, other, clocks):
            ours, theirs = (_within(rows[part], block) for part in (one, other))
            for earlier, later, name in ((ours, theirs, (one, other)), (theirs, ours, (other, one))):
                _verify_order(earlier, later, name, clocks, calendar, embargo)


def _verify_order(
    earlier: Rows, later: Rows, names: tuple[str, str], clocks: Clocks, calendar: Times, embargo: Span
) -> None:
    """No row of `later` lies between a row of `earlier` and the end of its interval."""
    following = times_of(clocks.timestamps, later)
    for start in range(0, len(earlier) if len(later) else 0, CHUNK):
        part = earlier[start : start + CHUNK]
        next_ = np.searchsorted(following, clocks.timestamps[part])
        end = shifted(calendar, clocks.label_end[part], embargo)
        held = (next_ < len(following)) & (following[np.minimum(next_, len(following) - 1)] <= end)
        if held.any():
            which = int(np.argmax(held))
            bad, reached = int(part[which]), following[next_[which]]
            hit = int(later[np.argmax(clocks.timestamps[later] == reached)])
            until = "goes on without an end" if end[which] == np.iinfo(np.int64).max else f"ends {iso(end[which])}"
            raise TableError(
                f"data.split: the label of row {clocks.place(bad)}, {names[0]}, {until}, at or after row "
                f"{clocks.place(hit)}, {names[1]} (embargo included): the split would leak"
            )


def _clocks_of(rows: dict[str, Rows], one: str, other: str, clocks: Clocks) -> Iterator[tuple[tuple[int, int], Times]]:
    """The row ranges that share a calendar, and that: all rows, or each sequence that has rows in both parts."""
    if not clocks.independent:
        yield (0, len(clocks.timestamps)), clocks.calendar
        return
    starts = np.array([start for start, _ in clocks.blocks], dtype=np.int64)
    ours, theirs = (np.unique(np.searchsorted(starts, rows[part], side="right") - 1) for part in (one, other))
    for sequence in np.intersect1d(ours, theirs).tolist():
        start, stop = clocks.blocks[sequence]
        yield (start, stop), np.asarray(clocks.timestamps[start:stop])


def _within(rows: Rows, block: tuple[int, int]) -> Rows:
    first, last = np.searchsorted(rows, block)
    return rows[first:last]


def _by_chunk(rows: Rows, compute: Callable[[Rows], Places]) -> Places:
    out = np.empty(len(rows), dtype=np.int32)
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        out[part] = compute(rows[part])
    return out


def refuse_empty(kept: dict[str, Rows], rows: Rows, parts: Parts, clocks: Clocks, hint: str = "") -> None:
    """Raise TableError where purging has left nothing of a part; `hint` says what else may be the matter."""
    for code, part in enumerate(SPLITS):
        if len(kept[part]):
            continue
        row = int(rows[np.argmax(parts == code)])
        raise TableError(
            f"data.split: after purging, no row is left in '{part}'; the label reaches further than the "
            "part is long: bring more rows, or shorter horizons and embargo "
            f"(the first of {int((parts == code).sum())} rows given up is {clocks.place(row)}){hint}"
        )
