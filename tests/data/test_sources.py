"""From a file to a table: what is read, how it is sorted and scaled, and what is said of a file that is wrong."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from hybrid_trainer.config.data import TableData, UsStocksData
from hybrid_trainer.config.targets import ColumnTarget, SignalTarget, TargetConfig
from hybrid_trainer.data.layout import Layout, layout_for
from hybrid_trainer.data.parts import columns_of, find_parts
from hybrid_trainer.data.sources import load_table, read_table
from hybrid_trainer.data.table import Table
from hybrid_trainer.errors import ConfigError, TableError
from tests.conftest import make_config, price_frame

PRICES = {name: name for name in ("open", "high", "low", "close", "volume")}
LAYOUT = Layout(timestamp="timestamp", instrument="instrument", prices=PRICES)
HEADER = "timestamp,instrument,open,high,low,close,volume\n"
NUMBERS = Layout(timestamp="time", instrument=None, numbers=("x",))

Read = Callable[..., Table]


def bar(day: int, instrument: str = "A", bars: str = "1,2,0.5,1.5,100") -> str:
    return f"2020-01-{day:02},{instrument},{bars}\n"


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Write t.csv (or another name) in an empty current folder and read it."""
    monkeypatch.chdir(tmp_path)

    def reader(content: str | bytes, layout: Layout = LAYOUT, name: str = "t.csv", missing: str = "error") -> Table:
        data = content.encode() if isinstance(content, str) else content
        Path(name).write_bytes(gzip.compress(data) if name.lower().endswith(".gz") else data)
        return read_table(Path(name), layout, missing=missing)

    return reader


@pytest.fixture
def faults(read: Read) -> Callable[..., list[str]]:
    """The lines of the error that reading such a file raises."""

    def reader(content: str | bytes, layout: Layout = LAYOUT, **options: Any) -> list[str]:
        with pytest.raises(TableError) as caught:
            read(content, layout, **options)
        return str(caught.value).splitlines()

    return reader


Faults = Callable[..., list[str]]


# What is read.


def same(first: Table, second: Table) -> None:
    for name in ("timestamp", "instrument"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert first.instruments == second.instruments
    for part in ("prices", "numbers", "labels"):
        ours, theirs = getattr(first, part), getattr(second, part)
        assert ours.keys() == theirs.keys()
        for name in ours:
            one, other = ((x.texts() if part == "labels" else x) for x in (ours[name], theirs[name]))
            np.testing.assert_array_equal(one, other)


def test_csv_gzipped_csv_and_parquet_make_the_same_table(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    frame = price_frame(60).with_columns(
        adj=pl.col("close") * 0.5,
        extra=pl.Series(generator.normal(size=120)),
        grade=pl.Series(generator.choice(["low", "high"], 120)),
        step=pl.Series(generator.integers(0, 3, 120)),
        skipped=pl.lit("x"),
    )
    layout = replace(LAYOUT, adjusted_close="adj", numbers=("extra",), labels=("grade", "step"))
    frame.write_csv(tmp_path / "t.csv")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes()))
    frame.write_parquet(tmp_path / "t.parquet")
    typed = frame.with_columns(pl.col("timestamp").str.to_date(), pl.col("instrument").cast(pl.Categorical))
    typed.write_parquet(tmp_path / "typed.pq")
    first, *others = (read_table(tmp_path / name, layout) for name in ("t.csv", "t.csv.gz", "t.parquet", "typed.pq"))
    assert len(first) == 120
    for other in others:
        same(other, first)
    assert first.line.tolist() == list(range(2, 122))  # lines of the file
    assert others[1].line.tolist() == list(range(1, 121))  # rows


def test_whole_numbers_are_the_same_classes_in_csv_and_parquet(tmp_path: Path) -> None:
    frame = pl.DataFrame({"time": [1, 2, 3], "y": [1.0, 2.0, None]})
    frame.write_csv(tmp_path / "t.csv")
    frame.write_parquet(tmp_path / "t.parquet")
    layout = Layout(timestamp="time", instrument=None, labels=("y",))
    assert read_table(tmp_path / "t.parquet", layout).labels["y"].texts() == ["1", "2", None]
    assert read_table(tmp_path / "t.csv", layout).labels["y"].texts() == ["1", "2", None]


def test_labels_are_texts_and_an_empty_cell_is_none(read: Read, tmp_path: Path) -> None:
    layout = Layout(timestamp="time", instrument=None, labels=("y",))
    assert read("time,y\n1,up\n2,\n3,007\n4,NA\n", layout).labels["y"].texts() == ["up", None, "007", "NA"]
    for values, texts in (([1.0, 2.5, None], ["1.0", "2.5", None]), ([3, None, 4], ["3", None, "4"])):
        pl.DataFrame({"time": [1, 2, 3], "y": values}).write_parquet(tmp_path / "t.parquet")
        assert read_table(tmp_path / "t.parquet", layout).labels["y"].texts() == texts


def test_tickers_stay_text_whatever_they_look_like(read: Read) -> None:
    tickers = ["007", "1e5", "NA", "NULL", "TRUE", "nan", "null"]
    table = read(HEADER + "".join(bar(1, ticker) for ticker in tickers))
    assert table.instruments == tuple(tickers)
    assert table.instrument.tolist() == list(range(7))


def test_integer_instruments_of_a_parquet_file_become_text(tmp_path: Path) -> None:
    pl.DataFrame({"time": [1, 1, 2], "id": [10, 9, 10], "x": [1.0, 2.0, 3.0]}).write_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet", replace(NUMBERS, instrument="id"))
    assert (table.instruments, table.numbers["x"].tolist()) == (("10", "9"), [1, 3, 2])


def test_without_an_instrument_column_the_table_is_one_instrument(read: Read) -> None:
    table = read("time,x\n1,5\n2,6\n", NUMBERS)
    assert (table.instruments, table.instrument.tolist(), table.blocks) == (("all",), [0, 0], [(0, 2)])


def test_only_the_columns_that_are_named_are_read(read: Read) -> None:
    table = read("other,time,x,another\nabc,1,5,\n,2,6,inf\n", NUMBERS)
    assert table.numbers["x"].tolist() == [5, 6]


@pytest.mark.parametrize(
    "text",
    ["time,x\r\n1,5\r\n2,6\r\n", "\ufefftime,x\n1,5\n2,6", 'time,"x"\n"1","5"\n2," 6"\n', "x,time\n5,1\n6,2\n"],
    ids=["crlf", "bom", "quotes", "order"],
)
def test_the_ways_of_writing_a_csv_file_make_no_difference(read: Read, text: str) -> None:
    table = read(text, NUMBERS)
    assert (table.timestamp.tolist(), table.numbers["x"].tolist()) == ([1, 2], [5, 6])


def test_the_table_remembers_its_file_and_its_digest(read: Read) -> None:
    text = "time,x\n1,5\n"
    table = read(text, NUMBERS)
    assert (table.file, table.sha256) == ("t.csv", hashlib.sha256(text.encode()).hexdigest())


def test_rows_are_sorted_by_instrument_then_time_and_keep_their_lines(read: Read) -> None:
    table = read(HEADER + bar(2, "B") + bar(3, "A", "3,3,3,3,3") + bar(1, "B") + bar(1, "A", "1,1,1,1,1"))
    assert table.instruments == ("A", "B")
    assert table.instrument.tolist() == [0, 0, 1, 1]
    assert table.line.tolist() == [5, 3, 4, 2]
    assert table.prices["close"].tolist() == [1, 3, 1.5, 1.5]
    assert table.blocks == [(0, 2), (2, 4)]
    assert table.notes == ("t.csv: the rows were not in the order of time; they were sorted",)


@pytest.mark.parametrize("rows", [[(1, "A"), (2, "A"), (1, "B"), (2, "B")], [(1, "B"), (1, "A"), (2, "A"), (2, "B")]])
def test_instruments_one_after_the_other_or_mixed_are_in_order(read: Read, rows: list[tuple[int, str]]) -> None:
    table = read(HEADER + "".join(bar(*row) for row in rows))
    assert table.notes == ()
    assert table.instrument.tolist() == [0, 0, 1, 1]
    assert (np.diff(table.timestamp) > 0).tolist() == [True, False, True]


def test_prices_are_scaled_by_the_adjusted_close_and_volumes_by_the_inverse(read: Read) -> None:
    text = "time,open,high,low,close,volume,adj\n1,8,12,6,10,100,5\n2,8,12,6,10,100,10\n3,1,4,1,4,7,12\n"
    table = read(text, Layout(timestamp="time", instrument=None, prices=PRICES, adjusted_close="adj"))
    assert {name: values.tolist() for name, values in table.prices.items()} == {
        "open": [4, 8, 3],
        "high": [6, 12, 12],
        "low": [3, 6, 3],
        "close": [5, 10, 12],
        "volume": [200, 100, 7 / 3],
    }
    assert table.numbers == {}


def test_a_missing_value_is_an_error_or_a_gap(read: Read, faults: Faults) -> None:
    text = HEADER + bar(1) + bar(2, bars="1,,0.5,1.5,100") + bar(3, bars="1,2,0.5,nan,100")
    missing = "a value is missing; fill it, or train with data.missing=gap so that no window crosses the row"
    assert faults(text) == [f"t.csv:3: column 'high': {missing}", f"t.csv:4: column 'close': {missing}"]
    table = read(text, missing="gap")
    np.testing.assert_array_equal(table.prices["high"], [2, np.nan, 2])
    np.testing.assert_array_equal(table.prices["close"], [1.5, 1.5, np.nan])


def test_an_empty_cell_of_a_label_is_no_error(read: Read) -> None:
    table = read("time,x,y\n1,5,\n2,6,7\n", replace(NUMBERS, numbers=("x", "y"), optional=("y",)))
    np.testing.assert_array_equal(table.numbers["y"], [np.nan, 7])


# What is said of a wrong file.


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (bar(1) + bar(2, bars="1,abc,0.5,1.5,100"), ["t.csv:3: column 'high': 'abc' is not a number"]),
        (bar(1) + bar(2, bars='1,"2,5",0.5,1.5,100'), ["t.csv:3: column 'high': '2,5' is not a number"]),
        (bar(1) + bar(2, bars="1,inf,0.5,1.5,100"), ["t.csv:3: column 'high': inf is not a finite number"]),
        (bar(1) + bar(2, bars="1,2,0.5,0,100"), ["t.csv:3: column 'close': 0 is not positive; a price is above 0"]),
        (bar(1) + bar(2, bars="1,2,-5,1,100"), ["t.csv:3: column 'low': -5 is not positive; a price is above 0"]),
        (bar(1) + bar(2, bars="1,2,1,1,-9"), ["t.csv:3: column 'volume': -9 is negative; a volume is 0 or more"]),
        (bar(1) + bar(2, bars="1,2,3,2,9"), ["t.csv:3: column 'high': the high 2 is below the low"]),
        (bar(1) + "2020-01-02,A,1,2\n" + bar(3), ["t.csv:3: 4 field(s) where the header has 7"]),
        (bar(1) + bar(2).strip() + ",9,9\n", ["t.csv:3: 9 field(s) where the header has 7"]),
        (bar(1) + bar(2, instrument=""), ["t.csv:3: column 'instrument': the instrument is missing"]),
        (
            bar(1) + "hello,A,1,2,0.5,1.5,100\n",
            [
                "t.csv:3: column 'timestamp': 'hello' is not a time; "
                "write ISO dates (2013-03-01, 2013-03-01T16:00:00Z) or integers"
            ],
        ),
        (
            bar(1) + bar(1, "B") + bar(2) + bar(1),
            [
                "t.csv:5: column 'timestamp': instrument 'A' has this time already in row 2; "
                "keep one row per instrument and time"
            ],
        ),
    ],
)
def test_a_wrong_row_is_told_with_file_row_and_column(faults: Faults, rows: str, said: list[str]) -> None:
    assert faults(HEADER + rows) == said
    assert faults(HEADER + rows, name="t.csv.gz") == [line.replace("t.csv:", "t.csv.gz:") for line in said]


def test_several_faults_are_all_told_at_once(faults: Faults) -> None:
    text = HEADER + bar(1) + bar(2, bars="0,2,0.5,1.5,-1") + bar(3, bars="1,2,3,,100") + bar(3, bars="1,2,0.5,inf,1")
    expected = [
        ("t.csv:6: column 'timestamp': ", "'today' is not a time"),
        ("t.csv:5: column 'close': ", "inf is not a finite number"),
        ("t.csv:4: column 'close': ", "a value is missing"),
        ("t.csv:3: column 'open': ", "0 is not positive"),
        ("t.csv:3: column 'volume': ", "-1 is negative"),
        ("t.csv:4: column 'high': ", "the high 2 is below the low"),
        ("t.csv:5: column 'timestamp': ", "instrument 'A' has this time already in row 4"),
    ]
    said = faults(text + "today,A,1,2,0.5,1.5,100\n")
    assert len(said) == len(expected)
    for line, (place, fault) in zip(said, expected, strict=True):
        assert line.startswith(f"{place}{fault}")


def test_several_broken_lines_are_all_told_at_once(faults: Faults) -> None:
    text = HEADER + bar(1) + bar(2, bars="a,2,0.5,b,1") + "2020-01-03,A,1\n" + bar(4).strip() + ",8\n"
    assert faults(text) == [
        "t.csv:4: 3 field(s) where the header has 7",
        "t.csv:5: 8 field(s) where the header has 7",
        "t.csv:3: column 'open': 'a' is not a number",
        "t.csv:3: column 'close': 'b' is not a number",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "t.csv: the file is empty; it needs a header line and rows"),
        ("\n", "t.csv:1: the header line is empty; it must name the columns"),
        (HEADER, "t.csv: there is a header, but no row"),
        (HEADER.strip(), "t.csv: there is a header, but no row"),
        (
            HEADER.replace("low", "low,open") + bar(1, bars="1,2,0.5,1,1.5,100"),
            "t.csv:1: the column name 'open' stands in the header twice; names must differ",
        ),
        ((HEADER + bar(1, "Ä")).encode("latin-1"), "t.csv:2: not UTF-8 (byte 0xc4); save the file as UTF-8"),
        ((HEADER + bar(1)).encode("utf-16"), "t.csv:1: not UTF-8 (byte 0xff); save the file as UTF-8"),
    ],
    ids=["empty", "newline", "header", "header-without-newline", "duplicate", "latin-1", "utf-16"],
)
def test_a_file_that_is_no_table_is_told(faults: Faults, content: str | bytes, said: str) -> None:
    assert faults(content) == [said]


def test_a_file_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.csv").mkdir()
    Path("t.txt").write_text(HEADER)
    Path("t.parquet").write_text("this is no Parquet file at all")

    def said(name: str) -> str:
        with pytest.raises(TableError) as caught:
            columns_of(find_parts(Path(name)))
        return str(caught.value)

    where = f"(looked for from the current folder {tmp_path})"
    assert said("nope.csv") == f"nope.csv: does not exist {where}"
    assert said("folder.csv") == "folder.csv: a folder without any .parquet file"
    assert said("t.txt") == "t.txt: the suffix '.txt' is not known; use .csv, .csv.gz or .parquet"
    assert said("t.parquet").startswith("t.parquet: not a Parquet file that can be read (")


@pytest.mark.parametrize(
    ("row", "fields"), [("2,1,234,5,6", 5), ('2,"1,2",3,4,5', 5), ("2,1,2,3,", 5), ("2,1,2,3,4,5,6", 7)]
)
def test_a_row_with_too_many_fields_is_told_where_not_all_columns_are_read(
    tmp_path: Path, row: str, fields: int
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"time,other,x,more\n1,1,1,1\n{row}\n3,1,3,1\n")
    with pytest.raises(TableError) as caught:
        read_table(path, NUMBERS)
    assert str(caught.value) == f"{path}:3: {fields} field(s) where the header has 4"
    assert read_table(path, NUMBERS, on_error="drop").numbers["x"].tolist() == [1, 3]


def test_a_parquet_file_that_is_wrong_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def said(layout: Layout = NUMBERS, **columns: Any) -> str:
        pl.DataFrame(columns).write_parquet("t.parquet")
        with pytest.raises(TableError) as caught:
            read_table(Path("t.parquet"), layout)
        return str(caught.value)

    assert said(time=["2020-01-01"], x=["1"]) == "t.parquet: column 'x' holds String, not numbers"
    assert said(time=pl.Series([], dtype=pl.Date), x=pl.Series([], dtype=pl.Float64)) == (
        "t.parquet: there is a header, but no row"
    )
    assert said(time=[1, 2], x=[[1.0], [2.0]]) == "t.parquet: column 'x' holds List(Float64), not numbers"
    assert said(time=[1, 2], x=[1.0, None]).startswith("t.parquet:2: column 'x': a value is missing")
    assert said(time=[1, 2], xs=[1.0, 2.0]) == "t.parquet: there is no column 'x'; did you mean 'xs'?"
    right = "write ISO dates (2013-03-01, 2013-03-01T16:00:00Z) or integers"
    assert said(time=[1.5, 1.5], x=[1.0, 2.0]) == f"t.parquet: column 'time': a column of Float64; {right}"
    assert said(time=[[1], [1]], x=[1.0, None]).splitlines() == [
        f"t.parquet: column 'time': a column of List(Int64); {right}",
        "t.parquet:2: column 'x': a value is missing; fill it, or train with data.missing=gap so that no window "
        "crosses the row",
    ]
    twice = said(replace(NUMBERS, instrument="id"), time=[1, 1], id=["A", "A"], x=[1, 2])
    assert "t.parquet:2: " in twice
    assert "instrument 'A' has this time already in row 1" in twice


@pytest.mark.parametrize("values", [[[1], [2]], [b"a", b"b"], [timedelta(1), timedelta(2)], [{"a": 1}, {"a": 2}]])
@pytest.mark.parametrize("role", ["instrument", "labels", "categories", "split"])
def test_a_parquet_column_that_is_no_text_is_told_where_text_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str, values: list[Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    column = pl.Series("it", values)
    pl.DataFrame({"time": [1, 2], "x": [1.0, 2.0], "it": column}).write_parquet("t.parquet")
    layout = replace(NUMBERS, **{role: ("it",) if role in ("labels", "categories") else "it"})
    with pytest.raises(TableError) as caught:
        read_table(Path("t.parquet"), layout)
    assert str(caught.value) == f"t.parquet: column 'it' holds {column.dtype}, neither texts nor numbers"


def test_true_and_false_of_a_parquet_file_are_numbers(tmp_path: Path) -> None:
    pl.DataFrame({"time": [1, 2], "x": [True, False]}).write_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet", NUMBERS).numbers["x"].tolist() == [1, 0]


def test_missing_columns_are_all_told_with_the_closest(faults: Faults) -> None:
    said = faults("tme,x\n1,2\n", replace(NUMBERS, numbers=("x", "close")))
    assert said == [
        "t.csv: there is no column 'time'; did you mean 'tme'?",
        "t.csv: there is no column 'close'; known: tme, x",
    ]


# Which columns a run reads.

COLUMNS = ["Date", "Ticker", "Open", "High", "Low", "Close", "Volume", "Adj", "a", "b", "grade"]


def data(**keys: Any) -> TableData:
    return TableData(**{"path": "t.csv", "timestamp": "Date", "instrument": "Ticker"} | keys)


def lacking(config: TableData, targets: dict[str, TargetConfig], columns: list[str]) -> list[str]:
    with pytest.raises(TableError) as caught:
        layout_for(config, targets, columns, "t.csv")
    return str(caught.value).splitlines()


def test_prices_are_found_in_any_case_or_where_the_config_says() -> None:
    found = layout_for(data(columns={"close": "Adj"}), {"s": SignalTarget()}, COLUMNS, "t.csv")
    assert found == Layout(
        timestamp="Date",
        instrument="Ticker",
        prices={"open": "Open", "high": "High", "low": "Low", "close": "Adj", "volume": "Volume"},
    )
    without = [column for column in COLUMNS if column != "Volume"]
    assert "volume" not in layout_for(data(), {}, without, "t.csv").prices


def test_prices_are_read_only_where_something_is_made_of_them() -> None:
    own: dict[str, TargetConfig] = {"g": ColumnTarget(column="grade", kind="classification")}
    config = data(features=["a"], context=["b"], adjusted_close="Adj")
    assert layout_for(config, own, COLUMNS, "t.csv") == Layout(
        timestamp="Date",
        instrument="Ticker",
        numbers=("a", "b"),
        labels=("grade",),
        optional=("b",),
        context={"context": ("b",)},
    )
    both = layout_for(config, own | {"s": SignalTarget()}, COLUMNS, "t.csv")
    assert (both.adjusted_close, list(both.prices)) == ("Adj", ["open", "high", "low", "close", "volume"])


def test_an_empty_cell_is_allowed_in_a_label_that_is_no_input() -> None:
    targets: dict[str, TargetConfig] = {
        "one": ColumnTarget(column="a", kind="regression", allow_contemporaneous=True),
        "two": ColumnTarget(column="b", kind="regression"),
    }
    found = layout_for(data(features=["a"]), targets, COLUMNS, "t.csv")
    assert (found.numbers, found.optional) == (("a", "b"), ("b",))


WIDE = ["Date", "Ticker", "text_1", "a", "text_0", "text*", "text", "b", "sector", "grade"]


def test_a_pattern_stands_for_the_columns_that_fit_in_the_files_order() -> None:
    config = data(features=["a"], context={"text": ["text_0", "text_*"], "star": "text*", "rest": ["b"]})
    found = layout_for(config, {}, WIDE, "t.csv")
    assert found.context == {"text": ("text_0", "text_1"), "star": ("text*",), "rest": ("b",)}
    assert found.numbers == ("a", "text_0", "text_1", "text*", "b")
    assert found.context_columns == found.optional == ("text_0", "text_1", "text*", "b")
    assert found.whole == ()


def test_a_pattern_that_nothing_fits_is_told_under_its_blocks_key() -> None:
    assert lacking(data(features=["a"], context={"text": "test_*"}, categories=["sctor"]), {}, WIDE) == [
        "t.csv: there is no column 'sctor' (data.categories); did you mean 'sector'?",
        "t.csv: there is no column 'test_*' (data.context.text); did you mean 'text*'?",
    ]


def test_a_column_belongs_to_one_block() -> None:
    assert lacking(data(features=["a"], context={"text": "text_*", "one": ["text_1"]}), {}, WIDE) == [
        "t.csv: column 'text_1' is in two blocks, data.context.text and data.context.one; leave it in one"
    ]


def test_a_label_that_a_pattern_takes_in_is_refused() -> None:
    target = ColumnTarget(column="text_1", kind="regression")
    config = data(features=["a"], context={"text": "text_*"})
    with pytest.raises(ConfigError, match=r"^data\.targets\.g\.column: a pattern of data\.context takes in 'text_1'"):
        layout_for(config, {"g": target}, WIDE, "t.csv")
    known = replace(target, allow_contemporaneous=True)
    assert layout_for(config, {"g": known}, WIDE, "t.csv").context == {"text": ("text_1", "text_0")}


CONTEXT = "time,x,t0,t1,sector\n1,1,1,,tech\n2,2,,4,\n3,3,5,6,007\n"


def test_an_empty_context_cell_and_an_empty_category_are_missing_and_no_fault(read: Read) -> None:
    config = TableData(path="t.csv", timestamp="time", features=["x"], context=["t0", "t1"], categories=["sector"])
    table = read(CONTEXT, layout_for(config, {}, CONTEXT.split("\n")[0].split(","), "t.csv"))
    np.testing.assert_array_equal(table.numbers["t0"], [1, np.nan, 5])
    np.testing.assert_array_equal(table.numbers["t1"], [np.nan, 4, 6])
    assert table.categories["sector"].texts() == ["tech", None, "007"]


@pytest.mark.parametrize("missing", ["error", "gap"])
def test_an_empty_context_cell_is_a_fault_where_blocks_must_be_whole(
    faults: Callable[..., list[str]], missing: str
) -> None:
    config = TableData(path="t.csv", timestamp="time", features=["x"], context=["t0", "t1"], context_missing="error")
    layout = layout_for(config, {}, CONTEXT.split("\n")[0].split(","), "t.csv")
    text = "a value is missing; fill it, or train with data.context_missing=fallback: a learned vector stands in"
    assert faults(CONTEXT, layout, missing=missing) == [
        f"t.csv:3: column 't0': {text}",
        f"t.csv:2: column 't1': {text}",
    ]


def test_a_column_that_the_config_names_and_the_file_lacks_is_told_with_its_key() -> None:
    config = data(timestamp="Dat", features=["aa"], context=["c"], columns={"close": "Last"}, adjusted_close="Adjusted")
    targets: dict[str, TargetConfig] = {"g": ColumnTarget(column="grades", kind="classification")}
    said = lacking(config, targets, COLUMNS)
    assert said[0] == "t.csv: there is no column 'Dat' (data.timestamp); did you mean 'Date'?"
    assert [line.partition("; ")[0] for line in said] == [
        "t.csv: there is no column 'Dat' (data.timestamp)",
        "t.csv: there is no column 'Adjusted' (data.adjusted_close)",
        "t.csv: there is no column 'Last' (data.columns)",
        "t.csv: there is no column 'aa' (data.features)",
        "t.csv: there is no column 'c' (data.context)",
        "t.csv: there is no column 'grades' (data.targets)",
    ]
    assert said[-1].endswith("; did you mean 'grade'?")


def test_a_price_that_is_needed_and_not_there_is_told_with_the_reason() -> None:
    assert lacking(data(), {}, ["Date", "Ticker", "Open", "High", "Low", "Last"]) == [
        "t.csv: there is no column close, which data.feature_set=core needs; say where they stand "
        "(data.columns.close=COLUMN), or do without prices (data.features=[...] and label columns of your own); "
        "known: Date, Ticker, Open, High, Low, Last"
    ]
    said = lacking(data(features=["a"]), {"s": SignalTarget()}, ["Date", "Ticker", "a"])
    assert len(said) == 1
    assert said[0].startswith("t.csv: there is no column open or high or low or close, which the targets")


def test_own_labels_without_prices_are_shown_the_way_out() -> None:
    targets = {"s": SignalTarget(), "up": ColumnTarget(column="a", kind="regression")}
    said = lacking(data(features=["a"]), targets, ["Date", "Ticker", "a"])
    assert "model.heads=[up]" in said[0]


def test_a_label_that_is_a_price_of_its_own_row_is_refused() -> None:
    columns = ["Date", "Ticker", "open", "high", "low", "close"]
    target = ColumnTarget(column="close", kind="regression")
    with pytest.raises(
        ConfigError, match=r"^data\.targets\.y\.column: 'close' is a price column, known at the decision"
    ):
        layout_for(data(), {"y": target}, columns, "t.csv")
    target.allow_contemporaneous = True
    layout_for(data(), {"y": target}, columns, "t.csv")


def test_the_embedded_data_set_is_loaded_with_the_default_config() -> None:
    config = make_config()
    assert isinstance(config.data, UsStocksData)
    table = load_table(config.data, config.active_targets)
    assert table.instruments == ("AAPL", "FB", "GOOG", "IBM", "MSFT")
    assert len(table) == 12_154
    assert table.notes == ()
    assert list(table.prices) == ["open", "high", "low", "close", "volume"]
    raw = pl.read_csv(table.file, try_parse_dates=True).filter(pl.col("Ticker") == "AAPL").sort("Date")[0]
    assert table.prices["close"][0] == pytest.approx(raw["Adj Close"][0], rel=1e-12)
    assert table.prices["open"][0] == pytest.approx(raw["Open"][0] * raw["Adj Close"][0] / raw["Close"][0], rel=1e-12)
    # so that a split is no crash
    close = table.prices["close"][: table.blocks[0][1]]
    assert np.abs(np.diff(np.log(close))).max() < np.log(2.2)


def test_a_table_is_loaded_as_a_config_says(prices_csv: Path) -> None:
    config = make_config("data=csv", f"data.path={prices_csv}", "data.instrument=instrument")
    table = load_table(config.data, config.active_targets)
    assert (table.instruments, table.blocks) == (("A", "B"), [(0, 200), (200, 400)])
    np.testing.assert_allclose(table.prices["close"], price_frame()["close"].to_numpy(), rtol=1e-15)


# Faults that were found in this module once.


@pytest.mark.parametrize("text", ["time,x\n1,5\n2,6\n\n", "time,x\n1,5\n\n2,6\n"])
def test_a_blank_line_is_skipped(read: Read, text: str) -> None:
    assert read(text, NUMBERS).numbers["x"].tolist() == [5, 6]


def test_a_quoted_line_break_counts_as_a_line(faults: Faults) -> None:
    assert faults('time,note,x\n1,"two\nlines",5\n2,b,inf\n', NUMBERS)[0].startswith("t.csv:4: ")


@pytest.mark.parametrize(
    "rows",
    [
        "hello,A,1,2,0.5,1.5,100\nworld,A,1,2,0.5,1.5,100\n",
        ",A,1,2,0.5,1.5,100\n,A,1,2,0.5,1.5,100\n",
        bar(2, "") + bar(2, ""),
    ],
)
def test_rows_without_a_key_are_not_duplicates_of_each_other(faults: Faults, rows: str) -> None:
    assert not any("already" in line for line in faults(HEADER + bar(1) + rows))


def test_a_duplicate_is_told_with_the_names_of_the_file(faults: Faults) -> None:
    hint, said = faults("time,x\n1,5\n1,6\n", NUMBERS)
    assert "data.instrument=COLUMN" in hint
    assert "column 'time': " in said
    assert "'all'" not in said


@pytest.mark.parametrize("adjusted", ["0", "-1"])
def test_an_adjusted_close_is_positive(faults: Faults, adjusted: str) -> None:
    text = f"time,open,high,low,close,adj\n1,1,2,0.5,1.5,1\n2,1,2,0.5,1.5,{adjusted}\n"
    prices = {name: name for name in ("open", "high", "low", "close")}
    said = faults(text, Layout(timestamp="time", instrument=None, prices=prices, adjusted_close="adj"))
    assert said == [f"t.csv:3: column 'adj': {adjusted} is not positive; a price is above 0"]


def test_the_suffix_of_a_file_is_read_in_any_case(read: Read) -> None:
    assert len(read("time,x\n1,5\n", NUMBERS, name="T.CSV.GZ")) == 1


def test_targets_that_need_a_price_are_spoken_of_in_the_plural() -> None:
    (said, *_) = lacking(data(features=["a"]), {"s": SignalTarget()}, ["Date", "Ticker", "a"])
    assert "which the targets made from prices need;" in said


@pytest.mark.parametrize("texts", [["007", "7"], ["9007199254740993", "9007199254740992"], ["inf", "0"], ["1e30", "0"]])
def test_classes_that_differ_stay_different(read: Read, texts: list[str]) -> None:
    layout = Layout(timestamp="time", instrument=None, labels=("y",))
    assert read(f"time,y\n1,{texts[0]}\n2,{texts[1]}\n", layout).labels["y"].texts() == texts


def test_a_blank_line_before_the_header_is_skipped(faults: Faults) -> None:
    assert faults("\ntime,x\n1,5\n2,inf\n", NUMBERS) == ["t.csv:4: column 'x': inf is not a finite number"]


def test_a_row_that_is_empty_where_it_is_read_is_no_blank_line(faults: Faults) -> None:
    said = faults("note,time,x\na,1,5\nb,,\n\nc,2,6\n", NUMBERS)
    assert [line.partition(": ")[0] for line in said] == ["t.csv:3", "t.csv:3"]


def test_a_quote_inside_a_plain_cell_is_told_with_its_line(faults: Faults) -> None:
    assert faults('time,note,x\n1,a"b,5\n2,c,7\n', NUMBERS)[0].startswith("t.csv:2: ")
