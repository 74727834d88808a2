"""Label intervals that reach across are found, whichever side they come from: beside every pair of rows, one by one."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.data.table import Table
from hybrid_trainer.leaks.borders import interval_ends, no_label_crosses
from hybrid_trainer.leaks.finding import Subject
from hybrid_trainer.types import SPLITS
from tests.data.tables import SOME_EXAMPLES, price_table, random_prices


def table_of(*times: list[int]) -> Table:
    parts = {name: random_prices(len(given), 0) for name, given in zip("ABCD", times, strict=False)}
    return price_table(parts, timestamp=np.concatenate([np.array(given, dtype=np.int64) for given in times]))


def subject(table: Table, parts: list[int | None], horizon: int, window: int = 1, independent: bool = False) -> Subject:
    """A stand-in that knows what the check reads; `parts` says for each row its part, or None."""
    rows = {name: np.flatnonzero([part == code for part in parts]) for code, name in enumerate(SPLITS)}
    panel = SimpleNamespace(
        timestamps=table.timestamp,
        instrument=table.instrument,
        instruments=table.instruments,
        features=np.zeros((len(table), 1), dtype=np.float32),
    )
    data: Any = SimpleNamespace(
        table=table,
        panel=panel,
        time_window=window,
        specs=[SimpleNamespace(horizon=horizon), SimpleNamespace(horizon=1)],
        split=SimpleNamespace(rows=rows, purged={name: np.empty(0, dtype=np.int64) for name in SPLITS}),
    )
    config: Any = SimpleNamespace(data=SimpleNamespace(independent_sequences=independent))
    return Subject(config=config, data=data, samples=1, seed=0)


def test_the_end_is_the_row_ahead_and_behind_the_last_one_the_calendar() -> None:
    table = table_of([0, 2, 4, 6, 9], [0, 2])
    assert interval_ends(table, np.arange(7), 2).tolist() == [4, 6, 9, 9, 9, 4, 6]
    assert interval_ends(table, np.array([5, 6]), 1).tolist() == [2, 4]


def test_a_purged_split_passes_and_one_row_more_does_not() -> None:
    table = table_of(list(range(10)))
    assert no_label_crosses(subject(table, [0, 0, None, None, 1, 1, None, None, 2, 2], 2)).failures == []
    (said,) = no_label_crosses(subject(table, [0, 0, 0, None, 1, 1, None, None, 2, 2], 2)).failures
    assert said == ("the labels of 1 rows of 'train' reach into 'valid': row 2 of A ends 4, and 4 is in 'valid'"), said


def test_a_label_of_an_evaluation_row_that_reaches_into_later_training_is_found() -> None:
    table = table_of(list(range(9)))
    (said,) = no_label_crosses(subject(table, [2, 2, 0, 0, 0, None, None, 1, 1], 1)).failures
    assert said.startswith("the labels of 1 rows of 'test' reach into 'train': row 1 of A ends 2")


def test_another_instrument_is_on_the_same_clock() -> None:
    table = table_of([0, 1, 2, 3], [0, 1, 5, 6])
    found = no_label_crosses(subject(table, [None, None, 1, 2, None, 0, None, None], 1)).failures
    assert len(found) == 3 and found[0].startswith("the labels of 1 rows of 'train' reach into 'valid': row 1 of B")


def test_a_row_in_two_parts_is_found() -> None:
    given_parts = subject(table_of(list(range(9))), [0, 0, None, 1, 1, None, None, 2, 2], 1)
    given_parts.data.split.rows["test"] = np.array([0, 8])
    assert no_label_crosses(given_parts).failures[0] == "1 rows are in 'train' and in 'test': row 0 of A"


def test_a_window_that_begins_in_another_instrument_is_found() -> None:
    parts = [None, 0, None, 1, None, 2]
    assert no_label_crosses(subject(table_of([0, 1, 4, 5, 8, 9]), parts, 1, window=2)).failures == []
    found = no_label_crosses(subject(table_of([0, 1, 4], [5, 8, 9]), parts, 1, window=2)).failures
    assert found == ["the window of row 5 of B crosses an instrument's border, a gap or a row without all features"]


@SOME_EXAMPLES
@given(data=st.data())
def test_what_is_found_is_what_every_pair_of_rows_says(data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=3))
    times = [sorted(data.draw(st.sets(st.integers(0, 12), min_size=n, max_size=n))) for n in lengths]
    table = table_of(*times)
    calendar = np.unique(table.timestamp).tolist()
    parts = data.draw(st.lists(st.sampled_from([0, 1, 2, None]), min_size=len(table), max_size=len(table)))
    horizon = data.draw(st.integers(1, 4))
    stops = np.cumsum(lengths)

    def end(row: int) -> int:
        last = int(stops[table.instrument[row]]) - 1
        if row + horizon <= last:
            return int(table.timestamp[row + horizon])
        later = calendar[calendar.index(table.timestamp[last]) :]
        return int(later[min(row + horizon - last, len(later) - 1)])

    clash = any(
        parts[a] is not None and parts[b] is not None and parts[a] != parts[b]
        and table.timestamp[a] <= table.timestamp[b] <= end(a)
        for a in range(len(table)) for b in range(len(table))
    )  # fmt: skip
    assert bool(no_label_crosses(subject(table, parts, horizon)).failures) == clash


def test_independent_sequences_have_clocks_of_their_own() -> None:
    table = table_of([0, 1, 2], [0, 1, 2], [0, 1, 2])
    whole = [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert no_label_crosses(subject(table, whole, 2, independent=True)).failures == []
    assert no_label_crosses(subject(table, whole, 2)).failures != []  # on one calendar they would overlap
    (said,) = no_label_crosses(subject(table, [0, 0, 1, 1, 1, 1, 2, 2, 2], 1, independent=True)).failures
    assert said == "the labels of 1 rows of 'train' reach into 'valid': row 1 of A"


def test_a_window_that_crosses_a_gap_is_found() -> None:
    table = replace(table_of(list(range(9))), breaks=np.array([4]))
    parts: list[int | None] = [None, 0, None, None, None, 1, None, None, 2]
    assert no_label_crosses(subject(table, parts, 1, window=2)).failures == []
    (said,) = no_label_crosses(subject(table, parts, 1, window=3)).failures[-1:]
    assert "crosses" in said
