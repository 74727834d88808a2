"""Gaps: weekends, nights and holidays are none; what an instrument usually does not do is one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hybrid_trainer.config.targets import ColumnTarget, SignalTarget, SlTpTarget, VolatilityTarget
from hybrid_trainer.data.features import compute_features, select_features
from hybrid_trainer.data.gaps import DAY, Allowance, allowances, cut_at_gaps
from hybrid_trainer.data.labelling import build_targets
from hybrid_trainer.data.panel import build_panel
from hybrid_trainer.data.splits import clocks_of
from hybrid_trainer.data.table import Coded, Table
from hybrid_trainer.errors import TableError
from tests.data.tables import price_table, random_prices

Times = NDArray[np.int64]
HOUR = 3600 * 10**9


def table_of(*times: Times) -> Table:
    """Instruments A, B, ... with these times."""
    parts = {
        name: random_prices(len(some), seed) for seed, (name, some) in enumerate(zip("ABCDE", times, strict=False))
    }
    return price_table(parts, timestamp=np.concatenate(times))


def gaps(*times: Times, max_gap: str | None = "auto", independent: bool = False) -> list[int]:
    found: list[int] = cut_at_gaps(table_of(*times), max_gap, independent=independent).breaks.tolist()
    return found


def days(start: str, stop: str) -> Times:
    return np.arange(start, stop, dtype="datetime64[D]").astype("datetime64[ns]").astype(np.int64)


def business_days(start: str, stop: str) -> Times:
    every = np.arange(start, stop, dtype="datetime64[D]")
    return every[np.is_busday(every)].astype("datetime64[ns]").astype(np.int64)


def without(times: Times, start: str, stop: str) -> Times:
    first, last = (np.datetime64(text, "ns").astype(np.int64) for text in (start, stop))
    return times[(times < first) | (times >= last)]


def intraday(times: Times, step: int) -> Times:
    """Bars from 14:30 to 21:00 of each day."""
    return (times[:, None] + np.arange(14 * HOUR + HOUR // 2, 21 * HOUR, step)).ravel()


def hourly(start: str, stop: str) -> Times:
    return np.arange(start, stop, dtype="datetime64[h]").astype("datetime64[ns]").astype(np.int64)


SHARES = without(business_days("2020-01-01", "2021-12-01"), "2020-12-24", "2020-12-29")
GOLDEN_WEEKS = without(without(SHARES, "2020-10-01", "2020-10-09"), "2021-10-01", "2021-10-08")


@pytest.mark.parametrize(
    "times",
    [
        [SHARES],
        [GOLDEN_WEEKS],
        [SHARES, GOLDEN_WEEKS],  # two exchanges: the others' bars are no reason to cut at a holiday
        [intraday(SHARES, HOUR)],
        [intraday(SHARES[:200], HOUR // 12)],
        [intraday(SHARES[:60], HOUR // 60)],
        [intraday(GOLDEN_WEEKS, HOUR), hourly("2020-01-01", "2021-12-01")],
        [hourly("2020-01-01", "2020-03-01")],
        [days("2020-01-01", "2021-01-01")],
        [days("2020-01-01", "2024-01-01")[::7]],
        [np.array(np.arange("2000-01", "2020-01", dtype="datetime64[M]"), dtype="datetime64[ns]").astype(np.int64)],
        [np.arange(100), np.arange(0, 1000, 10)],
        [np.cumsum(np.random.default_rng(0).exponential(1e9, 5000).astype(np.int64) + 1) + 10**18],
        [np.array([3])],
        [np.array([3, 900])],
    ],
    ids=str.split(
        "shares golden_week two_exchanges hours five_minutes minutes hours_and_crypto crypto every_day weeks months "
        "integers events one two"
    ),
)
def test_what_is_usual_is_no_gap(times: list[Times]) -> None:
    assert gaps(*times) == []


@pytest.mark.parametrize(
    "times",
    [
        without(SHARES, "2020-05-04", "2020-06-01"),
        without(intraday(SHARES, HOUR), "2020-05-04", "2020-06-01"),
        without(intraday(SHARES[:200], HOUR // 12), "2020-05-04", "2020-05-25"),
        without(hourly("2020-01-01", "2020-06-01"), "2020-05-04T04", "2020-05-04T07"),
        without(days("2020-01-01", "2021-01-01"), "2020-05-04", "2020-05-07"),
        without(days("2020-01-01", "2024-01-01")[::7], "2020-05-01", "2020-06-01"),
        np.delete(np.arange(1000), [50, 51, 52]),
    ],
    ids=str.split("shares hours five_minutes crypto every_day weeks integers"),
)
def test_one_hole_is_one_gap(times: Times) -> None:
    (row,) = gaps(times)
    assert times[row] - times[row - 1] == np.diff(times).max()


def test_several_holes_are_several_gaps() -> None:
    times = SHARES
    for month in (2, 5, 8, 11):
        times = without(times, f"2020-{month:02}-01", f"2020-{month:02}-25")
    assert len(gaps(times)) == 4


def test_days_on_which_others_trade_are_missed_sooner() -> None:
    halted = without(SHARES, "2020-05-01", "2020-05-12")  # seven days of trading, twelve of the calendar
    assert gaps(halted) == []
    (row,) = gaps(SHARES, halted)
    assert row - len(SHARES) == int(np.searchsorted(SHARES, halted[0])) + int(
        np.searchsorted(halted, np.datetime64("2020-05-01", "ns").astype(np.int64))
    )
    assert gaps(SHARES, halted, independent=True) == []
    closed = without(SHARES, "2020-05-01", "2020-05-12")
    assert gaps(closed, halted) == []  # nobody traded


def test_the_others_steps_are_not_a_sparser_instruments_gaps() -> None:
    assert gaps(np.arange(400), np.arange(0, 400, 7)) == []


@pytest.mark.parametrize(("max_gap", "expected"), [(None, []), ("1", [3, 5]), ("2", [5]), ("9", [5]), ("10", [])])
def test_a_number_is_that_many_usual_steps(max_gap: str | None, expected: list[int]) -> None:
    times = np.array([0, 1, 2, 4, 5, 15, 16, 17, 18]) * 10
    assert gaps(times, max_gap=max_gap) == expected


@pytest.mark.parametrize(("max_gap", "count"), [("1d", 104), ("3d", 1), ("4d", 1), ("5d", 0), ("71h", 104)])
def test_a_duration_is_measured_on_the_clock(max_gap: str, count: int) -> None:
    times = without(business_days("2020-01-01", "2021-12-31"), "2020-12-24", "2020-12-26")  # Thursday and Friday
    assert len(gaps(times, max_gap=max_gap)) == count


def test_a_duration_means_nothing_on_a_plain_clock() -> None:
    with pytest.raises(TableError) as caught:
        gaps(np.arange(9), max_gap="3d")
    assert str(caught.value) == (
        "t.csv: data.max_gap=3d is a duration, but the times are plain integers; "
        "give a number of usual steps, auto or null"
    )


def test_the_gaps_are_said_the_longest_first() -> None:
    table = cut_at_gaps(table_of(np.array([0, 1, 2, 9, 10]), np.array([0, 1, 2, 3, 99, 100])), "1")
    assert table.notes == (
        "t.csv: 2 gap(s) (data.max_gap=1), which no window, feature or label crosses: "
        "'B' has no row between 3 and 99; 'A' has no row between 2 and 9",
    )
    times = np.cumsum([1, 1, 1, 5, 1, 5, 1, 5, 1, 5])
    assert cut_at_gaps(table_of(times), "1").notes[0].endswith("; and 1 more")
    assert cut_at_gaps(table_of(times), None).notes == ()


def test_stretches_are_the_instruments_rows_between_gaps() -> None:
    table = cut_at_gaps(table_of(np.array([0, 1, 2, 9, 10]), np.array([0, 1, 2])), "1")
    assert table.blocks == [(0, 3), (3, 5), (5, 8)]
    assert table.instrument_blocks == [(0, 5), (5, 8)]


def test_a_row_read_from_a_read_only_map_is_cut_as_well() -> None:
    table = table_of(np.array([0, 1, 2, 9, 10]))
    table.timestamp.flags.writeable = False
    assert cut_at_gaps(table, "1").breaks.tolist() == [3]


def test_large_tables_are_looked_at_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    times = without(intraday(SHARES, HOUR), "2020-05-04", "2020-06-01")
    expected = gaps(times)
    monkeypatch.setattr("hybrid_trainer.data.gaps.CHUNK", 700)
    monkeypatch.setattr("hybrid_trainer.data.gaps._SAMPLE", 100)
    assert gaps(times) == expected


# Features and labels end at a gap.


@pytest.fixture
def cut() -> tuple[Table, Table]:
    """A table of 180 rows with a gap after 100, and the two halves as instruments."""
    times = np.append(np.arange(100), np.arange(1000, 1080))
    prices = random_prices(180, 3)
    halves = {"A": {k: v[:100] for k, v in prices.items()}, "B": {k: v[100:] for k, v in prices.items()}}
    return cut_at_gaps(price_table({"A": prices}, timestamp=times), "auto"), price_table(halves)


def test_features_and_labels_are_those_of_two_instruments(cut: tuple[Table, Table]) -> None:
    whole, halves = cut
    assert whole.breaks.tolist() == [100]
    selected = select_features("core", [], {})
    features = [np.empty((len(table), len(selected)), dtype=np.float32) for table in cut]
    for table, out in zip(cut, features, strict=True):
        compute_features(table.prices, table.blocks, selected, out)
    np.testing.assert_array_equal(*features)
    configs = {"signal": SignalTarget(), "volatility": VolatilityTarget(), "sl_tp": SlTpTarget()}
    for one, other in zip(build_targets(whole, configs), build_targets(halves, configs), strict=True):
        np.testing.assert_array_equal(one.values, other.values)
        assert not one.labelled[99]


def test_no_window_crosses_the_gap(cut: tuple[Table, Table]) -> None:
    panel = build_panel(cut[0], feature_set="core", features=[], context={})
    assert panel.segments[:, 0].tolist() == [60, 160]
    assert panel.segments[:, 1].tolist() == [100, 180]


def test_a_label_column_may_speak_of_the_rows_behind_the_gap_so_its_interval_goes_on(cut: tuple[Table, Table]) -> None:
    whole = cut[0]
    ends = clocks_of(whole, 2).label_end
    assert ends[np.arange(96, 101)].tolist() == [98, 99, 1000, 1001, 1002]
    column = Coded.of(["x", "y"] * 90)
    labelled = price_table({"A": whole.prices}, timestamp=whole.timestamp, labels={"y": column}, breaks=whole.breaks)
    (target,) = build_targets(labelled, {"y": ColumnTarget(column="y", kind="classification")})
    assert target.labelled.all()


def test_the_bound_of_an_allowance_is_itself_no_gap() -> None:
    check: Callable[[int], list[int]] = lambda step: gaps(np.append(np.arange(50), 49 + step))  # noqa: E731
    assert check(3) == []
    assert check(4) == [50]
    assert DAY == 24 * HOUR


def test_what_one_table_says_of_an_instrument_holds_for_a_few_rows_of_it() -> None:
    nights = intraday(business_days("2024-01-01", "2024-03-01"), HOUR)
    learned = allowances(table_of(nights, hourly("2024-01-01", "2024-01-03"), nights[:1]), "auto")
    assert learned == {"A": Allowance(learned["A"].longest, rests=True), "B": Allowance(HOUR)}
    few = table_of(nights[:10], nights[:10])
    assert cut_at_gaps(few, "auto").breaks.tolist() == [7, 17]
    assert cut_at_gaps(few, "auto", learned=learned).breaks.tolist() == [17]


@pytest.mark.parametrize(("max_gap", "said"), [(None, {}), ("3d", {}), ("2", {"A": Allowance(2 * DAY)})])
def test_only_what_a_table_says_is_remembered(max_gap: str | None, said: dict[str, Allowance]) -> None:
    assert allowances(table_of(days("2024-01-01", "2024-02-01")), max_gap) == said
