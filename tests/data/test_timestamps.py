"""Times of rows: dates, ISO date-times and integers become ns since 1970 UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.data.checks import Problems
from hybrid_trainer.data.timestamps import Clock
from tests.data.tables import SOME_EXAMPLES, parse_timestamps

RIGHT = "write ISO dates (2013-03-01, 2013-03-01T16:00:00Z) or integers"


def parse(values: Any, dtype: Any = None) -> tuple[list[int], list[str]]:
    column = values if isinstance(values, pl.Series) else pl.Series("when", values, dtype=dtype)
    problems = Problems("t.csv")
    found = parse_timestamps(column, np.arange(2, 2 + len(column)), problems)
    assert found.dtype == np.int64
    assert len(found) == len(column)
    return found.tolist(), problems.lines


def ns(text: str) -> int:
    return int(np.datetime64(text, "ns").astype(np.int64))


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2013-03-01", "2013-03-01"),
        ("2013/03/01", "2013-03-01"),
        ("  2013-03-01 ", "2013-03-01"),
        ("1969-12-31", "1969-12-31"),
        ("2013-03-01 16:30", "2013-03-01T16:30"),
        ("2013-03-01T16:30", "2013-03-01T16:30"),
        ("2013-03-01 16:30:05", "2013-03-01T16:30:05"),
        ("2013-03-01T16:30:05", "2013-03-01T16:30:05"),
        ("2013/03/01 16:30:05", "2013-03-01T16:30:05"),
        ("2013-03-01T16:30:05.123456789", "2013-03-01T16:30:05.123456789"),
        ("2013-03-01 16:30:05.5", "2013-03-01T16:30:05.5"),
        ("2013-03-01T16:30:05Z", "2013-03-01T16:30:05"),
        ("2013-03-01T16:30:05.25Z", "2013-03-01T16:30:05.25"),
        ("2013-03-01 16:30:05Z", "2013-03-01T16:30:05"),
        ("2013-03-01T16:30:05+00:00", "2013-03-01T16:30:05"),
        ("2013-03-01T16:30:05-05:00", "2013-03-01T21:30:05"),
        ("2013-03-01T16:30:05+0530", "2013-03-01T11:00:05"),
        ("2013-03-01 16:30:05+01", "2013-03-01T15:30:05"),
        ("2013-03-01T00:30:00+01:00", "2013-02-28T23:30"),
    ],
)
def test_a_time_as_text_is_read_as_utc_unless_it_says_otherwise(text: str, utc: str) -> None:
    assert parse([text]) == ([ns(utc)], [])


@pytest.mark.parametrize("text", ["2013-03-01T16:30Z", "2013-03-01T16:30+00:00", "2013-03-01 16:30+0000"])
def test_minutes_with_an_offset_are_read_as_minutes_without(text: str) -> None:
    assert parse([text]) == ([ns("2013-03-01T16:30")], [])


def test_each_row_has_its_own_offset() -> None:
    winter_and_summer = ["2013-03-01T16:00:00-05:00", "2013-07-01T16:00:00-04:00"]
    assert parse(winter_and_summer) == ([ns("2013-03-01T21:00"), ns("2013-07-01T20:00")], [])


@SOME_EXAMPLES
@given(
    moments=st.lists(
        st.datetimes(
            min_value=datetime(1700, 1, 1),
            max_value=datetime(2200, 1, 1),
            timezones=st.integers(-720, 720).map(lambda minutes: timezone(timedelta(minutes=minutes))),
        ),
        min_size=1,
    )
)
def test_what_python_writes_as_iso_is_read_back_exactly(moments: list[datetime]) -> None:
    expected = [np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "ns") for moment in moments]
    assert parse([moment.isoformat() for moment in moments]) == ([int(at.astype(np.int64)) for at in expected], [])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([20130301, 20130401], [ns("2013-03-01"), ns("2013-04-01")]),
        ([1362096000], [ns("2013-03-01")]),
        ([1362096000_123], [ns("2013-03-01T00:00:00.123")]),
        ([1362096000_123456], [ns("2013-03-01T00:00:00.123456")]),
        ([1362096000_123456789], [ns("2013-03-01T00:00:00.123456789")]),
        ([0, 1, 2], [0, 1, 2]),
        ([-3, 12], [-3, 12]),
        ([20139999], [20139999]),  # eight digits, but no date
        ([20130301, 5], [5 + 20130296, 5]),  # not all of eight digits: a plain clock
        ([999_999_999, 1_000_000_001], [999_999_999, 1_000_000_001]),
    ],
)
def test_integers_are_dates_unix_times_or_a_plain_clock_by_their_digits(values: list[int], expected: list[int]) -> None:
    assert parse(values) == (expected, [])
    assert parse([str(value) for value in values]) == (expected, [])


@pytest.mark.parametrize("dtype", [pl.Int8, pl.Int32, pl.UInt16, pl.UInt64])
def test_integers_of_any_width_are_read(dtype: Any) -> None:
    assert parse([7, 9], dtype) == ([7, 9], [])


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_the_dates_and_times_of_a_parquet_file_are_read(unit: Any) -> None:
    moment = datetime(2013, 3, 1, 16, 30)
    assert parse([moment], pl.Datetime(unit)) == ([ns("2013-03-01T16:30")], [])
    assert parse([date(2013, 3, 1)]) == ([ns("2013-03-01")], [])


def test_a_zone_of_a_parquet_file_is_taken_into_account() -> None:
    local = pl.Series("when", [datetime(2013, 3, 1, 16)]).dt.replace_time_zone("America/New_York")
    assert parse(local) == ([ns("2013-03-01T21:00")], [])


@pytest.mark.parametrize("bad", ["hello", "03/01/2013", "2013-02-30", "5", "1.5", "2013-03-01 16:00:00", "", "24:00"])
def test_what_is_no_time_is_told_with_its_row_and_becomes_zero(bad: str) -> None:
    found, lines = parse(["2013-03-01", bad, "2013-03-03"])
    assert found == [ns("2013-03-01"), 0, ns("2013-03-03")]
    assert lines == [f"t.csv:3: column 'when': '{bad}' is not a time; {RIGHT}"]


def test_the_format_of_most_rows_decides_which_are_wrong() -> None:
    found, lines = parse(["2013/03/01", "2013-03-02", "2013/03/03"])
    assert found == [ns("2013-03-01"), 0, ns("2013-03-03")]
    assert lines == [f"t.csv:3: column 'when': '2013-03-02' is not a time; {RIGHT}"]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [(["2013-03-01", None], pl.String), ([20130301, None], pl.Int64), ([date(2013, 3, 1), None], None)],
)
def test_a_missing_time_is_told(values: list[Any], dtype: Any) -> None:
    found, lines = parse(values, dtype)
    assert found[1] == 0
    assert lines == [f"t.csv:3: column 'when': the time is missing; {RIGHT}"]


@pytest.mark.parametrize(("values", "name"), [([1.5], "Float64"), ([True], "Boolean")])
def test_a_column_that_cannot_hold_times_is_told_once(values: list[Any], name: str) -> None:
    assert parse(values * 3) == ([0, 0, 0], [f"t.csv: column 'when': a column of {name}; {RIGHT}"])


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (["9999-12-31", "2013-03-01"], "'9999-12-31'"),
        (["1600-01-01", "2013-03-01"], "'1600-01-01'"),
        ([datetime(9999, 12, 31), datetime(2013, 3, 1)], "9999-12-31 00:00:00.000000"),
        ([date(9999, 12, 31), date(2013, 3, 1)], "9999-12-31"),
    ],
)
def test_a_time_that_nanoseconds_cannot_hold_is_told(values: list[Any], shown: str) -> None:
    found, lines = parse(values)
    assert found == [0, ns("2013-03-01")]
    assert lines == [f"t.csv:2: column 'when': {shown} is too far away; times lie between the years 1678 and 2261"]


# Blocks, zones, and what can be told only in the end.


def read_blocks(*blocks: list[Any], dtype: Any = None) -> tuple[list[int], list[str]]:
    clock, problems = Clock(), Problems("t.csv")
    parts, line = [], 2
    for block in blocks:
        parts.append(clock.read(pl.Series("when", block, dtype=dtype), np.arange(line, line + len(block)), problems))
        line += len(block)
    values = np.concatenate(parts)
    wrong = clock.finish(values)
    return values.tolist(), [*problems.lines, *([wrong] if wrong else [])]


def test_the_first_block_with_a_time_decides_how_the_others_are_read() -> None:
    found, lines = read_blocks([None], ["2013/03/01"], ["2013-03-02", "2013/03/03"], dtype=pl.String)
    assert found == [0, ns("2013-03-01"), 0, ns("2013-03-03")]
    assert lines == [
        f"t.csv:2: column 'when': the time is missing; {RIGHT}",
        f"t.csv:4: column 'when': '2013-03-02' is not a time; {RIGHT}",
    ]


def test_fractions_may_begin_in_a_later_block() -> None:
    found, lines = read_blocks(["2013-03-01T00:00:01"], ["2013-03-01T00:00:01.5", "2013-03-01T00:00:02.123456789"])
    assert (found, lines) == ([ns("2013-03-01T00:00:01"), ns("2013-03-01T00:00:01.5"), 1362096002123456789], [])


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        (([20130301], [20130401]), [ns("2013-03-01"), ns("2013-04-01")]),
        (([20130301], [20139901]), [20130301, 20139901]),
        (([20130301], [7]), [20130301, 7]),
        ((["20130301"], ["20130401"]), [ns("2013-03-01"), ns("2013-04-01")]),
        (([1362096000], [1362096001]), [1362096000 * 10**9, 1362096001 * 10**9]),
        (([1362096000], [13620960010]), [1362096000, 13620960010]),
    ],
)
def test_what_integers_are_is_told_when_all_were_seen(blocks: Any, expected: list[int]) -> None:
    assert read_blocks(*blocks) == (expected, [])


def test_among_integers_a_text_is_wrong() -> None:
    found, lines = read_blocks(["20130301", "x", "20130401"])
    assert found[::2] == [ns("2013-03-01"), ns("2013-04-01")]
    assert lines == [f"t.csv:3: column 'when': 'x' is not a time; {RIGHT}"]


def test_seconds_that_nanoseconds_cannot_hold_are_told() -> None:
    (said,) = read_blocks([1362096000], [9999999999])[1]
    assert said == "'9999999999' is too far away; times lie between the years 1678 and 2261"


@pytest.mark.parametrize(
    ("texts", "line", "said"),
    [
        (
            ["2013-03-01T16:00:00Z", "2013-03-01T17:00:00+01:00", "2013-03-01T18:00:00"],
            4,
            "'2013-03-01T18:00:00' has no offset where other rows have one",
        ),
        (
            ["2013-03-01 16:00:00", "2013-03-01 17:00:00+01:00", "2013-03-01 18:00:00"],
            3,
            "'2013-03-01 17:00:00+01:00' has an offset where other rows have none",
        ),
    ],
)
def test_times_with_and_without_an_offset_in_one_file_are_told(texts: list[str], line: int, said: str) -> None:
    found, lines = parse(texts)
    assert lines == [f"t.csv:{line}: column 'when': {said}; write all times with an offset from UTC, or all without"]
    assert found[line - 2] == 0 and found[0] == ns("2013-03-01T16:00")


def test_columns_of_two_kinds_are_told_once() -> None:
    clock, problems = Clock(), Problems("a.parquet")
    zoned = pl.Series("when", [datetime(2013, 3, 1)]).dt.replace_time_zone("UTC")
    for column in (pl.Series("when", [datetime(2013, 3, 1)]), zoned, zoned, pl.Series("when", [5])):
        clock.read(column, np.array([1]), problems)
    assert [line.partition("column 'when': ")[2] for line in problems.lines] == [
        "it holds times with a zone, where there was none before; write all with a zone, or all without",
        "it holds integers, where times stood before; write one kind of time",
    ]
