"""Ten bad tables: every fault of each is told with its place in one run, and nothing is marked complete."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hybrid_trainer.__main__ import run
from tests.data.bad_tables import BAD_TABLES, OPTIONS

RIGHT = "write ISO dates (2013-03-01, 2013-03-01T16:00:00Z) or integers"
MISSING = "a value is missing; fill it, or train with data.missing=gap so that no window crosses the row"
ONE_ROW = "keep one row per instrument and time"
PART = "table/instrument=MSFT/part-1.parquet"
ONE_ZONE = "write all times with an offset from UTC, or all without"

SAID = {
    "ragged_and_texts": [
        "t.csv:5: 4 field(s) where the header has 7",
        "t.csv:8: 9 field(s) where the header has 7",
        "t.csv:10: column 'close': 'n/a' is not a number",
        "t.csv:11: column 'volume': '1 000' is not a number",
        "t.csv:13: column 'high': inf is not a finite number",
    ],
    "encoding_and_header": [
        "t.csv:1: the column name 'close' stands in the header twice; names must differ",
        "t.csv:6: not UTF-8 (byte 0xc4); save the file as UTF-8",
        "t.csv:7: column 'open': -3 is not positive; a price is above 0",
    ],
    "keys": [
        f"t.csv.gz:9: column 'timestamp': the time is missing; {RIGHT}",
        f"t.csv.gz:10: column 'timestamp': 'yesterday' is not a time; {RIGHT}",
        "t.csv.gz:7: column 'instrument': the instrument is missing",
        f"t.csv.gz:4: column 'timestamp': instrument 'NA' has this time already in row 2; {ONE_ROW}",
        f"t.csv.gz:122: column 'timestamp': instrument 'TRUE' has this time already in row 51; {ONE_ROW}",
    ],
    "zones": [
        f"t.csv:8: column 'timestamp': '06.01.2020' is not a time; {RIGHT}",
        f"t.csv:6: column 'timestamp': '2020-01-05T12:00:00' has no offset where other rows have one; {ONE_ZONE}",
        f"t.csv:7: column 'timestamp': '2020-01-06' has no offset where other rows have one; {ONE_ZONE}",
        "t.csv:9: column 'high': the high 11 is below the low",
    ],
    "prices": [
        f"t.csv:5: column 'open': {MISSING}",
        f"t.csv:31: column 'open': {MISSING}",
        f"t.csv:32: column 'open': {MISSING} (and 4 more such rows)",
        "t.csv:3: column 'close': 0 is not positive; a price is above 0",
        "t.csv:4: column 'volume': -1 is negative; a volume is 0 or more",
        "t.csv:7: column 'high': the high 8 is below the low",
    ],
    "quotes_and_blanks": [
        't.csv:4: a quotation mark without its partner; quote a whole cell, and write "" in it',
        "t.csv:10: 1 field(s) where the header has 7",
        "t.csv:8: column 'close': '#REF!' is not a number",
    ],
    "short_and_empty": [
        "t.csv: column 'open' holds no value in any row; leave it out, or fill it",
        "t.csv: the longest instrument has 5 row(s), too few: "
        "32 are needed for one window (model.time_window=8), the 19 rows before it that warm the features up, "
        "and its label",
        "t.csv:5: column 'high': -inf is not a finite number",
    ],
    "parquet": [
        "t.parquet: column 'high' holds String, not numbers",
        f"t.parquet:4: column 'close': {MISSING}",
        "t.parquet:6: column 'volume': inf is not a finite number",
        f"t.parquet:81: column 'timestamp': instrument 'A' has this time already in row 8; {ONE_ROW}",
    ],
    "folder_of_parts": [
        f"{PART}: there is no column 'low'",
        f"{PART}: column 'timestamp': it holds texts, where times stood before; write one kind of time",
        f"{PART}:3: column 'open': -1 is not positive; a price is above 0",
        f"{PART}:21: column 'timestamp': instrument 'MSFT' has this time already in row 1; {ONE_ROW}",
    ],
    "far_times": [
        f"t.csv:5: column 'timestamp': '2020-02-30' is not a time; {RIGHT}",
        f"t.csv:6: column 'timestamp': '2020-01-05 12:00' is not a time; {RIGHT}",
        f"t.csv:7: column 'timestamp': '2020-01-06T00:00:00Z' has an offset where other rows have none; {ONE_ZONE}",
        "t.csv:4: column 'timestamp': '9999-12-31' is too far away; times lie between the years 1678 and 2261",
        "t.csv:8: column 'instrument': the instrument is missing",
        "t.csv:9: column 'volume': 'ten' is not a number",
    ],
}


@pytest.mark.parametrize("name", list(BAD_TABLES))
def test_every_fault_is_told_in_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = BAD_TABLES[name](tmp_path)
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    assert run([*OPTIONS, f"data.path={path}"]) == 2
    assert capsys.readouterr().err.splitlines() == [f"error: {line}" for line in SAID[name]]
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("run.json")]
    assert [record["status"] for record in records] == ["failed"] * len(records)


def test_there_are_ten_tables_with_several_faults_each() -> None:
    assert list(SAID) == list(BAD_TABLES)
    assert len(SAID) == 10
    assert all(len(lines) > 2 for lines in SAID.values())
