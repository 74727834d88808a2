"""The chronological split: nothing twice, nothing lost, and no label that reaches into a later part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hybrid_trainer.data.splits import Rows, Split, chronological, report, verify
from hybrid_trainer.data.targets import Target, label_end
from hybrid_trainer.data.timestamps import iso
from hybrid_trainer.errors import TableError
from hybrid_trainer.types import SPLITS, TargetSpec
from tests.data.tables import SOME_EXAMPLES, closes_table

DAY = 86_400 * 10**9


@dataclass(frozen=True)
class Clocks:
    """Several instruments, each with its own times, and the rows among which is divided."""

    timestamps: Rows
    instrument: Rows
    label_end: Rows
    rows: Rows


def clocks(times: list[list[int]], horizon: int, warm_up: int) -> Clocks:
    ends = [one[min(row + horizon, len(one) - 1)] for one in times for row in range(len(one))]
    rows: list[int] = []
    start = 0
    for one in times:
        rows += range(start + warm_up, start + len(one))
        start += len(one)
    return Clocks(
        timestamps=np.array([time for one in times for time in one], dtype=np.int64),
        instrument=np.repeat(np.arange(len(times)), [len(one) for one in times]),
        label_end=np.array(ends, dtype=np.int64),
        rows=np.array(rows, dtype=np.int64),
    )


CLOCKS = st.builds(
    clocks,
    times=st.lists(
        st.sets(st.integers(0, 80), min_size=25, max_size=60).map(lambda times: sorted(times)), min_size=1, max_size=4
    ),
    horizon=st.integers(1, 6),
    warm_up=st.integers(0, 4),
)
FRACTIONS = st.tuples(st.integers(3, 9), st.integers(2, 5), st.integers(2, 5)).map(
    lambda parts: [part / sum(parts) for part in parts]
)


def split_or_skip(panel: Clocks, fractions: list[float]) -> Split:
    try:
        return chronological(panel.rows, panel.timestamps, panel.label_end, fractions)
    except TableError:
        assume(False)
        raise


@SOME_EXAMPLES
@given(panel=CLOCKS, fractions=FRACTIONS)
def test_every_decision_row_is_kept_or_purged_exactly_once(panel: Clocks, fractions: list[float]) -> None:
    split = split_or_skip(panel, fractions)
    everything = [row for part in SPLITS for rows in (split.rows, split.purged) for row in rows[part].tolist()]
    assert sorted(everything) == panel.rows.tolist()
    for part in SPLITS:
        assert (np.diff(split.rows[part]) > 0).all()


@SOME_EXAMPLES
@given(panel=CLOCKS, fractions=FRACTIONS)
def test_no_label_reaches_a_later_part_on_the_clock_that_all_instruments_share(
    panel: Clocks, fractions: list[float]
) -> None:
    split = split_or_skip(panel, fractions)
    for earlier, later in pairwise(SPLITS):
        begin = split.begins[later]
        assert panel.timestamps[split.rows[earlier]].max() < begin
        assert panel.label_end[split.rows[earlier]].max() < begin
        assert panel.timestamps[split.rows[later]].min() >= begin
        # what was given up had to be
        assert (panel.label_end[split.purged[earlier]] >= begin).all()
        assert (panel.timestamps[split.purged[earlier]] < begin).all()
    assert len(split.purged["test"]) == 0


@SOME_EXAMPLES
@given(panel=CLOCKS, fractions=FRACTIONS)
def test_the_borders_lie_at_the_fractions_of_the_calendar(panel: Clocks, fractions: list[float]) -> None:
    split = split_or_skip(panel, fractions)
    calendar = sorted({int(time) for time in panel.timestamps[panel.rows]})
    assert split.begins["train"] == calendar[0]
    for part, share in (("valid", fractions[0]), ("test", fractions[0] + fractions[1])):
        assert split.begins[part] in calendar
        assert abs(calendar.index(split.begins[part]) - share * len(calendar)) <= 0.5 + 1e-9


def test_a_split_by_hand() -> None:
    # Twelve days; A has all of them, B the even ones. Labels reach two bars: two days for A, four for B.
    panel = clocks([list(range(12)), [0, 2, 4, 6, 8, 10]], horizon=2, warm_up=0)
    split = chronological(panel.rows, panel.timestamps, panel.label_end, [0.5, 0.25, 0.25])
    assert split.begins == {"train": 0, "valid": 6, "test": 9}
    assert {part: rows.tolist() for part, rows in split.rows.items()} == {
        "train": [0, 1, 2, 3, 12],
        "valid": [6],
        "test": [9, 10, 11, 17],
    }
    assert {part: rows.tolist() for part, rows in split.purged.items()} == {
        "train": [4, 5, 13, 14],  # A's days 4 and 5, B's days 2 and 4: they end on day 6 or later
        "valid": [7, 8, 15, 16],
        "test": [],
    }


def test_a_longer_gap_between_bars_purges_earlier_rows() -> None:
    dense, sparse = list(range(20)), list(range(0, 20, 5))
    panel = clocks([dense, sparse], horizon=1, warm_up=0)
    split = chronological(panel.rows, panel.timestamps, panel.label_end, [0.6, 0.2, 0.2])
    assert split.begins == {"train": 0, "valid": 12, "test": 16}
    assert split.purged["train"].tolist() == [11, 22]  # day 11 of the dense one, day 10 of the sparse one


def test_a_calendar_that_is_too_short_is_refused() -> None:
    panel = clocks([[1, 2]], horizon=1, warm_up=0)
    with pytest.raises(TableError) as caught:
        chronological(panel.rows, panel.timestamps, panel.label_end, [0.7, 0.15, 0.15])
    assert str(caught.value) == (
        "data.split: 2 different times with a decidable row are too few to divide as [0.7, 0.15, 0.15]; "
        "bring more rows or lower model.time_window"
    )


@pytest.mark.parametrize(("horizon", "part"), [(15, "train"), (4, "valid")])
def test_a_part_that_purging_empties_is_refused(horizon: int, part: str) -> None:
    panel = clocks([list(range(20))], horizon=horizon, warm_up=0)
    with pytest.raises(TableError, match=f"^data.split: after purging, no row is left in '{part}'"):
        chronological(panel.rows, panel.timestamps, panel.label_end, [0.6, 0.2, 0.2])


@pytest.fixture
def panel() -> Clocks:
    return clocks([[day * DAY * 400 for day in range(1, 31)], [day * DAY * 400 for day in range(3, 31, 3)]], 2, 0)


@pytest.fixture
def split(panel: Clocks) -> Split:
    return chronological(panel.rows, panel.timestamps, panel.label_end, [0.5, 0.25, 0.25])


def test_a_sound_split_is_verified(panel: Clocks, split: Split) -> None:
    verify(split, panel.timestamps, panel.label_end)


@pytest.mark.parametrize(("earlier", "later"), [("train", "valid"), ("valid", "test")])
def test_a_purged_row_that_is_put_back_is_found(panel: Clocks, split: Split, earlier: str, later: str) -> None:
    for row in split.purged[earlier]:
        planted = np.sort(np.append(split.rows[earlier], row))
        with pytest.raises(TableError) as caught:
            verify(replace(split, rows=split.rows | {earlier: planted}), panel.timestamps, panel.label_end)
        text = str(caught.value)
        assert f"the label of row {row} (" in text
        assert f"{earlier}) ends" in text
        assert f"when '{later}' has begun" in text


def test_a_label_of_training_that_reaches_the_test_is_found(panel: Clocks, split: Split) -> None:
    ends = panel.label_end.copy()
    ends[split.rows["train"][0]] = split.begins["test"]
    with pytest.raises(TableError, match="the split would leak"):
        verify(split, panel.timestamps, ends)


def test_a_row_of_one_part_in_an_earlier_one_is_found(panel: Clocks, split: Split) -> None:
    leaking = split.rows | {"train": np.append(split.rows["train"], split.rows["test"][0])}
    with pytest.raises(TableError, match="the split would leak"):
        verify(replace(split, rows=leaking), panel.timestamps, panel.label_end)


def test_the_report_states_dates_and_counts_that_add_up(panel: Clocks, split: Split) -> None:
    generator = np.random.default_rng(0)
    codes = generator.integers(-1, 3, len(panel.timestamps))
    numbers = np.where(codes < 0, np.nan, codes).astype(float)[:, None]
    classes = TargetSpec(name="c", kind="classification", dim=3, horizon=2, labels=("x", "y", "z"))
    number = TargetSpec(name="n", kind="regression", dim=1, horizon=2, labels=("v",))
    targets = [Target(spec=classes, values=codes), Target(spec=number, values=numbers)]
    said = report(split, panel.timestamps, panel.instrument, ("A", "B"), targets, unlabelled=7)
    assert said["rows_without_any_label"] == 7
    assert list(said["parts"]) == list(SPLITS)
    total = 0
    for part, stated in said["parts"].items():
        rows = split.rows[part]
        assert (stated["rows"], stated["purged"]) == (len(rows), len(split.purged[part]))
        total += stated["rows"] + stated["purged"]
        for count in ("rows", "purged"):
            assert stated["instruments"]["A"][count] + stated["instruments"]["B"][count] == stated[count]
        assert stated["instruments"]["B"]["rows"] == int((rows >= 30).sum())
        assert stated["first"] == iso(panel.timestamps[rows].min())
        assert stated["last"] == iso(panel.timestamps[rows].max())
        for task in ("c", "n"):
            assert stated["targets"][task]["labelled"] + stated["targets"][task]["masked"] == len(rows)
            assert stated["targets"][task]["masked"] == int((codes[rows] == -1).sum())
        shares = stated["targets"]["c"]["class_shares"]
        assert shares["y"] == pytest.approx((codes[rows] == 1).sum() / (codes[rows] >= 0).sum(), abs=1e-6)
        assert sum(shares.values()) == pytest.approx(1, abs=2e-6)
        assert "class_shares" not in stated["targets"]["n"]
    assert total == len(panel.rows)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (15_765 * DAY, "2013-03-01"),
        (15_765 * DAY + 16 * 3600 * 10**9, "2013-03-01T16:00:00"),
        (15_765 * DAY + 1, "2013-03-01T00:00:00.000000001"),
        (np.int64(-10_000 * DAY), "1942-08-16"),
        (20_130_301, "20130301"),
        (0, "0"),
        (-5, "-5"),
    ],
)
def test_a_time_is_shown_as_a_date_and_a_plain_clock_as_its_number(nanoseconds: int, text: str) -> None:
    assert iso(nanoseconds) == text


def test_an_instrument_that_ends_before_the_border_is_purged_on_the_calendar_of_all() -> None:
    times = np.arange(100, dtype=np.int64)
    table = closes_table(np.ones(100), np.ones(66), timestamp=np.concatenate([times, times[:66]]))
    rows = np.arange(166)
    end = label_end(table, 10)
    split = chronological(rows, table.timestamp, end, [0.7, 0.15, 0.15])
    # validation begins at 70: a label of 10 bars that begins at 60 or later may speak of it, whether rows follow or not
    assert table.timestamp[split.rows["train"]].max() == 59
    assert split.rows["train"].max() == 100 + 59
