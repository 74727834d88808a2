"""Times of rows: dates, ISO date-times and integers become int64 ns since 1970 UTC. Imports no torch."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hybrid_trainer.data.checks import Problems
from hybrid_trainer.data.fixed_times import read_fixed

_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S%.f",
)
_OFFSET_FORMATS = (
    "%+",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M%#z",
    "%Y-%m-%dT%H:%M%#z",
)
_TOO_FAR = "is too far away; times lie between the years 1678 and 2261"
_LARGEST_US = 9_223_372_036_854_775  # int64 ns end in the year 2262
_LARGEST = np.iinfo(np.int64).max
_UNIX_DIGITS = {10: 10**9, 13: 10**6, 16: 10**3, 19: 1}
RIGHT = "write ISO dates (2013-03-01, 2013-03-01T16:00:00Z) or integers"
_FEW = 100  # texts that are tried first
_ROWS = 1 << 20  # at a time, where a whole column is rewritten
_MICROSECOND_CHARACTERS = 26  # of 2013-03-01T16:00:00.123456; finer times are longer

Times = NDArray[np.int64]


class Clock:
    """Reads a column of times block by block; the first block decides what the column holds.

    Text and dates without a zone are taken as UTC. Integers of 8 digits are dates (20130301), of 10, 13, 16 or 19
    digits Unix seconds, milli-, micro- or nanoseconds; any other integers stay as they are, a plain clock. Which of
    them it is can be told only when all were seen, so `read` returns integers as they are and `finish` converts them.
    """

    def __init__(self) -> None:
        self.kind: str | None = None  # integers, times or texts
        self.zoned: bool | None = None
        self._form = _FORMATS[0]
        self._lowest, self._highest = _LARGEST, -_LARGEST
        self._all_dates = True
        self._refused: set[str] = set()

    def read(self, column: pl.Series, line: Times, problems: Problems) -> Times:
        """Return (N,) int64, to be given to `finish`; unreadable times are added to `problems` and become 0."""
        if column.null_count():
            problems.add_where(column.name, column.is_null().to_numpy(), line, f"the time is missing; {RIGHT}")
        if column.dtype.is_integer():
            self._same_kind("integers", column.name, problems)
            return self._integers(column.cast(pl.Int64))
        if column.dtype in (pl.Date, pl.Datetime):
            self._same_kind("times", column.name, problems)
            self._same_zone(getattr(column.dtype, "time_zone", None) is not None, column.name, problems)
            far = _far_away(column)
            if not far.any():
                return _to_ns(column)
            problems.add_where(column.name, far, line, f"{{value}} {_TOO_FAR}", column.cast(pl.String).to_list())
            return _to_ns(pl.select(pl.when(~pl.lit(pl.Series(far))).then(column)).to_series())
        if column.dtype != pl.String:
            if column.dtype != pl.Null:
                self._refuse(f"a column of {column.dtype}; {RIGHT}", column.name, problems)
            return np.zeros(len(column), dtype=np.int64)
        return self._texts(column, line, problems)

    def finish(self, values: Times) -> str | None:
        """Convert integers, in place, to ns where they are dates or Unix times; returns what is wrong with them."""
        if self.kind != "integers" or self._lowest > self._highest:
            return None
        digits = {len(str(abs(value))) for value in (self._lowest, self._highest)}
        if digits == {8} and self._all_dates:
            for start in range(0, len(values), _ROWS):
                part = values[start : start + _ROWS]
                part[:] = _to_ns(_as_dates(part))
        elif len(digits) == 1 and (unit := _UNIX_DIGITS.get(digits.pop())) and unit > 1:
            if max(abs(self._lowest), abs(self._highest)) > _LARGEST // unit:
                return f"'{self._highest}' {_TOO_FAR}"
            for start in range(0, len(values), _ROWS):
                values[start : start + _ROWS] *= unit
        return None

    def _integers(self, column: pl.Series) -> Times:
        if column.null_count() < len(column):
            lowest, highest = int(column.min()), int(column.max())  # type: ignore[arg-type]
            self._lowest, self._highest = min(self._lowest, lowest), max(self._highest, highest)
            if self._all_dates:
                eight = lowest >= 10**7 and highest < 10**8
                known = column.drop_nulls().to_numpy() if eight else None
                self._all_dates = known is not None and not _as_dates(known).null_count()
        return column.fill_null(0).to_numpy().astype(np.int64)

    def _texts(self, column: pl.Series, line: Times, problems: Problems) -> Times:
        if self.kind == "texts":  # nearly every block of nearly every file ends here
            plain = read_fixed(column, self._form, self._plain)
            plain = self._plain(column) if plain is None else plain
            if plain is not None:
                return plain
        texts = column.str.strip_chars()
        if self.kind is None and texts.null_count() < len(texts):
            self._decide(texts)
        elif self.kind == "times":
            self._same_kind("texts", column.name, problems)
        if self.kind == "integers":
            numbers = texts.cast(pl.Int64, strict=False)
            self._tell_unread(column, texts, numbers, line, problems)
            return self._integers(numbers)
        stamps, far = _parse(texts, self._form)
        self._tell_unread(column, texts, stamps, line, problems, but=far)
        if far.any():
            problems.add_where(column.name, far, line, f"'{{value}}' {_TOO_FAR}", texts.to_list())
            stamps = pl.select(pl.when(~pl.lit(pl.Series(far))).then(stamps)).to_series()
        return _to_ns(stamps)

    def _plain(self, texts: pl.Series) -> Times | None:
        stamps = _parse_plain(texts, self._form)
        return None if stamps is None else _to_ns(stamps)

    def _decide(self, texts: pl.Series) -> None:
        """Take the one way of reading that fits most rows."""
        given = len(texts) - texts.null_count()
        numbers = given - (texts.cast(pl.Int64, strict=False).null_count() - texts.null_count())
        self.kind = "integers" if 2 * numbers > given else "texts"
        if self.kind == "integers":
            return
        self._form = _fitting_form(texts)
        self.zoned = self._form in _OFFSET_FORMATS

    def _tell_unread(
        self,
        column: pl.Series,
        texts: pl.Series,
        read: pl.Series,
        line: Times,
        problems: Problems,
        but: NDArray[np.bool_] | None = None,
    ) -> None:
        if read.null_count() == texts.null_count():
            return
        bad = (read.is_null() & texts.is_not_null()).to_numpy()
        if but is not None:
            bad &= ~but
        values = texts.to_list()
        others = _other_zone(texts, bad, self.zoned)
        wrong = "has no offset where other rows have one" if self.zoned else "has an offset where other rows have none"
        mixed = f"'{{value}}' {wrong}; write all times with an offset from UTC, or all without"
        problems.add_where(column.name, bad & ~others, line, f"'{{value}}' is not a time; {RIGHT}", values)
        problems.add_where(column.name, others, line, mixed, values)

    def _refuse(self, text: str, column: str, problems: Problems) -> None:
        """Say once per file that a whole column is wrong."""
        said = f"{problems.file}: column '{column}': {text}"
        if said not in self._refused:
            self._refused.add(said)
            problems.add(said)

    def _same_kind(self, kind: str, column: str, problems: Problems) -> None:
        if self.kind not in (None, kind):
            self._refuse(f"it holds {kind}, where {self.kind} stood before; write one kind of time", column, problems)
        self.kind = self.kind or kind

    def _same_zone(self, zoned: bool, column: str, problems: Problems) -> None:
        if self.zoned not in (None, zoned):
            has = "times with a zone, where there was none" if zoned else "times without a zone, where there was one"
            self._refuse(f"it holds {has} before; write all with a zone, or all without", column, problems)
        self.zoned = zoned


def _fitting_form(texts: pl.Series) -> str:
    """The first form that fits all texts, or else the one that fits most."""
    few = texts.head(_FEW)
    for form in (*_FORMATS, *_OFFSET_FORMATS):  # a form that doesn't fit is slow to be found out
        if _unread(few, form) == 0 == _unread(texts, form):
            return form
    return min((*_FORMATS, *_OFFSET_FORMATS), key=lambda form: _unread(texts, form))


def _unread(texts: pl.Series, form: str) -> int:
    return _parse(texts, form)[0].null_count() - texts.null_count()


def _parse(texts: pl.Series, form: str) -> tuple[pl.Series, NDArray[np.bool_]]:
    """Read texts by one format: times, null where it doesn't fit, and which are too far away for ns."""
    plain = _parse_plain(texts, form)
    if plain is not None:
        return plain, np.zeros(len(texts), dtype=bool)
    zone = "UTC" if form in _OFFSET_FORMATS else None
    coarse = texts.str.to_datetime(form, time_unit="us", time_zone=zone, strict=False)
    far = _far_away(coarse)
    longest = texts.str.len_bytes().max()
    if isinstance(longest, int) and longest > _MICROSECOND_CHARACTERS:
        return texts.str.to_datetime(form, time_unit="ns", time_zone=zone, strict=False), far
    return coarse, far


def _parse_plain(texts: pl.Series, form: str) -> pl.Series | None:
    """Read texts without a fraction of a second, five times as fast; None unless that fits all of them."""
    if form in _OFFSET_FORMATS:
        return None
    stamps = texts.str.to_datetime(form.replace("%.f", ""), time_unit="us", strict=False, cache=False)
    return None if stamps.null_count() > texts.null_count() or _far_away(stamps).any() else stamps


def _other_zone(texts: pl.Series, bad: NDArray[np.bool_], zoned: bool | None) -> NDArray[np.bool_]:
    """Which of the unread texts are times, only with an offset where none is expected, or the other way round."""
    others = np.zeros(len(texts), dtype=bool)
    if zoned is None or not bad.any():
        return others
    unread = texts.filter(pl.Series(bad))
    found = np.zeros(len(unread), dtype=bool)
    for form in _FORMATS if zoned else _OFFSET_FORMATS:
        found |= _parse(unread, form)[0].is_not_null().to_numpy()
    others[bad] = found
    return others


def _far_away(column: pl.Series) -> NDArray[np.bool_]:
    """Which times int64 ns cannot hold: those before 1678 and after 2261."""
    physical = _physical(column, "us")
    lowest, highest = physical.min(), physical.max()
    if lowest is None or (lowest >= -_LARGEST_US and highest <= _LARGEST_US):  # type: ignore[operator]
        return np.zeros(len(column), dtype=bool)
    return np.asarray(np.abs(physical.fill_null(0).to_numpy()) > _LARGEST_US)


def _as_dates(values: Times) -> pl.Series:
    return pl.Series(values).cast(pl.String).str.to_datetime("%Y%m%d", time_unit="ns", strict=False)


def _to_ns(column: pl.Series) -> Times:
    if getattr(column.dtype, "time_unit", None) == "us" and not column.null_count():
        return column.cast(pl.Int64).to_numpy() * 1000
    return _physical(column, "ns").fill_null(0).to_numpy().astype(np.int64)


def _physical(column: pl.Series, unit: Literal["us", "ns"]) -> pl.Series:
    """Dates or times as integers since 1970."""
    if column.dtype == pl.Date:
        return column.cast(pl.Datetime(unit)).cast(pl.Int64)
    if getattr(column.dtype, "time_unit", None) != unit:
        column = column.dt.cast_time_unit(unit)
    return column.cast(pl.Int64)  # to_physical is a query, which waits for the threads that parse the next block


def iso(nanoseconds: int | np.integer[Any]) -> str:
    """A time as ISO text; a plain integer clock (before 1971) stays a number."""
    value = int(nanoseconds)
    if abs(value) < 365 * 86_400 * 10**9:
        return str(value)
    text = str(np.datetime64(value, "ns"))
    return text.removesuffix("T00:00:00.000000000").removesuffix(".000000000")
