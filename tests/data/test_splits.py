"""Splits of whole tables: nothing twice, nothing lost, and no label that reaches into another part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import comb
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hybrid_trainer.config.spans import Span
from hybrid_trainer.config.split import KINDS, SplitConfig
from hybrid_trainer.data import purging
from hybrid_trainer.data.calendar import NEVER
from hybrid_trainer.data.purging import Clocks
from hybrid_trainer.data.splits import NO_EMBARGO, Split, by_column, clocks_of, divide, make_split
from hybrid_trainer.data.table import Coded, Table
from hybrid_trainer.data.timestamps import iso
from hybrid_trainer.errors import TableError
from hybrid_trainer.types import SPLITS
from tests.data.tables import SOME_EXAMPLES, closes_table

DAY = 86_400 * 10**9
Rows = NDArray[np.int64]


def table_of(times: list[list[int]], **fields: Any) -> Table:
    """Instruments A, B, ... with these times."""
    closes = [[1.0] * len(some) for some in times]
    return closes_table(*closes, timestamp=np.array([t for some in times for t in some], dtype=np.int64), **fields)


def split_of(table: Table, horizon: int, rows: Rows | None = None, independent: bool = False, **keys: Any) -> Split:
    rows = np.arange(len(table)) if rows is None else rows
    return make_split(SplitConfig(**keys), table, rows, clocks_of(table, horizon, independent=independent))


def lists(parts: dict[str, Rows]) -> dict[str, list[int]]:
    return {part: rows.tolist() for part, rows in parts.items()}


# By hand.


def test_a_chronological_split_by_hand() -> None:
    # Twelve days; A has all of them, B the even ones. Labels reach two bars: two days for A, four for B.
    table = table_of([list(range(12)), [0, 2, 4, 6, 8, 10]])
    split = split_of(table, 2, fractions=[0.5, 0.25, 0.25])
    assert split.begins == {"train": 0, "valid": 6, "test": 9}
    assert lists(split.rows) == {"train": [0, 1, 2, 3, 12], "valid": [6], "test": [9, 10, 11, 17]}
    # A's days 4 and 5, B's days 2 and 4: they end on day 6 or later
    assert lists(split.purged) == {"train": [4, 5, 13, 14], "valid": [7, 8, 15, 16], "test": []}
    assert lists(split.embargoed) == {"train": [], "valid": [], "test": []}
    assert split.unused.tolist() == []


def test_an_embargo_takes_more_rows_of_the_common_calendar() -> None:
    table = table_of([list(range(20)), [0, 2, 4, 6, 8, 10]])
    split = split_of(table, 1, fractions=[0.5, 0.25, 0.25], embargo="2")
    assert split.begins == {"train": 0, "valid": 10, "test": 15}
    # label ends, and two days of the calendar more, lie before day 10
    assert lists(split.rows) == {"train": [*range(7), 20, 21, 22], "valid": [10, 11, 25], "test": [15, 16, 17, 18, 19]}
    assert lists(split.purged) == {"train": [9, 24], "valid": [14], "test": []}
    assert lists(split.embargoed) == {"train": [7, 8, 23], "valid": [12, 13], "test": []}


def test_an_embargo_may_be_a_duration() -> None:
    table = table_of([[day * DAY * 400 for day in range(1, 21)]])
    split = split_of(table, 1, fractions=[0.5, 0.25, 0.25], embargo="800d")
    assert lists(split.embargoed) == {"train": [7, 8], "valid": [12, 13], "test": []}
    with pytest.raises(TableError) as caught:
        split_of(table_of([list(range(20))]), 1, embargo="3d")
    assert str(caught.value) == (
        "data.split.embargo: 3d is a duration, but the table's times are plain integers; give a number of bars"
    )


def test_training_that_follows_evaluation_is_purged_on_both_sides() -> None:
    # Four groups of ten days, the second tests; a tenth of the other thirty validates: days 37 to 39.
    split = split_of(
        table_of([list(range(40))]), 2, kind="cpcv", groups=4, test_groups=1, fold=1, valid_size=0.1, embargo="3"
    )
    assert lists(split.rows) == {
        "train": [*range(5), *range(25, 32)],
        "valid": [37, 38, 39],
        "test": list(range(10, 20)),
    }
    assert lists(split.purged) == {"train": [8, 9, 20, 21, 35, 36], "valid": [], "test": []}
    assert lists(split.embargoed) == {"train": [5, 6, 7, 22, 23, 24, 32, 33, 34], "valid": [], "test": []}


def test_rows_outside_the_given_dates_are_looked_back_on_only() -> None:
    split = split_of(
        table_of([list(range(20))]), 1, kind="date", train_from="2", valid_from="8", test_from="12", test_until="17"
    )
    assert lists(split.rows) == {"train": [2, 3, 4, 5, 6], "valid": [8, 9, 10], "test": [12, 13, 14, 15, 16]}
    assert split.unused.tolist() == [0, 1, 17, 18, 19]


def test_rolling_training_leaves_out_what_lies_before_and_behind() -> None:
    keys: dict[str, Any] = {"kind": "walk_forward", "folds": 2, "test_size": 0.2, "valid_size": 0.2}
    split = split_of(table_of([list(range(20))]), 1, **keys, window="rolling", fold=1)
    assert lists(split.rows) == {"train": list(range(4, 11)), "valid": [12, 13, 14], "test": [16, 17, 18, 19]}
    assert split.unused.tolist() == [0, 1, 2, 3]


def test_a_longer_gap_between_bars_purges_earlier_rows() -> None:
    split = split_of(table_of([list(range(20)), list(range(0, 20, 5))]), 1, fractions=[0.6, 0.2, 0.2])
    assert split.begins == {"train": 0, "valid": 12, "test": 16}
    assert split.purged["train"].tolist() == [11, 22]  # day 11 of the dense one, day 10 of the sparse one


def test_an_instrument_that_ends_before_the_border_is_purged_on_the_calendar_of_all() -> None:
    table = table_of([list(range(100)), list(range(66))])
    split = split_of(table, 10)
    # validation begins at 70: a label of 10 bars that begins at 60 or later may speak of it, whether rows follow or not
    assert table.timestamp[split.rows["train"]].max() == 59
    assert split.rows["train"].max() == 100 + 59


def test_borders_lie_among_the_times_in_which_a_row_can_be_decided() -> None:
    table = table_of([list(range(100))])
    assert split_of(table, 1, rows=np.arange(80, 100), fractions=[0.5, 0.25, 0.25]).begins["valid"] == 90


# The column kind.


def parts_of(text: str) -> dict[str, Any]:
    names = {"t": "train", "v": "valid", "e": "test", ".": None, "x": "holdout"}
    return {"categories": {"part": Coded.of([names[letter] for letter in text])}}


def by_part(text: str, horizon: int = 1, independent: bool = False, times: list[list[int]] | None = None) -> Split:
    times = [list(range(len(text)))] if times is None else times
    return split_of(table_of(times, **parts_of(text)), horizon, independent=independent, kind="column", column="part")


def test_a_column_says_the_parts_and_training_gives_way_where_they_touch() -> None:
    split = by_part("tttt.vv..eettxx.tt")
    assert lists(split.rows) == {"train": [0, 1, 2, 3, 12, 16, 17], "valid": [5, 6], "test": [9, 10]}
    assert lists(split.purged) == {"train": [11], "valid": [], "test": []}
    assert split.unused.tolist() == [4, 7, 8, 13, 14, 15]
    assert split.details == {"kind": "column", "embargo": "0", "column": "part", "unused_values": {"": 4, "holdout": 2}}


def test_validation_gives_way_to_test() -> None:
    split = by_part("tt..vvveevvv")
    assert lists(split.rows) == {"train": [0, 1], "valid": [4, 5, 10, 11], "test": [7, 8]}
    assert lists(split.purged) == {"train": [], "valid": [6, 9], "test": []}


def test_a_column_that_leaves_nothing_to_train_on_is_refused_with_a_row_and_a_way_out() -> None:
    with pytest.raises(TableError) as caught:
        by_part("tttvvveee", times=[[0, 1, 2], [0, 1, 2], [0, 1, 2]])
    assert str(caught.value) == (
        "data.split: after purging, no row is left in 'train'; the label reaches further than the part is long: bring "
        "more rows, or shorter horizons and embargo (the first of 3 rows given up is t.csv:2 (0)); where the "
        "instruments are sequences that share no calendar, data.independent_sequences=true says so"
    )


def test_sequences_that_share_no_calendar_are_no_reason_to_purge() -> None:
    split = by_part("tttvvveee", independent=True, times=[[0, 1, 2], [0, 1, 2], [0, 1, 2]])
    assert lists(split.rows) == {"train": [0, 1, 2], "valid": [3, 4, 5], "test": [6, 7, 8]}


def test_a_sequence_that_is_divided_is_purged_within_itself() -> None:
    split = by_part("ttttvvteev" + "ttttttttee", horizon=2, independent=True, times=[list(range(10)), list(range(10))])
    assert lists(split.rows) == {
        "train": [0, 1, 10, 11, 12, 13, 14, 15],
        "valid": [4],
        "test": [7, 8, 18, 19],
    }
    assert lists(split.purged) == {"train": [2, 3, 6, 16, 17], "valid": [5, 9], "test": []}


def test_an_embargo_within_a_sequence_is_of_its_own_rows() -> None:
    table = table_of([[0, 10, 20, 30, 40, 50], [0, 1, 2]], **parts_of("tttvvteee"))
    split = split_of(table, 1, independent=True, kind="column", column="part", embargo="1")
    assert lists(split.purged)["train"] == [2, 5]
    assert lists(split.embargoed)["train"] == [1]


def test_a_column_that_never_names_a_part_is_refused() -> None:
    with pytest.raises(TableError) as caught:
        by_column("part", Coded.of(["train", "validation", "test"]), np.arange(3), "t.csv")
    assert str(caught.value) == (
        "t.csv: column 'part' (data.split.column) never says 'valid'; did you mean 'validation'?; "
        "it must say train, valid and test"
    )


# Independent sequences.


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"order": "file"},
        {"kind": "walk_forward", "folds": 3, "fold": 1},
        {"kind": "cpcv", "groups": 5, "test_groups": 1, "fold": 2},
    ],
)
def test_a_sequence_belongs_to_one_part_whole_and_nothing_is_purged(keys: dict[str, Any]) -> None:
    sequences, length = 30, 4
    table = replace(
        table_of([list(range(sequences * length))]),
        timestamp=np.tile(np.arange(length), sequences),
        instrument=np.repeat(np.arange(sequences), length),
        instruments=tuple(f"s{number:02}" for number in range(sequences)),
    )
    split = split_of(table, 9, independent=True, **keys)
    whose = {part: set(table.instrument[rows].tolist()) for part, rows in split.rows.items()}
    assert sum(map(len, whose.values())) == len(set.union(*whose.values()))
    for part, rows in split.rows.items():
        assert len(rows) == length * len(whose[part])
        assert split.details["sequences"][part] == len(whose[part])
        assert len(split.purged[part]) == 0
    if keys == {"order": "file"}:
        assert whose["train"] == set(range(21))
    if not keys:
        assert [len(whose[part]) for part in SPLITS] == [21, 5, 4]
        assert whose["train"] != set(range(21))


def test_one_labelled_row_per_sequence_is_enough() -> None:
    table = table_of([[0, 1, 2], [0, 1], [0, 1, 2], [0, 1], [0, 1, 2], [5, 6]])
    rows = np.array([stop - 1 for _, stop in table.instrument_blocks])
    split = split_of(table, 1, rows=rows, independent=True, fractions=[0.5, 0.25, 0.25])
    assert sorted(row for part in split.rows.values() for row in part.tolist()) == rows.tolist()


# Any panel, any kind: no pair of rows is left in conflict.


@dataclass(frozen=True)
class Case:
    """A panel with parts of its own, and how it is to be split."""

    times: list[list[int]]
    warm_up: int
    horizon: int
    parts: str
    keys: dict[str, Any]
    independent: bool


@st.composite
def cases(draw: st.DrawFn, kind: str) -> Case:
    times = draw(st.lists(st.sets(st.integers(0, 70), min_size=30, max_size=50).map(sorted), min_size=1, max_size=4))
    total = sum(map(len, times))
    independent = kind != "date" and draw(st.booleans())
    keys: dict[str, Any] = {"kind": kind}
    if kind == "chronological":
        keys["fractions"] = draw(st.sampled_from([[0.6, 0.2, 0.2], [0.4, 0.3, 0.3], [0.34, 0.33, 0.33]]))
    if kind == "walk_forward":
        keys |= {"folds": (folds := draw(st.integers(1, 4))), "fold": draw(st.integers(0, folds - 1))}
        keys |= {"window": draw(st.sampled_from(["expanding", "rolling"])), "test_size": 0.15, "valid_size": 0.2}
    if kind == "cpcv":
        groups = draw(st.integers(2, 4))
        k = draw(st.integers(1, groups - 1))
        keys |= {"groups": groups, "test_groups": k, "fold": draw(st.integers(0, comb(groups, k) - 1))}
        keys["valid_size"] = draw(st.sampled_from([0.25, 0.4]))
    if kind == "date":
        first, second = sorted(draw(st.sets(st.integers(10, 60), min_size=2, max_size=2)))
        keys |= {"valid_from": str(first), "test_from": str(second), "train_from": draw(st.sampled_from([None, "5"]))}
        keys["test_until"] = draw(st.sampled_from([None, "66"]))
    if not independent or kind == "column":
        keys["embargo"] = str(draw(st.integers(0, 3)))
    # a column mostly follows the calendar, or the rows of a sequence; a few rows do not
    runs = st.tuples(st.sampled_from("tttve.x"), st.integers(4, 20)).map(lambda run: run[0] * run[1])
    first = draw(st.permutations(["t" * 10, "v" * 10, "e" * 10]))
    letters = "".join([*first, *draw(st.lists(runs, min_size=40, max_size=40))])
    parts = [letters[row if independent else time] for row, time in enumerate(time for some in times for time in some)]
    for row in draw(st.sets(st.integers(0, total - 1), max_size=3)):
        parts[row] = draw(st.sampled_from("tve"))
    if kind == "column":
        keys["column"] = "part"
    return Case(times, draw(st.integers(0, 4)), draw(st.integers(1, 4)), "".join(parts), keys, independent)


def label_ends(case: Case) -> list[float]:
    """Each row's label end, embargo included, by the words of the contract."""
    everything = sorted({time for some in case.times for time in some})
    bars = int(case.keys.get("embargo", "0"))
    ends: list[float] = []
    for some in case.times:
        calendar = some if case.independent else everything
        for row in range(len(some)):
            ahead = some[row + 1 :] + ([] if case.independent else [t for t in everything if t > some[-1]])
            end = ahead[case.horizon - 1] if len(ahead) >= case.horizon else float("inf")
            over = case.horizon - (
                len(some) - 1 - row
            )  # bars behind the instrument's last one, each no shorter than its own
            if over > 0 and len(some) > 1:
                end = max(end, some[-1] + int(over * np.median(np.diff(some))))
            later = [time for time in calendar if time > end]
            ends.append(end if bars == 0 else later[bars - 1] if len(later) >= bars else float("inf"))
    return ends


@pytest.mark.parametrize("kind", KINDS)
@SOME_EXAMPLES
@given(data=st.data())
def test_no_pair_of_rows_of_two_parts_is_in_conflict_and_no_row_is_lost(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    table = table_of(case.times, **(parts_of(case.parts) if case.keys["kind"] == "column" else {}))
    rows = np.concatenate([np.arange(a + case.warm_up, b) for a, b in table.instrument_blocks])
    try:
        split = split_of(table, case.horizon, rows=rows, independent=case.independent, **case.keys)
    except TableError as error:  # too little for so many parts; but never a leak that only the proof has found
        assert "would leak" not in str(error)
        assume(False)
        raise
    every = [some[part] for some in (split.rows, split.purged, split.embargoed) for part in SPLITS]
    assert sorted(np.concatenate([*every, split.unused]).tolist()) == rows.tolist()
    ends, times, whose = label_ends(case), table.timestamp.tolist(), table.instrument.tolist()

    def conflict(one: int, other: int) -> bool:
        if case.independent and whose[one] != whose[other]:
            return False
        first, second = sorted((one, other), key=lambda row: times[row])
        return bool(times[second] <= ends[first])

    for lower, higher in pairwise(SPLITS):
        for later in SPLITS[SPLITS.index(higher) :]:
            for one in split.rows[lower].tolist():
                assert (np.diff(split.rows[lower]) > 0).all()
                assert not any(conflict(one, other) for other in split.rows[later].tolist())
        # what was given up had to be
        above = SPLITS[SPLITS.index(lower) + 1 :]
        assigned = [row for part in above for some in (split.rows, split.purged, split.embargoed) for row in some[part]]
        for row in [*split.purged[lower].tolist(), *split.embargoed[lower].tolist()]:
            assert any(conflict(row, other) for other in assigned)
    assert len(split.purged["test"]) == len(split.embargoed["test"]) == 0


# The proof knows nothing of how a split was made.


@pytest.fixture
def table() -> Table:
    return table_of([[day * DAY * 400 for day in range(1, 31)], [day * DAY * 400 for day in range(3, 31, 3)]])


@pytest.fixture
def clocks(table: Table) -> Clocks:
    return clocks_of(table, 2)


@pytest.fixture
def split(table: Table) -> Split:
    return split_of(table, 2, fractions=[0.5, 0.25, 0.25])


def test_a_sound_split_is_verified(split: Split, clocks: Clocks) -> None:
    purging.verify(split.rows, clocks, NO_EMBARGO)


@pytest.mark.parametrize(("earlier", "later"), [("train", "valid"), ("valid", "test")])
def test_a_purged_row_that_is_put_back_is_found(split: Split, clocks: Clocks, earlier: str, later: str) -> None:
    assert len(split.purged[earlier])
    for row in split.purged[earlier].tolist():
        planted = split.rows | {earlier: np.sort(np.append(split.rows[earlier], row))}
        with pytest.raises(TableError) as caught:
            purging.verify(planted, clocks, NO_EMBARGO)
        text = str(caught.value)
        assert text.startswith(
            f"data.split: the label of row t.csv:{row + 2} ({iso(clocks.timestamps[row])}), {earlier}"
        )
        assert f"{later} (embargo included): the split would leak" in text


def test_a_row_inside_the_embargo_is_found(split: Split, clocks: Clocks) -> None:
    with pytest.raises(TableError, match="the split would leak"):
        purging.verify(split.rows, clocks, Span(1, in_bars=True))
    purging.verify(split.rows, clocks, Span(399 * DAY, in_bars=False))
    with pytest.raises(TableError, match="the split would leak"):
        purging.verify(split.rows, clocks, Span(400 * DAY, in_bars=False))


def test_a_label_of_training_that_reaches_the_test_is_found(split: Split, clocks: Clocks) -> None:
    for end, words in ((split.begins["test"], "ends "), (NEVER, "goes on without an end")):
        ends = clocks.label_end[np.arange(len(clocks.timestamps))]
        ends[split.rows["train"][0]] = end
        with pytest.raises(TableError, match=words):
            purging.verify(split.rows, replace(clocks, label_end=ends), NO_EMBARGO)


def test_training_behind_a_test_whose_label_reaches_it_is_found(split: Split, clocks: Clocks) -> None:
    turned = {"train": split.rows["test"], "valid": split.rows["valid"], "test": split.rows["train"]}
    purging.verify(turned, clocks, NO_EMBARGO)  # far enough apart in this order, too
    turned["test"] = np.append(split.rows["train"], split.purged["train"][0])
    with pytest.raises(TableError, match="the split would leak"):
        purging.verify(turned, clocks, NO_EMBARGO)


def test_a_row_of_one_part_in_an_earlier_one_is_found(split: Split, clocks: Clocks) -> None:
    leaking = split.rows | {"train": np.append(split.rows["train"], split.rows["test"][0])}
    with pytest.raises(TableError, match="the split would leak"):
        purging.verify(leaking, clocks, NO_EMBARGO)


def test_within_a_sequence_the_proof_finds_it_as_well() -> None:
    table = table_of([list(range(9)), list(range(9))])
    clocks = clocks_of(table, 2, independent=True)
    sound = {"train": np.array([0, 1, 9, 10]), "valid": np.array([4, 13]), "test": np.array([7, 16])}
    purging.verify(sound, clocks, NO_EMBARGO)
    with pytest.raises(TableError, match=r"row t\.csv:13 \(2\), train, ends 4, at or after row t\.csv:15 \(4\), valid"):
        purging.verify(sound | {"train": np.array([0, 1, 11])}, clocks, NO_EMBARGO)


@pytest.mark.parametrize(("horizon", "part"), [(15, "train"), (4, "valid")])
def test_a_part_that_purging_empties_is_refused(horizon: int, part: str) -> None:
    with pytest.raises(TableError, match=rf"^data\.split: after purging, no row is left in '{part}'"):
        split_of(table_of([list(range(20))]), horizon, fractions=[0.6, 0.2, 0.2])


def test_a_part_that_is_given_nothing_is_refused() -> None:
    table = table_of([list(range(6))])
    with pytest.raises(TableError, match=r"^data\.split: no row that can be decided belongs to 'valid'$"):
        divide(np.arange(6), np.array([0, 0, 0, -1, -1, 2], dtype=np.int8), clocks_of(table, 1), NO_EMBARGO, {})


def test_maps_that_cannot_be_written_are_split_as_well(table: Table, split: Split) -> None:
    for array in (table.timestamp, table.instrument, table.line):
        array.flags.writeable = False
    assert lists(split_of(table, 2, fractions=[0.5, 0.25, 0.25]).rows) == lists(split.rows)


def test_large_tables_are_split_in_chunks(table: Table, split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("calendar", "purging"):
        monkeypatch.setattr(f"hybrid_trainer.data.{module}.CHUNK", 7)
    assert lists(split_of(table, 2, fractions=[0.5, 0.25, 0.25]).rows) == lists(split.rows)


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
