"""Times of 19 characters are read as polars reads them, only with less work; anything else is left to it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.data import fixed_times, timestamps
from hybrid_trainer.data.checks import Problems
from hybrid_trainer.data.fixed_times import read_fixed
from hybrid_trainer.data.timestamps import Clock
from tests.data.tables import SOME_EXAMPLES

T_FORM, SPACE_FORM = "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"
FORM = {"T": T_FORM, " ": SPACE_FORM}


def with_polars(texts: pl.Series, form: str = T_FORM) -> np.ndarray | None:
    stamps = texts.str.to_datetime(form.replace("%.f", ""), time_unit="ns", strict=False)
    return None if stamps.null_count() else stamps.cast(pl.Int64).to_numpy()


def texts_of(times: list[int], separator: str = "T") -> list[str]:
    return [str(np.datetime64(time, "s")).replace("T", separator) for time in times]


@SOME_EXAMPLES
@given(
    days=st.lists(st.integers(-100_000, 80_000), min_size=1, max_size=4),
    seconds=st.lists(st.integers(0, 86_399), min_size=4, max_size=9),
    separator=st.sampled_from("T "),
    piece=st.integers(1, 12),
)
def test_the_times_are_those_that_were_written(days: list[int], seconds: list[int], separator: str, piece: int) -> None:
    times = [day * 86_400 + second for day in days for second in seconds]
    asked: list[int] = []

    def read(texts: pl.Series) -> np.ndarray | None:
        asked.append(len(texts))
        return with_polars(texts, FORM[separator])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fixed_times, "_PIECE", piece)
        found = read_fixed(pl.Series(texts_of(times, separator)), FORM[separator], read)
    assert found is not None
    assert found.tolist() == [time * 10**9 for time in times]
    assert asked == [1 + sum(a != b for a, b in pairwise(days))]  # one text a day


@SOME_EXAMPLES
@given(data=st.data())
def test_whatever_stands_in_a_row_the_clock_says_what_it_said_without(data: st.DataObject) -> None:
    texts: list[str | None] = list(texts_of([600 * row for row in range(20)]))
    row, place = data.draw(st.integers(0, 19)), data.draw(st.integers(0, 18))
    text = texts[row] or ""
    other = data.draw(st.sampled_from(["0", "6", "9", ":", "/", ";", "T", " ", "\x00", "é", "", "00"]))
    texts[row] = data.draw(st.sampled_from([None, text[:place] + other + text[place + 1 :], f"{text}Z", text[:10]]))
    blocks = [pl.Series("when", block) for block in (texts_of([0, 60]), texts)]

    def read() -> tuple[list[list[int]], list[str]]:
        clock, problems = Clock(), Problems("t.csv")
        values = [clock.read(block, np.arange(2, 2 + len(block)), problems).tolist() for block in blocks]
        return values, problems.lines

    found = read()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timestamps, "read_fixed", lambda *given: None)
        assert found == read()


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        ("2020-01-01T24:00:00", "an hour that isn't"),
        ("2020-01-01T23:60:00", "a minute that isn't"),
        ("2020-01-01T23:59:60", "a leap second"),
        ("2020-01-01T2A:00:00", "a letter"),
        ("2020-01-01T00;00:00", "another sign"),
        ("2020-02-30T00:00:00", "a day that isn't"),
        ("2020-01-01 00:00:00", "another separator"),
        ("2020-01-01T00:00", "too short"),
        ("2020-01-01T00:00:00.5", "too long"),
        (None, "nothing"),
    ],
)
def test_one_odd_text_and_all_are_left_to_be_read_one_by_one(odd: str | None, why: str) -> None:
    texts = [*texts_of([60 * row for row in range(20)]), odd]
    assert read_fixed(pl.Series(texts), T_FORM, with_polars) is None, why
    assert read_fixed(pl.Series(texts[:-1]), T_FORM, with_polars) is not None


def test_one_row_a_day_other_forms_and_times_near_the_end_are_left_as_well() -> None:
    daily = pl.Series(texts_of([86_400 * row for row in range(20)]))
    assert read_fixed(daily, T_FORM, with_polars) is None
    minutes = texts_of([60 * row for row in range(20)])
    assert read_fixed(pl.Series(minutes), "%Y-%m-%d", with_polars) is None
    assert read_fixed(pl.Series([], dtype=pl.String), T_FORM, with_polars) is None
    last = texts_of([np.iinfo(np.int64).max // 10**9 - 1] * 8)  # in the year 2262
    assert read_fixed(pl.Series(last), T_FORM, with_polars) is None
