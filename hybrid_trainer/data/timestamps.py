"""Times of rows: dates, ISO date-times and integers become int64 ns since 1970 UTC. Imports no torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hybrid_trainer.data.checks import Problems

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
_UNIX_DIGITS = {10: 10**9, 13: 10**6, 16: 10**3, 19: 1}
_RIGHT = "write ISO dates (2013-03-01, 2013-03-01T16:00:00Z) or integers"


def parse_timestamps(column: pl.Series, line: NDArray[np.int64], problems: Problems) -> NDArray[np.int64]:
    """Return (N,) int64; unreadable times are added to `problems` and become 0.

    Text and dates without a zone are taken as UTC. Integers of 8 digits are dates (20130301), of 10, 13, 16 or 19
    digits Unix seconds, milli-, micro- or nanoseconds; any other integers stay as they are, a plain clock.
    """
    problems.add_where(column.name, column.is_null().to_numpy(), line, f"the time is missing; {_RIGHT}")
    if column.dtype.is_integer():
        return _from_integers(column)
    if column.dtype in (pl.Date, pl.Datetime):
        far = _far_away(column)
        problems.add_where(column.name, far, line, f"{{value}} {_TOO_FAR}", column.cast(pl.String).to_list())
        return _to_ns(pl.select(pl.when(~pl.lit(pl.Series(far))).then(column)).to_series())
    if column.dtype != pl.String:
        problems.add_where(column.name, np.arange(len(column)) == 0, line, f"a column of {column.dtype}; {_RIGHT}")
        return np.zeros(len(column), dtype=np.int64)
    texts = column.str.strip_chars()
    integers = texts.cast(pl.Int64, strict=False)
    if integers.null_count() == column.null_count():
        return _from_integers(integers)
    parsed, far = _best_format(texts)
    bad = (parsed.is_null() & column.is_not_null()).to_numpy() & ~far
    problems.add_where(column.name, bad, line, f"'{{value}}' is not a time; {_RIGHT}", texts.to_list())
    problems.add_where(column.name, far, line, f"'{{value}}' {_TOO_FAR}", texts.to_list())
    return np.where(far, 0, _to_ns(parsed))


def _best_format(texts: pl.Series) -> tuple[pl.Series, NDArray[np.bool_]]:
    """Read all rows with the one format that fits most of them; also returns which are too far away for ns."""
    forms = [(form, None) for form in _FORMATS] + [(form, "UTC") for form in _OFFSET_FORMATS]
    best: tuple[str, str | None] = forms[0]
    fewest = len(texts) + 1
    for form, zone in forms:
        missing = texts.str.to_datetime(form, time_unit="us", time_zone=zone, strict=False).null_count()
        if missing < fewest:
            best, fewest = (form, zone), missing
        if missing == texts.null_count():
            break
    coarse, fine = (
        texts.str.to_datetime(best[0], time_unit=unit, time_zone=best[1], strict=False) for unit in ("us", "ns")
    )
    return fine, _far_away(coarse)


def _far_away(column: pl.Series) -> NDArray[np.bool_]:
    """Which times int64 ns cannot hold: those before 1678 and after 2261."""
    coarse = column.cast(pl.Datetime("us")) if column.dtype == pl.Date else column.dt.cast_time_unit("us")
    microseconds = coarse.to_physical().fill_null(0).to_numpy()
    return np.asarray(np.abs(microseconds) > _LARGEST_US)


def _from_integers(column: pl.Series) -> NDArray[np.int64]:
    values = column.cast(pl.Int64).fill_null(0).to_numpy().astype(np.int64)
    digits = {len(str(abs(int(value)))) for value in (values.min(), values.max())} if len(values) else set()
    if digits == {8}:
        dates = pl.Series(values).cast(pl.String).str.to_datetime("%Y%m%d", time_unit="ns", strict=False)
        if not dates.null_count():
            return _to_ns(dates)
    if len(digits) == 1 and (unit := _UNIX_DIGITS.get(digits.pop())):
        return values * unit
    return values


def _to_ns(column: pl.Series) -> NDArray[np.int64]:
    stamps = column.cast(pl.Datetime("ns")) if column.dtype == pl.Date else column.dt.cast_time_unit("ns")
    return stamps.to_physical().fill_null(0).to_numpy().astype(np.int64)


def iso(nanoseconds: int | np.integer[Any]) -> str:
    """A time as ISO text; a plain integer clock (before 1971) stays a number."""
    value = int(nanoseconds)
    if abs(value) < 365 * 86_400 * 10**9:
        return str(value)
    text = str(np.datetime64(value, "ns"))
    return text.removesuffix("T00:00:00.000000000").removesuffix(".000000000")
