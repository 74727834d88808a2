"""Where a step between neighbouring rows of an instrument is no step but a gap (`data.max_gap`). Imports no torch.

`auto` takes what is usual from the data themselves. Usual is what 19 of 20 steps do not exceed, and the longest step of
a usual day and of a usual week: nights and weekends. Beyond that is allowed

- where the data rest every week (shares, daily or not): nine days more, which covers any holiday; but not a step in
  which others have bars on more than six days of the week on which the instrument has them as well,
- on a regular clock (19 of 20 steps are the same and nothing rests): three usual steps,
- for irregular events: five times the usual, or fifteen times the median step, whichever is more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.config.spans import parse_span
from hybrid_trainer.data.calendar import CHUNK, Blocks, Times, common_calendar, is_plain
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.timestamps import iso
from hybrid_trainer.errors import TableError

DAY = 86_400 * 10**9
_HOLIDAYS = 9 * DAY  # a week without trading between two weekends
_DAYS_MISSED = 6  # the same, counted in days on which others have bars
_SAMPLE = 1 << 18  # steps that quantiles are taken from
_SHOWN = 3  # gaps named in the log, the longest ones


@dataclass(frozen=True)
class Allowance:
    """The longest step that is none, in the clock's units; `rests` where weekends and holidays are part of it."""

    longest: int
    rests: bool = False


Learned = Mapping[str, Allowance]


def cut_at_gaps(
    table: Table, max_gap: str | None, *, independent: bool = False, learned: Learned | None = None
) -> Table:
    """Return the table with `breaks`: the rows before which a gap lies; windows, features and labels end there.

    Args:
        max_gap: 'auto', a number of usual steps, a duration, or None for no gap at all; see `data.max_gap`.
        independent: the instruments share no calendar, so none says what another misses.
        learned: by instrument, what an earlier table said; the table itself says it of every other one.

    Raises:
        TableError: a duration for times that are plain integers.
    """
    if max_gap is None:
        return table
    plain = bool(len(table)) and is_plain(table.timestamp)
    blocks = table.instrument_blocks
    days = None
    found = []
    for name, (start, stop) in zip(table.instruments, blocks, strict=True):
        times = table.timestamp[start:stop]
        if stop - start < 2:
            continue
        allowance = (learned or {}).get(name) or allow(times, max_gap, plain, table.file)
        longer = steps_over(times, allowance.longest)
        if max_gap == "auto" and allowance.rests and len(blocks) > 1 and not independent:
            days = _trading_days(table.timestamp, blocks) if days is None else days
            longer = np.union1d(longer, _missed(times, days))
        found.append(longer + start + 1)
    breaks = np.concatenate([*found, np.empty(0, dtype=np.int64)]).astype(np.int64)
    return replace(table, breaks=breaks, notes=(*table.notes, *_notes(table, breaks, max_gap)))


def allowances(table: Table, max_gap: str | None) -> dict[str, Allowance]:
    """What is to be remembered of each instrument: a few new rows do not tell that there are nights and weekends.

    Nothing where a duration, or none, says it of any table.
    """
    if max_gap is None or (max_gap != "auto" and not parse_span("data.max_gap", max_gap).in_bars):
        return {}
    plain = bool(len(table)) and is_plain(table.timestamp)
    return {
        name: allow(table.timestamp[start:stop], max_gap, plain, table.file)
        for name, (start, stop) in zip(table.instruments, table.instrument_blocks, strict=True)
        if stop - start > 1
    }


def allow(times: Times, max_gap: str, plain: bool, file: str) -> Allowance:
    """The longest step that an instrument with two or more `times` may make."""
    if max_gap == "auto":
        return _usual(times, plain)
    span = parse_span("data.max_gap", max_gap)
    if span.in_bars:
        return Allowance(span.amount * int(np.median(_sample(times))))
    if plain:
        raise TableError(
            f"{file}: data.max_gap={max_gap} is a duration, but the times are plain integers; "
            "give a number of usual steps, auto or null"
        )
    return Allowance(span.amount)


def steps_over(times: Times, longest: int) -> NDArray[np.int64]:
    """The rows behind which a step longer than `longest` begins."""
    found = [
        np.flatnonzero(np.diff(times[start : start + CHUNK + 1]) > longest) + start
        for start in range(0, len(times) - 1, CHUNK)
    ]
    return np.concatenate([*found, np.empty(0, dtype=np.int64)])


def _usual(times: Times, plain: bool) -> Allowance:
    steps = np.sort(_sample(times))
    if len(times) <= _SAMPLE and steps[-1] <= 3 * steps[0] and steps[-1] <= 7 * DAY:
        return Allowance(int(steps[-1]))  # below is nothing stricter; of 50,000 short sequences most end here
    median = int(steps[len(steps) // 2])
    usual = int(steps[int(0.95 * (len(steps) - 1))])
    if not plain:
        week = _longest_of_each(times, 7 * DAY)
        usual = max(usual, _longest_of_each(times, DAY), week)
        if week >= 1.5 * DAY and week > 1.5 * median:
            return Allowance(usual + _HOLIDAYS, rests=True)
    if usual <= 1.5 * median:
        return Allowance(3 * usual)
    return Allowance(max(15 * median, 5 * usual))


def _sampled(times: Times) -> NDArray[np.int64]:
    """Times, evenly over the whole length; all of them where they are not many."""
    return np.asarray(times[:: max(1, len(times) // _SAMPLE)])


def _sample(times: Times) -> NDArray[np.int64]:
    """Steps, evenly over the whole length; all of them where they are not many."""
    every = max(1, (len(times) - 1) // _SAMPLE)
    return np.asarray(times[1::every] - times[:-1:every])


def _longest_of_each(times: Times, period: int) -> int:
    """The median over the periods of the longest step that begins in each; 0 with fewer than three periods."""
    longest = []
    for start in range(0, len(times) - 1, CHUNK):
        part = np.asarray(times[start : start + CHUNK + 1])
        which = part[:-1] // period
        first = np.flatnonzero(np.append(True, which[1:] != which[:-1]))
        longest.append(np.maximum.reduceat(np.diff(part), first))
    each = np.concatenate(longest)
    return int(np.median(each)) if len(each) >= 3 else 0


def _trading_days(timestamps: Times, blocks: Blocks) -> Times:
    """The days on which any instrument has a row, as numbers since 1970."""
    per_instrument = []
    for start, stop in blocks:
        parts = [np.unique(timestamps[at : min(at + CHUNK, stop)] // DAY) for at in range(start, stop, CHUNK)]
        per_instrument.append(np.unique(np.concatenate([*parts, np.empty(0, dtype=np.int64)])))
    edges = np.cumsum([0, *map(len, per_instrument)]).tolist()
    return common_calendar(np.concatenate(per_instrument), list(pairwise(edges)))


def _missed(times: Times, days: Times) -> NDArray[np.int64]:
    """The rows behind which the instrument misses more days than holidays take."""
    long = steps_over(times, (_DAYS_MISSED + 1) * DAY)  # no shorter step holds so many whole days
    if not len(long):
        return long
    weekdays = np.bincount(_sampled(times) // DAY % 7, minlength=7)
    days = days[(weekdays >= 0.05 * weekdays.sum())[days % 7]]  # a share does not miss the weekends of others
    ends = np.searchsorted(days, np.stack([times[long], times[long + 1]]) // DAY)
    missed = ends[1] - ends[0] - 1 > _DAYS_MISSED
    return np.asarray(long[missed])


def _notes(table: Table, breaks: NDArray[np.int64], max_gap: str) -> list[str]:
    if not len(breaks):
        return []
    length = table.timestamp[breaks] - table.timestamp[breaks - 1]
    longest = breaks[np.argsort(-length, kind="stable")[:_SHOWN]].tolist()
    shown = "; ".join(
        f"'{table.instruments[table.instrument[row]]}' has no row between {iso(table.timestamp[row - 1])} and "
        f"{iso(table.timestamp[row])}"
        for row in longest
    )
    more = f"; and {len(breaks) - _SHOWN} more" if len(breaks) > _SHOWN else ""
    return [
        f"{table.file}: {len(breaks)} gap(s) (data.max_gap={max_gap}), which no window, feature or label crosses: "
        f"{shown}{more}"
    ]
