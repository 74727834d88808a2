"""Blocks of rows become a checked, sorted table: the same one however they are cut."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.data import chunks, csv_diagnosis, ingest
from hybrid_trainer.data.layout import Layout
from hybrid_trainer.data.sources import read_table
from hybrid_trainer.data.table import Table
from hybrid_trainer.errors import ConfigError, TableError
from hybrid_trainer.train import train
from tests.conftest import make_config, price_frame
from tests.data.bad_tables import BAD_TABLES
from tests.data.tables import FEW_EXAMPLES

PRICES = {name: name for name in ("open", "high", "low", "close", "volume")}
LAYOUT = Layout(timestamp="timestamp", instrument="instrument", prices=PRICES)
NUMBERS = Layout(timestamp="time", instrument=None, numbers=("x",))


def same(first: Table, second: Table) -> None:
    for name in ("timestamp", "instrument"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert (first.instruments, list(first.prices)) == (second.instruments, list(second.prices))
    for name, values in first.prices.items():
        np.testing.assert_array_equal(values, second.prices[name])
    for name, values in first.numbers.items():
        np.testing.assert_array_equal(values, second.numbers[name])


@FEW_EXAMPLES
@given(order=st.permutations(range(24)), block=st.integers(1, 30))
def test_a_table_is_the_same_however_it_is_cut_and_mixed(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], block: int
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    frame = price_frame(8, ("TRUE", "NA", "007"))
    frame[order].write_csv(folder / "t.csv")
    frame[order].write_parquet(folder / "t.parquet")
    for index in range(0, 24, 5):
        frame[order][index : index + 5].write_parquet(folder / f"{index:02}.pq")
    (folder / "parts").mkdir()
    for path in folder.glob("*.pq"):
        path.rename(folder / "parts" / path.name)
    whole = read_table(folder / "t.parquet", LAYOUT)
    assert whole.instruments == ("007", "NA", "TRUE")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "_ROWS", block)
        patch.setattr(csv_diagnosis, "_BLOCK", 10 * block)
        same(read_table(folder / "t.csv", LAYOUT), whole)
        same(read_table(folder / "parts", LAYOUT), whole)
        (folder / "gap.csv").write_text((folder / "t.csv").read_text().replace("\n", "\n\n"))  # read with care
        same(read_table(folder / "gap.csv", LAYOUT), whole)


def test_a_row_of_a_folder_is_told_by_its_file_and_its_row_there(tmp_path: Path) -> None:
    for name, times in (("a", [1, 2]), ("b", [4, 3])):
        pl.DataFrame({"time": times, "x": [float(time) for time in times]}).write_parquet(tmp_path / f"{name}.parquet")
    table = read_table(tmp_path, NUMBERS)
    assert table.numbers["x"].tolist() == [1, 2, 3, 4]
    places = [("a", 1), ("a", 2), ("b", 2), ("b", 1)]
    assert [table.place(row) for row in range(4)] == [f"{tmp_path / name}.parquet:{row}" for name, row in places]


def test_the_folders_of_a_partitioned_table_name_the_instrument_a_class_and_a_number(tmp_path: Path) -> None:
    for ticker, grade, x in (("007", "1.0", "2.5"), ("NA", "2", "7")):
        folder = tmp_path / f"id={ticker}" / f"grade={grade}" / f"x={x}"
        folder.mkdir(parents=True)
        pl.DataFrame({"time": [2, 1]}).write_parquet(folder / "p.parquet")
    table = read_table(tmp_path, Layout(timestamp="time", instrument="id", numbers=("x",), labels=("grade",)))
    assert table.instruments == ("007", "NA")
    assert table.timestamp.tolist() == [1, 2, 1, 2]
    assert table.numbers["x"].tolist() == [2.5, 2.5, 7, 7]
    assert table.labels["grade"].texts() == ["1", "1", "2", "2"]


def test_what_integers_mean_is_told_by_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_ROWS", 1)

    def times(values: list[int]) -> list[int]:
        pl.DataFrame({"time": values, "x": values}).write_parquet(tmp_path / "t.parquet", row_group_size=1)
        return read_table(tmp_path / "t.parquet", NUMBERS).timestamp.tolist()

    assert times([20130301, 20130302]) == [1362096000 * 10**9, 1362182400 * 10**9]
    assert times([20130301, 20130399]) == [20130301, 20130399]
    assert times([20130301, 201303020]) == [20130301, 201303020]
    assert times([1362096000, 1362182400]) == [1362096000 * 10**9, 1362182400 * 10**9]


def test_every_broken_file_of_a_folder_is_told(tmp_path: Path) -> None:
    layout = Layout(timestamp="time", instrument="id", numbers=("x",))
    sound = pl.DataFrame({"time": [1, 2], "id": ["A", "A"], "x": [1.0, 2.0]})
    sound.write_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-9])
    sound.drop("id").write_parquet(tmp_path / "c.parquet")
    sound.drop("time").with_columns(x=pl.Series([np.inf, 1.0])).write_parquet(tmp_path / "d.parquet")
    with pytest.raises(TableError) as caught:
        read_table(tmp_path, layout)
    said = str(caught.value).replace(f"{tmp_path}/", "").splitlines()
    assert said[0].startswith("b.parquet: not a Parquet file that can be read (")
    assert said[1:] == [
        "c.parquet: there is no column 'id'",
        "d.parquet: there is no column 'time'",
        "d.parquet:1: column 'x': inf is not a finite number",
    ]


# Rows that are dropped.


def test_bad_rows_are_dropped_on_request_and_the_report_says_which(tmp_path: Path) -> None:
    lines = [
        "timestamp,instrument,open,high,low,close,volume",
        "2020-01-01,A,1,2,0.5,1,1",
        "2020-01-02,A,1,2,0.5,inf,2",  # 3: infinite
        "2020-01-02,A,1,2,0.5,1.2,3",  # no duplicate, since line 3 is gone
        "2020-01-01,A,1,2,0.5,9,4",  # 5: a duplicate
        "2020-01-03,A,1,2,0.5",  # 6: ragged
        "2020-01-04,A,x,2,0.5,-1,5",  # 7: two faults, one row
        "soon,A,1,2,0.5,1,6",  # 8
        "2020-01-05,B,1,2,0.5,1.5,7",
    ]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    table = read_table(tmp_path / "t.csv", LAYOUT, on_error="drop")
    assert table.line.tolist() == [2, 4, 9]
    assert table.prices["close"].tolist() == [1, 1.2, 1.5]
    assert [table.place(row) for row in (0, 2)] == [f"{tmp_path}/t.csv:2", f"{tmp_path}/t.csv:9"]
    assert (table.report["rows_read"], table.report["rows_kept"]) == (8, 3)
    dropped = [
        (entry["column"], entry["rows"], entry["first"][0].partition("t.csv:")[2].partition(":")[0])
        for entry in table.report["dropped"]
    ]
    assert dropped == [
        (None, 1, "6"),
        ("timestamp", 1, "8"),
        ("open", 1, "7"),
        ("close", 1, "3"),
        ("close", 1, "7"),
        ("timestamp", 1, "5"),
    ]
    assert sum("row(s) dropped: " in note for note in table.notes) == 6


def test_of_a_key_that_stands_twice_the_first_row_of_the_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("time,x\n2,1\n1,2\n2,3\n1,4\n2,5\n")
    table = read_table(tmp_path / "t.csv", NUMBERS, on_error="drop")
    assert (table.timestamp.tolist(), table.numbers["x"].tolist()) == ([1, 2], [2, 1])
    (dropped,) = table.report["dropped"]
    assert dropped["rows"] == 3
    assert [text.rpartition(": ")[0].partition("t.csv:")[2] for text in dropped["first"]] == [
        "4: column 'time'",
        "5: column 'time'",
        "6: column 'time'",
    ]


def test_a_class_that_only_dropped_rows_have_is_none(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("time,x,y,z\n1,1,b,q\n2,1,a,p\n2,2,c,r\n3,3,b,q\n")
    layout = Layout(timestamp="time", instrument=None, numbers=("x",), labels=("y",), categories=("z",))
    table = read_table(tmp_path / "t.csv", layout, on_error="drop")
    assert (table.labels["y"].names, table.labels["y"].texts()) == (("a", "b"), ["b", "a", "b"])
    assert (table.categories["z"].names, table.categories["z"].texts()) == (("p", "q"), ["q", "p", "q"])


@pytest.mark.parametrize("name", ["encoding_and_header", "short_and_empty", "parquet", "folder_of_parts"])
def test_faults_of_a_whole_file_are_told_though_rows_may_be_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(BAD_TABLES[name](tmp_path))
    with pytest.raises(TableError) as dropping:
        read_table(path, LAYOUT, on_error="drop")
    with pytest.raises(TableError) as raising:
        read_table(path, LAYOUT)
    assert str(dropping.value).splitlines()[0] == str(raising.value).splitlines()[0]


@pytest.mark.parametrize("name", ["ragged_and_texts", "keys", "zones", "prices", "quotes_and_blanks", "far_times"])
def test_a_table_without_its_bad_rows_is_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(BAD_TABLES[name](tmp_path))
    with pytest.raises(TableError) as caught:
        read_table(path, LAYOUT)
    table = read_table(path, LAYOUT, on_error="drop")
    keys = list(zip(table.instrument.tolist(), table.timestamp.tolist(), strict=True))
    assert keys == sorted(set(keys))
    assert all(np.isfinite(values).all() for values in table.prices.values())
    assert table.report["rows_kept"] == len(table)
    told = {line.split(":")[1] for line in str(caught.value).splitlines()}
    assert told.isdisjoint({str(line) for line in table.line.tolist()})


def test_a_table_of_bad_rows_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("time,x\n1,a\n2,inf\n")
    with pytest.raises(TableError) as caught:
        read_table(tmp_path / "t.csv", NUMBERS, on_error="drop")
    assert [line.partition("t.csv")[2] for line in str(caught.value).splitlines()] == [
        ": no row is left without a fault",
        ":2: column 'x': 'a' is not a number",
        ":3: column 'x': inf is not a finite number",
    ]


def test_a_constant_feature_is_a_note_and_a_constant_price_or_label_is_none(tmp_path: Path) -> None:
    columns: dict[str, Any] = {"time": [1, 2], "x": [3.0, 3.0], "z": [1.0, 2.0], "y": [5.0, 5.0], "c": [1.0, 1.0]}
    pl.DataFrame(columns).write_parquet(tmp_path / "t.parquet")
    layout = Layout(timestamp="time", instrument=None, prices={"close": "c"}, numbers=("x", "z", "y"), optional=("y",))
    (note,) = read_table(tmp_path / "t.parquet", layout).notes
    assert note.endswith("t.parquet: column 'x' holds 3 in every row; a constant tells a model nothing")


def test_a_table_is_too_short_where_every_instrument_is() -> None:
    rules = ingest.Rules(rows_needed=5, why="for one window")
    assert rules.length_fault("t.csv", [(0, 4), (4, 9)]) is None
    said = "row(s), too few: 5 are needed for one window"
    assert rules.length_fault("t.csv", [(0, 4), (4, 7)]) == f"t.csv: the longest instrument has 4 {said}"
    assert rules.length_fault("t.csv", [(0, 4)]) == f"t.csv: there are 4 {said}"


def test_a_run_leaves_a_report_of_what_was_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = price_frame(120)
    frame.write_csv(tmp_path / "t.csv")
    with (tmp_path / "t.csv").open("a") as stream:
        stream.write("2020-09-01,A,1,2,0.5,inf,1\n")
    config = make_config(
        "data=csv",
        f"data.path={tmp_path}/t.csv",
        "data.instrument=instrument",
        "data.on_error=drop",
        f"paths.root={tmp_path}",
    )
    monkeypatch.setattr("hybrid_trainer.train._run", lambda *given: None)
    train(config, tmp_path / "run", [])
    report = json.loads((tmp_path / "run" / "data_report.json").read_text())
    assert (report["rows_read"], report["rows_kept"]) == (241, 240)
    (dropped,) = report["dropped"]
    assert (dropped["column"], dropped["rows"]) == ("close", 1)
    said = f"{tmp_path}/t.csv:242: column 'close': inf is not a finite number"
    assert dropped["first"] == [said]
    assert f"1 row(s) dropped: column 'close'; the first: {said}" in (tmp_path / "run" / "train.log").read_text()


@pytest.mark.parametrize("key", ["on_error", "cache"])
def test_the_ways_of_reading_are_checked(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^data\.{key}: 'maybe' is not one of "):
        make_config(f"data.{key}=maybe")
