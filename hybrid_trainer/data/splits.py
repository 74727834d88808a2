"""Which rows train, which choose, which judge: parts are given, labels that reach across purged, and that is proved."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hybrid_trainer.config.spans import Span, parse_span
from hybrid_trainer.config.split import SplitConfig
from hybrid_trainer.data import purging, split_kinds
from hybrid_trainer.data.calendar import common_calendar, extreme, is_plain
from hybrid_trainer.data.label_ends import LabelEnds
from hybrid_trainer.data.purging import Clocks, Flags, Rows
from hybrid_trainer.data.split_kinds import UNUSED, Parts
from hybrid_trainer.data.table import Coded, Table
from hybrid_trainer.errors import TableError, did_you_mean
from hybrid_trainer.types import SPLITS

NO_EMBARGO = Span(0, in_bars=True)
_ALONE = "; where the instruments are sequences that share no calendar, data.independent_sequences=true says so"


@dataclass(frozen=True, kw_only=True)
class Split:
    """Decision rows per part ('train', 'valid', 'test'), ascending.

    A row belongs to the part in which its label begins, and its window may look back across the border.

    Attributes:
        rows: what trains, validates, tests.
        purged: what was given up since its label reaches another part, or another part's label reaches it.
        embargoed: what was given up for the embargo alone.
        unused: decision rows that belong to no part: they are looked back on only.
        begins: the first time of each part, before anything was given up.
        details: what the kind of split has to say in the report.
    """

    rows: dict[str, Rows]
    purged: dict[str, Rows]
    embargoed: dict[str, Rows]
    unused: Rows
    begins: dict[str, int]
    details: dict[str, Any] = field(default_factory=dict)


def clocks_of(table: Table, horizon: int, *, independent: bool = False) -> Clocks:
    """The times of a table's rows and of their labels, of which the longest reaches `horizon` bars."""
    blocks = table.instrument_blocks
    calendar = np.empty(0, dtype=np.int64) if independent else common_calendar(table.timestamp, blocks)
    return Clocks(
        timestamps=table.timestamp,
        label_end=LabelEnds.of(table.timestamp, blocks, calendar, horizon),
        blocks=blocks,
        calendar=calendar,
        line=table.line,
        file=table.file,
        independent=independent,
    )


def make_split(config: SplitConfig, table: Table, rows: Rows, clocks: Clocks) -> Split:
    """Divide (R,) ascending decision rows of a table as the config says, purge, and verify.

    Raises:
        TableError: there is too little to divide, or purging leaves nothing of a part.
    """
    embargo = parse_span("data.split.embargo", config.embargo)
    if not embargo.in_bars and len(clocks.timestamps) and is_plain(clocks.timestamps):
        raise TableError(
            f"data.split.embargo: {config.embargo} is a duration, but the table's times are plain integers; "
            "give a number of bars"
        )
    details = {"kind": config.kind, "embargo": config.embargo} | split_kinds.details(config)
    if config.kind == "column":
        assert config.column is not None
        column = table.categories[config.column]
        parts = by_column(config.column, column, rows, table.file)
        details |= {
            "column": config.column,
            "unused_values": _unused_values(column, rows, parts),
        }
    elif clocks.independent:
        parts = _by_sequence(config, table, rows, clocks)
        details["sequences"] = {
            part: len(np.unique(table.instrument[rows[parts == code]])) for code, part in enumerate(SPLITS)
        }
    else:
        parts = _by_time(config, rows, clocks)
    return divide(rows, parts, clocks, embargo, details)


def divide(rows: Rows, parts: Parts, clocks: Clocks, embargo: Span, details: dict[str, Any]) -> Split:
    """Purge rows that have a part each, and prove what is left."""
    purged, embargoed = _given_up(rows, parts, clocks, embargo)
    begins = {}
    for code, part in enumerate(SPLITS):
        if not (parts == code).any():
            raise TableError(f"data.split: no row that can be decided belongs to '{part}'")
        begins[part] = extreme(clocks.timestamps, rows[parts == code], np.minimum)
    kept = {part: rows[(parts == code) & ~purged & ~embargoed] for code, part in enumerate(SPLITS)}
    purging.refuse_empty(kept, rows, parts, clocks, _ALONE if "column" in details and not clocks.independent else "")
    purging.verify(kept, clocks, embargo)
    return Split(
        rows=kept,
        purged={part: rows[(parts == code) & purged] for code, part in enumerate(SPLITS)},
        embargoed={part: rows[(parts == code) & embargoed] for code, part in enumerate(SPLITS)},
        unused=rows[parts == UNUSED],
        begins=begins,
        details=details,
    )


def _given_up(rows: Rows, parts: Parts, clocks: Clocks, embargo: Span) -> tuple[Flags, Flags]:
    """(R,) bool each: rows purged for their labels, and rows given up for the embargo alone."""
    if clocks.independent:
        place, size = rows.astype(np.int32), len(clocks.timestamps)
        reach_of = purging.reach_in_sequence
    else:
        place, size = purging.on_calendar(rows, clocks), len(clocks.calendar)
        reach_of = purging.reach_on_calendar
    purged = purging.purge(parts, place, reach_of(rows, clocks, NO_EMBARGO), size)
    if not embargo.amount:
        return purged, np.zeros(len(rows), dtype=bool)
    return purged, purging.purge(parts, place, reach_of(rows, clocks, embargo), size) & ~purged


def _by_time(config: SplitConfig, rows: Rows, clocks: Clocks) -> Parts:
    """Parts by the times of the common calendar in which some row can be decided."""
    place = purging.on_calendar(rows, clocks)
    part_of = np.full(len(clocks.calendar), UNUSED, dtype=np.int8)
    there = np.zeros(len(clocks.calendar), dtype=bool)
    there[place] = True
    units = np.flatnonzero(there)
    if config.kind == "date":
        times = clocks.calendar[units]
        part_of[units] = split_kinds.by_date(config, times, plain=is_plain(clocks.calendar))
    else:
        part_of[units] = split_kinds.by_position(config, len(units), "times")
    return part_of[place]


def _by_sequence(config: SplitConfig, table: Table, rows: Rows, clocks: Clocks) -> Parts:
    """Parts by whole sequences, among those in which some row can be decided."""
    order = split_kinds.sequence_order(config, table.instruments, lambda: _first_lines(table, clocks))
    there = np.zeros(len(order), dtype=bool)
    there[table.instrument[rows]] = True
    units = order[there[order]]
    part_of = np.full(len(order), UNUSED, dtype=np.int8)
    part_of[units] = split_kinds.by_position(config, len(units), "sequences")
    return part_of[table.instrument[rows]]


def _first_lines(table: Table, clocks: Clocks) -> Rows:
    return np.array([table.line[start:stop].min() for start, stop in clocks.blocks], dtype=np.int64)


def by_column(name: str, column: Coded, rows: Rows, file: str) -> Parts:
    """Parts as a column of the table says; any other text, and none, is UNUSED."""
    for part in SPLITS:
        if part not in column.names:
            raise TableError(
                f"{file}: column '{name}' (data.split.column) never says '{part}'"
                f"{did_you_mean(part, column.names[:20])}; it must say train, valid and test"
            )
    codes = [SPLITS.index(text) if text in SPLITS else UNUSED for text in column.names]
    return np.array([*codes, UNUSED], dtype=np.int8)[column.codes[rows]]  # code -1, a missing text, takes the last


def _unused_values(column: Coded, rows: Rows, parts: Parts) -> dict[str, int]:
    """How many decision rows each text that is no part has."""
    counts = Counter(column.codes[rows[parts == UNUSED]].tolist())
    return {"" if code < 0 else column.names[code]: count for code, count in counts.most_common(20)}
