"""The clock that all instruments share."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.config.spans import Span
from hybrid_trainer.data.calendar import NEVER, common_calendar, is_plain, positions, shifted
from tests.data.tables import SOME_EXAMPLES

CALENDAR = np.array([10, 20, 40, 70])


@SOME_EXAMPLES
@given(parts=st.lists(st.sets(st.integers(-50, 50)).map(sorted), max_size=9))
def test_the_calendar_holds_every_time_once(parts: list[list[int]]) -> None:
    timestamps = np.array([time for part in parts for time in part], dtype=np.int64)
    edges = np.cumsum([0, *map(len, parts)]).tolist()
    calendar = common_calendar(timestamps, list(pairwise(edges)))
    assert calendar.tolist() == sorted({time for part in parts for time in part})


def test_times_that_have_none_in_common_are_merged_too() -> None:
    timestamps = np.arange(1000).reshape(100, 10).T.ravel()  # ten instruments, interleaved
    assert common_calendar(timestamps, [(at, at + 100) for at in range(0, 1000, 100)]).tolist() == list(range(1000))


def test_a_single_instruments_times_are_the_calendar_without_a_copy() -> None:
    times = np.arange(5)
    assert np.shares_memory(common_calendar(times, [(0, 5)]), times)


def test_a_position_is_that_of_the_last_time_that_is_not_later() -> None:
    assert positions(CALENDAR, np.array([9, 10, 19, 20, 69, 70, NEVER])).tolist() == [-1, 0, 0, 1, 2, 3, 3]


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (Span(0, in_bars=True), [10, 25, 70, NEVER]),
        (Span(1, in_bars=True), [20, 40, NEVER, NEVER]),
        (Span(3, in_bars=True), [70, NEVER, NEVER, NEVER]),
        (Span(5, in_bars=False), [15, 30, 75, NEVER]),
    ],
)
def test_a_time_is_shifted_by_bars_of_the_calendar_or_by_a_duration(span: Span, expected: list[int]) -> None:
    assert shifted(CALENDAR, np.array([10, 25, 70, NEVER]), span).tolist() == expected


def test_a_plain_clock_is_told_from_dates() -> None:
    assert is_plain(np.array([-5, 3_000_000]))
    assert not is_plain(np.array(["2001-01-01", "2001-01-02"], dtype="datetime64[ns]").astype(np.int64))
    assert not is_plain(np.array([], dtype=np.int64))
