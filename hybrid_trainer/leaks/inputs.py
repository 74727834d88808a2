"""Does an input know of later rows? The whole chain, from the table to the windows, is run again on other later rows.

Shape legend: N rows of the table, M of them up to a time, R decision rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hybrid_trainer import prepare
from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.timestamps import iso
from hybrid_trainer.data.windows import PanelTensors, WindowLoader
from hybrid_trainer.errors import LeakError
from hybrid_trainer.leaks.changes import with_other_rows
from hybrid_trainer.leaks.finding import Finding, Subject
from hybrid_trainer.types import Batch

_CHUNK = 1 << 16
_WINDOWS = 256  # gathered at one time
_SHOWN = 3

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class _Inputs:
    """What a model would be fed from a table, and the rows that it would decide on."""

    tensors: PanelTensors
    decidable: Rows


def cut_off(subject: Subject) -> Finding:
    """Inputs computed on the rows up to t equal those computed on the whole table, bit for bit."""

    def upto(table: Table, time: int) -> tuple[Table, Rows]:
        rows = np.flatnonzero(table.timestamp <= time)
        return table.take(rows), rows

    return _compared(subject, upto, "with the rows after t cut off")


def changed(subject: Subject) -> Finding:
    """Changing the rows after t changes no input at t or before."""
    generator = subject.generator()

    def other(table: Table, time: int) -> tuple[Table, Rows]:
        later = table.timestamp > time
        return with_other_rows(table, later, generator), np.flatnonzero(~later)

    return _compared(subject, other, "with the rows after t changed")


def _compared(subject: Subject, change: Callable[[Table, int], tuple[Table, Rows]], how: str) -> Finding:
    """Compare the inputs of the table with those of a changed one, row by row and window by window.

    Args:
        change: gives, for a time, the changed table and the table's own rows that must be as they were; the changed
            table begins with these rows, or has them in the same places.
    """
    data = subject.data
    whole = _Inputs(data.tensors, data.panel.decidable_rows(data.time_window))
    found: dict[str, str] = {}  # what is another -> where that was seen first
    rows_seen = windows_seen = 0
    times = _times(data, subject)
    for time in times.tolist():
        table, rows = change(data.table, time)
        places = np.arange(len(rows)) if len(table) == len(rows) else rows
        try:
            part = _inputs(subject, table)
        except LeakError as error:  # a feature of the user's own that the run itself refuses
            found.setdefault("refused", str(error))
            continue
        rows_seen += len(rows)
        found = _row_faults(data, whole.tensors, part.tensors, rows, places, time) | found
        decided = np.flatnonzero(np.isin(rows, whole.decidable, assume_unique=True))
        decided_again = np.flatnonzero(np.isin(places, part.decidable, assume_unique=True))
        if not np.array_equal(decided, decided_again):
            found.setdefault("decidable", f"t = {iso(time)}: other rows can be decided")
            continue
        at = decided[data.panel.timestamps[rows[decided]] == time][:_WINDOWS]
        windows_seen += len(at)
        if not _same_windows(whole.tensors, part.tensors, rows[at], places[at], data.time_window):
            found.setdefault("windows", f"t = {iso(time)}: the windows that end there are others")
    looked_at = f"{len(times)} times t, {how}: {rows_seen:,} rows, {windows_seen:,} windows"
    return Finding(looked_at=looked_at, failures=_first(list(found.values())))


def _times(data: Dataset, subject: Subject) -> Rows:
    """Times of decision rows, drawn at random, ascending."""
    times = np.unique(data.panel.timestamps[np.concatenate(list(data.split.rows.values()))])
    drawn = subject.generator().choice(times, min(subject.samples, len(times)), replace=False)
    return np.sort(drawn)


def _inputs(subject: Subject, table: Table) -> _Inputs:
    """The same chain that the run's own data went through, with what was fitted taken over."""
    data = subject.data
    panel = prepare.panel_of(subject.config, table)
    tensors = prepare.tensors_of(table, panel, data.scaler, data.context_scaler, data.vocabularies, [])
    return _Inputs(tensors, panel.decidable_rows(data.time_window))


def _row_faults(
    data: Dataset, whole: PanelTensors, part: PanelTensors, rows: Rows, places: Rows, time: int
) -> dict[str, str]:
    """The columns that differ in some row, each with the last such row."""
    found = {}
    context = [name for names in data.panel.context_blocks.values() for name in names]
    named = (
        ("feature", data.panel.feature_names, whole.features, part.features),
        ("context column", context, whole.context, part.context),
        ("category", list(data.vocabularies), whole.ids, part.ids),
    )
    for kind, names, ours, theirs in named:
        if ours is None or theirs is None:
            continue
        last = np.full(len(names), -1, dtype=np.int64)
        for start in range(0, len(rows), _CHUNK):
            piece = slice(start, start + _CHUNK)
            other = ~same(ours[torch.from_numpy(rows[piece])], theirs[torch.from_numpy(places[piece])]).numpy()
            hit = np.flatnonzero(other.any(axis=0))
            last[hit] = rows[piece][len(other) - 1 - other[::-1, hit].argmax(axis=0)]
        for column in np.flatnonzero(last >= 0).tolist():
            row = last[column]
            found[f"{kind} {names[column]}"] = (
                f"{kind} '{names[column]}' is another at {iso(data.panel.timestamps[row])} "
                f"({data.panel.instruments[data.panel.instrument[row]]}), t = {iso(time)}: it reads rows after t"
            )
    return found


def _same_windows(whole: PanelTensors, part: PanelTensors, rows: Rows, places: Rows, time_window: int) -> bool:
    if not len(rows):
        return True
    ours = _gathered(whole, rows, time_window)
    try:
        theirs = _gathered(part, places, time_window)
    except IndexError:  # they want a row behind the last one
        return False
    same_context = ours.context is None or theirs.context is None or bool(same(ours.context, theirs.context).all())
    return same_context and bool(same(ours.x, theirs.x).all()) and bool(same(ours.ids, theirs.ids).all())


def _gathered(tensors: PanelTensors, rows: Rows, time_window: int) -> Batch:
    """One batch of the rows, as training would get it."""
    return next(iter(WindowLoader(tensors, torch.from_numpy(rows), time_window=time_window, batch_size=len(rows))))


def same(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Where two tensors of one shape have the same bits; NaN is NaN."""
    if not a.is_floating_point():
        return a == b
    bits = {torch.float32: torch.int32, torch.float64: torch.int64}[a.dtype]
    return (a.view(bits) == b.view(bits)) | (a.isnan() & b.isnan())


def _first(found: list[str]) -> list[str]:
    """The first few, and how many more there are."""
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return found[:_SHOWN] + more
