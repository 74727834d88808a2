"""Ten bad tables, each with several faults of different kinds: what a user brings on a bad day."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

HEADER = "timestamp,instrument,open,high,low,close,volume"
OPTIONS = (
    "data=csv",
    "data.instrument=instrument",
    "data.extra_features=[range,relative_volume_1]",  # 19 rows to warm up: the tables are short
    "model.time_window=8",
    "model.heads=[volatility]",
)


def day(number: int) -> str:
    return str(np.datetime64("2020-01-01") + number)


def bars(count: int = 40, instruments: tuple[str, ...] = ("A", "B")) -> list[str]:
    """The lines of a sound table; the first row is line 2 of the file."""
    lines = [f"{day(n)},{name},10,11,9,{10 + n / 100},{100 + n}" for name in instruments for n in range(count)]
    return [HEADER, *lines]


def text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def with_cell(line: str, column: int, value: str) -> str:
    cells = line.split(",")
    cells[column] = value
    return ",".join(cells)


def ragged_and_texts(folder: Path) -> str:
    lines = bars()
    lines[4] = "2020-01-04,A,10,11"
    lines[7] += ",5,6"
    lines[9] = with_cell(lines[9], 5, "n/a")
    lines[10] = with_cell(lines[10], 6, "1 000")
    lines[12] = with_cell(lines[12], 3, "inf")
    (folder / "t.csv").write_bytes(text(lines))
    return "t.csv"


def encoding_and_header(folder: Path) -> str:
    lines = bars()
    lines[0] = HEADER + ",close"
    lines[1:] = [line + ",1" for line in lines[1:]]
    lines[5] = with_cell(lines[5], 1, "ÄG")
    lines[6] = with_cell(lines[6], 2, "-3")
    (folder / "t.csv").write_bytes("\n".join(lines).encode("latin-1"))
    return "t.csv"


def keys(folder: Path) -> str:
    lines = bars(instruments=("NA", "TRUE", "007"))
    lines[3] = with_cell(lines[3], 0, day(0))
    lines[6] = with_cell(lines[6], 1, "")
    lines[8] = with_cell(lines[8], 0, "")
    lines[9] = with_cell(lines[9], 0, "yesterday")
    lines.append(lines[50])
    (folder / "t.csv.gz").write_bytes(gzip.compress(text(lines)))
    return "t.csv.gz"


def zones(folder: Path) -> str:
    lines = bars()
    for number in range(1, len(lines)):
        offset = ("+01:00", "Z", "-0500")[number % 3]
        lines[number] = with_cell(lines[number], 0, lines[number][:10] + "T12:00:00" + offset)
    lines[5] = with_cell(lines[5], 0, "2020-01-05T12:00:00")
    lines[6] = with_cell(lines[6], 0, "2020-01-06")
    lines[7] = with_cell(lines[7], 0, "06.01.2020")
    lines[8] = with_cell(lines[8], 4, "99")
    (folder / "t.csv").write_bytes(text(lines))
    return "t.csv"


def prices(folder: Path) -> str:
    lines = bars()
    lines[2] = with_cell(lines[2], 5, "0")
    lines[3] = with_cell(lines[3], 6, "-1")
    lines[4] = with_cell(lines[4], 2, "")
    lines[6] = with_cell(lines[6], 3, "8")
    lines[30:36] = [with_cell(line, 2, "nan") for line in lines[30:36]]
    (folder / "t.csv").write_bytes(text(lines))
    return "t.csv"


def quotes_and_blanks(folder: Path) -> str:
    lines = bars()
    lines[3] = with_cell(lines[3], 1, '"A')
    lines[5] = ""
    lines[7] = with_cell(lines[7], 5, "#REF!")
    lines[9] = "total"
    (folder / "t.csv").write_bytes(text(lines))
    return "t.csv"


def short_and_empty(folder: Path) -> str:
    lines = [with_cell(line, 2, "") for line in bars(count=5)]
    lines[0] = HEADER
    lines[4] = with_cell(lines[4], 3, "-inf")
    (folder / "t.csv").write_bytes(text(lines))
    return "t.csv"


def _frame() -> pl.DataFrame:
    return pl.read_csv(text(bars()), try_parse_dates=True)


def parquet(folder: Path) -> str:
    frame = _frame().with_columns(
        high=pl.col("high").cast(pl.String),
        close=pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise(pl.col("close")),
        volume=pl.when(pl.int_range(pl.len()) == 5).then(float("inf")).otherwise(pl.col("volume").cast(pl.Float64)),
    )
    pl.concat([frame, frame[7:8]]).write_parquet(folder / "t.parquet")
    return "t.parquet"


def folder_of_parts(folder: Path) -> str:
    for name in ("AAPL", "MSFT"):
        part = folder / "table" / f"instrument={name}"
        part.mkdir(parents=True)
        frame = _frame().filter(pl.col("instrument") == "A").drop("instrument")
        frame[:20].write_parquet(part / "part-0.parquet")
        rest = frame[20:]
        if name == "MSFT":
            rest = pl.concat([rest, rest[:1]]).drop("low").with_columns(pl.col("timestamp").cast(pl.String))
            rest = rest.with_columns(open=pl.when(pl.int_range(pl.len()) == 2).then(-1).otherwise(pl.col("open")))
        rest.write_parquet(part / "part-1.parquet")
    return "table"


def far_times(folder: Path) -> str:
    lines = bars()
    lines[3] = with_cell(lines[3], 0, "9999-12-31")
    lines[4] = with_cell(lines[4], 0, "2020-02-30")
    lines[5] = with_cell(lines[5], 0, "2020-01-05 12:00")
    lines[6] = with_cell(lines[6], 0, "2020-01-06T00:00:00Z")
    lines[7] = with_cell(lines[7], 1, "")
    lines[8] = with_cell(lines[8], 6, "ten")
    (folder / "t.csv").write_bytes(text(lines))
    return "t.csv"


BAD_TABLES: dict[str, Callable[[Path], str]] = {
    make.__name__: make
    for make in (
        ragged_and_texts,
        encoding_and_header,
        keys,
        zones,
        prices,
        quotes_and_blanks,
        short_and_empty,
        parquet,
        folder_of_parts,
        far_times,
    )
}
