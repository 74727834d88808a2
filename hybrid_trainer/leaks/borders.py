"""Does a label reach from one part of the split into another? Looked up anew, from the times of the rows alone."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.timestamps import iso
from hybrid_trainer.leaks.finding import Finding, Subject
from hybrid_trainer.types import SPLITS

Rows = NDArray[np.int64]


def no_label_crosses(subject: Subject) -> Finding:
    """No row of one part lies in the label interval [t, t + horizon] of a row of another, on whichever side of it."""
    data = subject.data
    horizon = max(spec.horizon for spec in data.specs)
    found = [*_windows_that_cross(data)]
    for one, other in combinations(SPLITS, 2):
        both = np.intersect1d(data.split.rows[one], data.split.rows[other], assume_unique=True)
        if len(both):
            found.append(f"{len(both)} rows are in '{one}' and in '{other}': {_said(data, both[0])}")
            continue
        for earlier, later in ((one, other), (other, one)):
            found += _reaching(data, earlier, later, horizon, subject.config.data.independent_sequences)
    counts = ", ".join(f"{len(data.split.rows[part]):,} {part}" for part in SPLITS)
    purged = sum(map(len, data.split.purged.values()))
    return Finding(looked_at=f"{counts} rows; horizon {horizon}; {purged:,} purged", failures=found)


def _reaching(data: Dataset, earlier: str, later: str, horizon: int, independent: bool) -> list[str]:
    """The rows of `earlier` at or behind which a row of `later` comes before their label ends."""
    rows, others = data.split.rows[earlier], data.split.rows[later]
    if independent:  # each sequence has a clock of its own: rows lie sequence behind sequence, so their numbers are one
        stops = np.searchsorted(data.table.instrument, data.table.instrument[rows], side="right")
        reaches = np.append(others, len(data.table))[np.searchsorted(others, rows)] <= np.minimum(
            rows + horizon, stops - 1
        )
        first = [_said(data, row) for row in rows[reaches][:1]]
        return [
            f"the labels of {int(reaches.sum())} rows of '{earlier}' reach into '{later}': {said}" for said in first
        ]
    times = np.unique(data.panel.timestamps[others])
    begin, end = data.panel.timestamps[rows], interval_ends(data.table, rows, horizon)
    following = np.searchsorted(times, begin)
    bad = np.append(times, np.iinfo(np.int64).max)[following] <= end
    if not bad.any():
        return []
    row, first = rows[bad][0], times[following[bad][0]]
    return [
        f"the labels of {int(bad.sum())} rows of '{earlier}' reach into '{later}': {_said(data, row)} ends "
        f"{iso(end[bad][0])}, and {iso(first)} is in '{later}'"
    ]


def interval_ends(table: Table, rows: Rows, horizon: int) -> Rows:
    """(R,): the time of the row `horizon` ahead; behind an instrument's last row the calendar of all goes on.

    There a bar lasts no less than the instrument's own usual step.
    """
    calendar = np.unique(table.timestamp)
    stops = np.searchsorted(table.instrument, table.instrument[rows], side="right")
    ahead = np.minimum(rows + horizon, stops - 1)
    place = np.searchsorted(calendar, table.timestamp[ahead]) + (rows + horizon - ahead)
    ends: Rows = calendar[np.minimum(place, len(calendar) - 1)]
    over = rows + horizon - ahead
    blocks = table.instrument_blocks
    for code in np.unique(table.instrument[rows[over > 0]]).tolist():
        start, stop = blocks[code]
        own = table.timestamp[start:stop]
        first, last = np.searchsorted(rows, [start, stop])
        if len(own) > 1:
            later = own[-1] + (over[first:last] * np.median(np.diff(own))).astype(np.int64)
            ends[first:last] = np.where(over[first:last] > 0, np.maximum(ends[first:last], later), ends[first:last])
    reached: Rows = np.minimum(ends, calendar[-1])
    return reached


def _windows_that_cross(data: Dataset) -> list[str]:
    """Decision rows whose window begins in another instrument, or holds a gap or a row without all features."""
    rows = np.concatenate(list(data.split.rows.values()))
    first = rows - data.time_window + 1
    usable = np.isfinite(data.panel.features).all(axis=1)
    unusable = np.concatenate([[0], np.cumsum(~usable)])
    crosses = (data.panel.instrument[np.maximum(first, 0)] != data.panel.instrument[rows]) | (first < 0)
    crosses |= unusable[rows + 1] > unusable[np.maximum(first, 0)]
    breaks = data.table.breaks
    crosses |= np.searchsorted(breaks, rows, "right") > np.searchsorted(breaks, first, "right")
    return [
        f"the window of {_said(data, row)} crosses an instrument's border, a gap or a row without all features"
        for row in rows[crosses][:1]
    ]


def _said(data: Dataset, row: int) -> str:
    return f"row {iso(data.panel.timestamps[row])} of {data.panel.instruments[data.panel.instrument[row]]}"
