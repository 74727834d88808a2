"""From a table to a `Panel`: one contiguous feature matrix, and the row ranges that a window may lie in."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.data.calendar import is_plain
from hybrid_trainer.data.causality import refuse_leaks
from hybrid_trainer.data.context import context_matrix
from hybrid_trainer.data.features import TIME, Feature, TooLargeError, compute_features, select_features
from hybrid_trainer.data.market import market_means
from hybrid_trainer.data.room import IN_MEMORY, PIECE, Room
from hybrid_trainer.data.segments import find_segments
from hybrid_trainer.data.table import Table
from hybrid_trainer.errors import TableError
from hybrid_trainer.version import __version__

log = logging.getLogger(__name__)
_FORMAT = 2  # of kept features; to be raised when a built-in feature's definition changes
_ROWS = 1 << 15
_ONE_THREAD = 1 << 15  # numbers: a larger product is done by threads that wait for each other, working


@dataclass(frozen=True, kw_only=True)
class Panel:
    """N rows sorted by instrument, then time; F features, C context columns.

    Attributes:
        features: (N, F) float32, contiguous, as computed (not scaled); NaN outside the segments.
        context: (N, C) float32, NaN in all columns of a block that is missing; None where there are no blocks.
        context_blocks: name of each block -> its columns, in the order of the C columns.
        timestamps: (N,) int64, ns since 1970 UTC.
        instrument: (N,) int64 into `instruments`.
        segments: (S, 2) int64, [start, stop): one instrument, no gap, every feature present; a window lies inside one.
    """

    features: NDArray[np.float32]
    feature_names: tuple[str, ...]
    context: NDArray[np.float32] | None
    context_blocks: dict[str, tuple[str, ...]]
    timestamps: NDArray[np.int64]
    instrument: NDArray[np.int64]
    instruments: tuple[str, ...]
    segments: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.timestamps)

    def decidable_rows(self, time_window: int) -> NDArray[np.int64]:
        """The rows that end a window of `time_window` rows inside one segment, in ascending order."""
        counts = np.maximum(self.segments[:, 1] - self.segments[:, 0] - time_window + 1, 0)
        ends = np.cumsum(counts)
        rows = np.empty(int(counts.sum()), dtype=np.int64)
        for end, count, start in zip(ends.tolist(), counts.tolist(), self.segments[:, 0].tolist(), strict=True):
            rows[end - count : end] = np.arange(start + time_window - 1, start + time_window - 1 + count)
        return rows


def build_panel(
    table: Table,
    *,
    feature_set: str,
    features: list[str],
    context: dict[str, tuple[str, ...]],
    extra_features: Sequence[str] = (),
    expressions: Mapping[str, str] | None = None,
    room: Room = IN_MEMORY,
) -> Panel:
    """Compute the features of a table and cut it into segments.

    Args:
        feature_set: 'core' or 'technical' computes these indicators, 'none' does not.
        features: the table's own columns to use as features, behind the computed ones.
        context: the table's own columns for the context branch, by block.
        extra_features: names of single features. expressions: features written as text, by name.
        room: where the features and the context go.
    """
    matrix, names = _feature_matrix(table, feature_set, extra_features, expressions or {}, features, room)
    usable = _usable(matrix)
    return Panel(
        features=matrix,
        feature_names=names,
        context=context_matrix(table, context, room),
        context_blocks=context,
        timestamps=table.timestamp,
        instrument=table.instrument,
        instruments=table.instruments,
        segments=find_segments(usable, table.instrument, table.breaks),
    )


def _usable(matrix: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(N,) bool: where every feature is a finite number."""
    usable = np.empty(len(matrix), dtype=bool)
    ones = np.ones(matrix.shape[1], dtype=np.float32)
    rows = max(1, _ONE_THREAD // max(1, matrix.shape[1]))
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(matrix), rows):  # a finite sum has finite parts
            np.isfinite(matrix[start : start + rows] @ ones, out=usable[start : start + rows])
    for start in range(0, len(matrix), PIECE):  # only the others need a closer look
        odd = np.flatnonzero(~usable[start : start + PIECE]) + start
        usable[odd] = np.isfinite(matrix[odd]).all(axis=1)
    return usable


def _feature_matrix(
    table: Table,
    feature_set: str,
    extra: Sequence[str],
    expressions: Mapping[str, str],
    own: Sequence[str],
    room: Room,
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Every feature, float32: the set, single features, expressions, then the table's own columns."""
    selected = select_features(feature_set, extra, expressions, without_volume="volume" not in table.prices)
    columns = {**table.numbers, **table.prices, **_time(table, selected, room)}
    _refuse_missing_columns(table, [(entry.name, name) for entry in selected for name in entry.reads], columns)
    names = (*(entry.name for entry in selected), *own)
    twice = [name for index, name in enumerate(names) if name in names[:index]]
    if twice:
        raise TableError(f"{table.file}: column '{twice[0]}' has the name of a computed feature; rename it")
    longest = max(table.blocks, key=lambda block: block[1] - block[0], default=(0, 0))
    refuse_leaks([entry for entry in selected if entry.name in extra], columns, longest)
    shape = (len(table), len(names))

    def fill(matrix: NDArray[np.float32]) -> None:
        _fill(matrix, table, columns, selected, own, room)

    key = _key(table, selected, expressions, own) if room.folder is not None else None
    if key is None:
        fits = 4 * len(table) * len(names) <= room.in_memory
        matrix = (IN_MEMORY if fits else room).empty(shape, np.float32)
        fill(matrix)
    else:
        matrix = room.kept(key, shape, np.float32, fill)
    for index, entry in enumerate(selected):
        if entry.name in extra or entry.name in expressions:
            _warn_of_gaps(table, entry, matrix[:, index])
    return matrix, names


def _fill(
    matrix: NDArray[np.float32],
    table: Table,
    columns: Mapping[str, NDArray[np.float64]],
    selected: Sequence[Feature],
    own: Sequence[str],
    room: Room,
) -> None:
    try:
        means = market_means(selected, columns, table.timestamp, table.blocks, room)
        compute_features({**columns, **means}, table.blocks, selected, matrix)
        _copy_columns({name: table.numbers[name] for name in own}, matrix[:, len(selected) :])
    except TooLargeError as error:
        raise TableError(
            f"{table.place(error.row)}: column '{error.name}': {error.value:g} is too large for a "
            "feature (float32 ends at 3.4e38); scale the column"
        ) from error


def _time(table: Table, selected: Sequence[Feature], room: Room) -> dict[str, NDArray[np.float64]]:
    """The (N,) seconds since 1970 UTC, where a feature reads them; a plain clock has none."""
    readers = [entry.name for entry in selected if TIME in entry.reads]
    if not readers:
        return {}
    if is_plain(table.timestamp):
        raise TableError(
            f"{table.file}: the feature '{readers[0]}' reads the time of day or week, but the timestamps are a plain "
            "clock without dates; leave it out"
        )
    seconds = room.empty((len(table),), np.float64)
    for start in range(0, len(table), PIECE):
        seconds[start : start + PIECE] = table.timestamp[start : start + PIECE] / 1e9
    return {TIME: seconds}


def _key(table: Table, selected: Sequence[Feature], expressions: Mapping[str, str], own: Sequence[str]) -> str | None:
    """What the features depend on, as a name; None where one of them is the user's own code, which may change."""
    own_code = any(entry.is_own_code for entry in selected)
    if own_code or not table.key:
        return None
    told = {
        "format": _FORMAT,
        "version": __version__,
        "table": table.key,
        "breaks": hashlib.sha256(table.breaks.tobytes()).hexdigest(),
        "features": [[entry.name, entry.lookback, expressions.get(entry.name)] for entry in selected],
        "own": list(own),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _warn_of_gaps(table: Table, entry: Feature, values: NDArray[np.float32]) -> None:
    """Say where a feature of the user's own is no number though its lookback is full: the log of 0, say."""
    bad = ~np.isfinite(values)
    for start, stop in table.blocks:
        bad[start : min(start + entry.lookback - 1, stop)] = False
    count = int(np.count_nonzero(bad))
    if count:
        first = table.line[int(bad.argmax())]
        log.warning(
            "%s:%d: the feature '%s' is no finite number here (in %d row(s) altogether); no window crosses such a row",
            table.file,
            first,
            entry.name,
            count,
        )


def _refuse_missing_columns(table: Table, reads: list[tuple[str, str]], columns: Mapping[str, object]) -> None:
    for feature, column in reads:
        if column not in columns:
            raise TableError(f"{table.file}: there is no column '{column}', which the feature '{feature}' reads")


def _copy_columns(columns: Mapping[str, NDArray[np.float64]], out: NDArray[np.float32]) -> None:
    """Write columns side by side, some rows at a time: `out` may be a map, and is written to once."""
    for start in range(0, len(out), _ROWS):
        rows = slice(start, start + _ROWS)
        for index, (name, values) in enumerate(columns.items()):
            part = values[rows]
            with np.errstate(over="ignore"):
                out[rows, index] = part
            for row in np.flatnonzero(np.isinf(out[rows, index]))[:1].tolist():
                raise TooLargeError(start + row, name, float(part[row]))
