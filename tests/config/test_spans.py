"""Lengths of time and moments as users write them."""

from __future__ import annotations

import polars as pl
import pytest

from hybrid_trainer.config.spans import Span, check_moment, parse_moment, parse_span
from hybrid_trainer.data.checks import Problems
from hybrid_trainer.errors import ConfigError
from tests.data.tables import parse_timestamps

DAY = 86_400 * 10**9


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("0", Span(0, in_bars=True)),
        ("5", Span(5, in_bars=True)),
        ("3d", Span(3 * DAY, in_bars=False)),
        ("1.5h", Span(5400 * 10**9, in_bars=False)),
        ("90min", Span(5400 * 10**9, in_bars=False)),
        ("90 min", Span(5400 * 10**9, in_bars=False)),
        ("2w", Span(14 * DAY, in_bars=False)),
        ("250ms", Span(250 * 10**6, in_bars=False)),
        ("7ns", Span(7, in_bars=False)),
    ],
)
def test_a_number_is_bars_and_a_number_with_a_unit_a_duration(text: str, span: Span) -> None:
    assert parse_span("data.max_gap", text) == span


@pytest.mark.parametrize("text", ["", "-1", "1.5", "3 days", "3D", "d", "1e3", "3d2h", "none"])
def test_what_is_neither_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_span("data.max_gap", text)
    assert str(caught.value) == (
        f"data.max_gap: '{text}' is neither a number of bars nor a duration; write 5, 90min, 2h or 3d "
        "(units: ns, us, ms, s, min, h, d, w)"
    )


def test_a_duration_is_no_longer_than_times_are() -> None:
    assert parse_span("data.split.embargo", "53375d") == Span(53375 * DAY, in_bars=False)
    for text in ("53376d", "9" * 400 + "w"):
        with pytest.raises(
            ConfigError, match=r"^data\.split\.embargo: '.*' is too long; a duration is at most 53375d$"
        ):
            parse_span("data.split.embargo", text)


@pytest.mark.parametrize(
    "text",
    [
        "2013-03-01",
        "2013-03-01 16:00:00",
        "2013-03-01T16:00:00",
        "2013-03-01T16:00:00Z",
        "2013-03-01T16:00:00+02:00",
        "2013-03-01T16:00:00.123456",
        "2013-03-01 16:00",
        "1931-03-01",
        "20130301",
        "1362096000",
        "1362096000123",
        "1362096000123456",
        "1362096000123456789",
    ],
)
def test_a_moment_is_the_time_that_a_table_would_have(text: str) -> None:
    problems = Problems("t.csv")
    expected = parse_timestamps(pl.Series("time", [text]), pl.Series([2]).to_numpy(), problems)
    problems.raise_if_any()
    assert parse_moment("key", text) == expected[0]
    check_moment("key", text)


@pytest.mark.parametrize("text", ["0", "-12", "17", "20130301", "1362096000"])
def test_on_a_plain_clock_an_integer_is_itself(text: str) -> None:
    assert parse_moment("key", text, plain=True) == int(text)
    check_moment("key", text)


def test_a_date_means_nothing_on_a_plain_clock() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_moment("data.split.valid_from", "2013-03-01", plain=True)
    assert str(caught.value) == (
        "data.split.valid_from: '2013-03-01' is a date, but the table's times are plain integers; write one of them"
    )


@pytest.mark.parametrize("text", ["2013-02-30", "March 2013", "", "12:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^key: '.*' is not a time; write an ISO date"):
        check_moment("key", text)


def test_an_integer_that_no_date_has_is_refused_where_times_are_dates() -> None:
    check_moment("key", "5")
    with pytest.raises(ConfigError, match=r"^key: '5' is not a time"):
        parse_moment("key", "5")
