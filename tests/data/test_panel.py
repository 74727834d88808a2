"""One contiguous feature matrix, and the row ranges that a window may lie in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.data import room
from hybrid_trainer.data.features import CORE, FEATURES, compute_features, feature, select_features
from hybrid_trainer.data.panel import Panel, build_panel
from hybrid_trainer.data.room import Room, on_disk
from hybrid_trainer.data.segments import find_segments
from hybrid_trainer.data.table import Table
from hybrid_trainer.errors import ConfigError, TableError
from tests.data.tables import SOME_EXAMPLES, price_table, random_prices

ROWS = st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=40).map(
    lambda rows: sorted(rows, key=lambda row: row[0])
)


@pytest.fixture(scope="module")
def table() -> Table:
    """A of 70 rows, B of 90, with two columns of its own."""
    generator = np.random.default_rng(7)
    numbers = {"x": generator.normal(size=160), "y": generator.normal(size=160)}
    return price_table({"A": random_prices(70, 1), "B": random_prices(90, 2)}, numbers=numbers)


def with_missing(table: Table, **rows: list[int]) -> Table:
    numbers = {name: values.copy() for name, values in table.numbers.items()}
    for name, missing in rows.items():
        numbers[name][missing] = np.nan
    return replace(table, numbers=numbers)


def segments(panel: Panel) -> list[list[int]]:
    found: list[list[int]] = panel.segments.tolist()
    return found


@SOME_EXAMPLES
@given(rows=ROWS)
def test_segments_are_the_longest_usable_ranges_of_one_instrument(rows: list[tuple[int, bool]]) -> None:
    expected: list[list[int]] = []
    for index, (instrument, usable) in enumerate(rows):
        if not usable:
            continue
        if expected and expected[-1][1] == index and rows[index - 1][0] == instrument:
            expected[-1][1] = index + 1
        else:
            expected.append([index, index + 1])
    instrument = np.array([row[0] for row in rows], dtype=np.int64)
    found = find_segments(np.array([row[1] for row in rows], dtype=bool), instrument)
    assert found.shape == (len(expected), 2)
    assert found.tolist() == expected


@SOME_EXAMPLES
@given(rows=ROWS, time_window=st.integers(2, 6))
def test_a_decidable_row_ends_a_window_of_usable_rows_of_one_instrument(
    rows: list[tuple[int, bool]], time_window: int
) -> None:
    instrument = np.array([row[0] for row in rows], dtype=np.int64)
    usable = np.array([row[1] for row in rows], dtype=bool)
    panel = Panel(
        features=np.zeros((len(rows), 1), dtype=np.float32),
        feature_names=("x",),
        context=None,
        context_blocks={},
        timestamps=np.arange(len(rows)),
        instrument=instrument,
        instruments=("A", "B", "C"),
        segments=find_segments(usable, instrument),
    )
    expected = [
        row
        for row in range(time_window - 1, len(rows))
        if usable[row - time_window + 1 : row + 1].all()
        and len(set(instrument[row - time_window + 1 : row + 1].tolist())) == 1
    ]
    found = panel.decidable_rows(time_window)
    assert found.dtype == np.int64
    assert found.tolist() == expected


def test_the_matrix_holds_the_core_features_then_the_tables_own(table: Table) -> None:
    panel = build_panel(table, feature_set="core", features=["y", "x"], context={})
    core = np.empty((160, len(CORE)), dtype=np.float32)
    compute_features(table.prices, [(0, 70), (70, 160)], select_features("core", [], {}), core)
    assert panel.feature_names == (*CORE, "y", "x")
    assert panel.features.dtype == np.float32
    assert panel.features.flags["C_CONTIGUOUS"]
    expected = np.column_stack([core, table.numbers["y"], table.numbers["x"]]).astype(np.float32)
    np.testing.assert_array_equal(panel.features, expected)
    assert panel.context is None
    assert panel.context_blocks == {}


def test_without_the_core_set_the_matrix_is_the_tables_own_columns(table: Table) -> None:
    panel = build_panel(table, feature_set="none", features=["x"], context={})
    assert panel.feature_names == ("x",)
    np.testing.assert_array_equal(panel.features[:, 0], table.numbers["x"].astype(np.float32))
    assert segments(panel) == [[0, 70], [70, 160]]


def test_the_clock_and_the_instruments_are_the_tables(table: Table) -> None:
    panel = build_panel(table, feature_set="none", features=["x"], context={})
    assert len(panel) == 160
    np.testing.assert_array_equal(panel.timestamps, table.timestamp)
    np.testing.assert_array_equal(panel.instrument, table.instrument)
    assert panel.instruments == ("A", "B")


def test_the_warm_up_of_each_instrument_lies_outside_the_segments(table: Table) -> None:
    panel = build_panel(table, feature_set="core", features=[], context={})
    warm_up = max(entry.lookback for entry in CORE.values()) - 1
    assert segments(panel) == [[warm_up, 70], [70 + warm_up, 160]]


def test_a_missing_feature_ends_a_segment_a_missing_context_value_does_not(table: Table) -> None:
    gaps = with_missing(table, x=[3, 70], y=[10, 11])
    assert segments(build_panel(gaps, feature_set="none", features=["x"], context={})) == [[0, 3], [4, 70], [71, 160]]
    both = build_panel(gaps, feature_set="none", features=["x"], context={"text": ("y",)})
    assert segments(both) == [[0, 3], [4, 70], [71, 160]]
    assert both.context is not None
    assert both.context.dtype == np.float32
    np.testing.assert_array_equal(both.context[:, 0], gaps.numbers["y"].astype(np.float32))
    assert both.context_blocks == {"text": ("y",)}


def test_no_window_spans_two_instruments(table: Table) -> None:
    rows = build_panel(table, feature_set="none", features=["x"], context={}).decidable_rows(5)
    assert rows.tolist() == [*range(4, 70), *range(74, 160)]
    np.testing.assert_array_equal(table.instrument[rows - 4], table.instrument[rows])


def test_where_no_window_fits_no_row_is_decidable(table: Table) -> None:
    panel = build_panel(table, feature_set="none", features=["x"], context={})
    assert panel.decidable_rows(90).tolist() == [159]
    assert panel.decidable_rows(91).tolist() == []


def test_a_column_with_the_name_of_a_core_feature_is_refused(table: Table) -> None:
    named = replace(table, numbers={"range": table.numbers["x"]})
    with pytest.raises(TableError) as caught:
        build_panel(named, feature_set="core", features=["range"], context={})
    assert str(caught.value) == "t.csv: column 'range' has the name of a computed feature; rename it"
    assert build_panel(named, feature_set="none", features=["range"], context={}).feature_names == ("range",)


def test_a_number_that_is_too_large_for_a_feature_is_told(table: Table) -> None:
    numbers = {"x": table.numbers["x"].copy()}
    numbers["x"][5] = 1e39
    with pytest.raises(TableError, match="x"):
        build_panel(replace(table, numbers=numbers), feature_set="none", features=["x"], context={})


def test_single_features_and_expressions_stand_between_the_set_and_the_tables_own(table: Table) -> None:
    panel = build_panel(
        table,
        feature_set="none",
        features=["y"],
        context={},
        extra_features=["rsi_14"],
        expressions={"step": "col('x').diff()", "gain": "col('close').pct_change()"},
    )
    assert panel.feature_names == ("rsi_14", "step", "gain", "y")
    np.testing.assert_array_equal(panel.features[1:70, 1], np.diff(table.numbers["x"][:70]).astype(np.float32))
    close = table.prices["close"]
    np.testing.assert_array_equal(panel.features[71:, 2], (close[71:] / close[70:-1] - 1).astype(np.float32))
    assert np.isnan(panel.features[[0, 70], 1]).all()  # B's first row doesn't follow A's last
    assert segments(panel) == []  # RSI's lookback is longer than either instrument


def test_an_expression_that_is_too_large_for_a_feature_is_told_with_its_line(table: Table) -> None:
    with pytest.raises(TableError) as caught:
        build_panel(table, feature_set="none", features=[], context={}, expressions={"huge": "(col('x') * 1000).exp()"})
    assert str(caught.value).startswith("t.csv:")
    assert "column 'huge': " in str(caught.value)


def test_a_column_that_a_feature_reads_must_be_there(table: Table) -> None:
    with pytest.raises(TableError) as caught:
        build_panel(table, feature_set="none", features=[], context={}, expressions={"z": "col('w').abs()"})
    assert str(caught.value) == "t.csv: there is no column 'w', which the feature 'z' reads"


def test_a_feature_of_the_users_own_that_looks_ahead_is_refused(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FEATURES, "_entries", dict(FEATURES._entries))
    feature("ahead", 1)(lambda bars: np.append(bars.close[1:], bars.close[-1:]))
    with pytest.raises(ConfigError, match=r"^data\.extra_features: 'ahead' reads rows after its own"):
        build_panel(table, feature_set="core", features=[], context={}, extra_features=["ahead"])


@pytest.mark.parametrize(("in_memory", "mapped"), [(4 * 160 * 2, False), (4 * 160 * 2 - 1, True)])
def test_features_of_the_users_own_are_in_memory_where_they_fit_as_any_others(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: int, mapped: bool
) -> None:
    monkeypatch.setattr(FEATURES, "_entries", dict(FEATURES._entries))
    monkeypatch.setattr(room, "_SMALL", 0)
    feature("own", 1)(lambda bars: bars.close / bars.open)
    made = build_panel(
        replace(table, key="k"),
        feature_set="none",
        features=["x"],
        context={},
        extra_features=["own"],
        room=Room(tmp_path, in_memory),
    )
    assert on_disk(made.features) == mapped
    assert list(tmp_path.rglob("*.bin")) == []  # the code may change: nothing is kept


def test_a_feature_that_is_no_number_somewhere_is_told_once(table: Table, caplog: pytest.LogCaptureFixture) -> None:
    volume = np.full(160, 10.0)
    volume[[20, 21, 90]] = 0
    still = replace(table, prices=table.prices | {"volume": volume})
    expressions = {"logs": "col('volume').log()", "fine": "col('volume').log1p().diff(3)"}
    panel = build_panel(still, feature_set="none", features=[], context={}, expressions=expressions)
    assert segments(panel) == [[3, 20], [22, 70], [73, 90], [91, 160]]
    assert [record.getMessage() for record in caplog.records] == [
        "t.csv:22: the feature 'logs' is no finite number here (in 3 row(s) altogether); no window crosses such a row"
    ]
