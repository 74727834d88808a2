"""From a file to a `Table`: CSV and Parquet, the user's own or the embedded set. Imports no torch."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hybrid_trainer.config.data import DataConfig, SyntheticData, TableData
from hybrid_trainer.config.targets import TargetConfig
from hybrid_trainer.data import checks, csv_diagnosis, synthetic
from hybrid_trainer.data.gaps import cut_at_gaps
from hybrid_trainer.data.layout import Layout, layout_for
from hybrid_trainer.data.table import Coded, Table, note_on_order
from hybrid_trainer.data.timestamps import parse_timestamps
from hybrid_trainer.data.vocabulary import category_texts
from hybrid_trainer.errors import TableError, did_you_mean

SINGLE_INSTRUMENT = "all"
SYNTHETIC = "data=synthetic"


def load_table(config: DataConfig, targets: dict[str, TargetConfig]) -> Table:
    """Read and check the table that a config names, with the columns that the active targets need.

    Raises:
        TableError: the file can't be read or its content is wrong; every fault found is in the text.
    """
    table = _load(config, check_columns(config, targets))
    return cut_at_gaps(table, config.max_gap, independent=config.independent_sequences)


def _load(config: DataConfig, layout: Layout) -> Table:
    if not isinstance(config, SyntheticData):
        return read_table(table_path(config), layout, missing=config.missing)
    frame = synthetic.frame(config)
    line = np.arange(1, len(frame) + 1, dtype=np.int64)
    checked = _check(SYNTHETIC, frame, layout, config.missing, line)
    checked.problems.raise_if_any()
    return _sorted_table(SYNTHETIC, synthetic.digest(frame), frame, line, layout, checked)


def check_columns(config: DataConfig, targets: dict[str, TargetConfig]) -> Layout:
    """Look at a table's header alone: a wrong path or column is told before a run has a directory."""
    if isinstance(config, SyntheticData):
        return layout_for(config, targets, list(synthetic.COLUMNS), SYNTHETIC)
    path = table_path(config)
    return layout_for(config, targets, header(path), str(path))


def table_path(config: DataConfig) -> Path:
    """The file that a config names: the user's own, or the embedded set."""
    if isinstance(config, TableData):
        assert config.path is not None
        return Path(config.path)
    return Path(str(files("hybrid_trainer.data") / "us_stocks.csv.gz"))


def header(path: Path) -> list[str]:
    """The names of a file's columns; a file that isn't there, is empty or isn't a table is a TableError."""
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise TableError(f"{path}: {what} (looked for from the current folder {Path.cwd()})")
    if path.stat().st_size == 0:
        raise TableError(f"{path}: the file is empty; it needs a header line and rows")
    if _is_parquet(path):
        try:
            return list(pl.read_parquet_schema(path))
        except (pl.exceptions.PolarsError, OSError) as error:
            raise TableError(f"{path}: not a Parquet file that can be read ({_line(error)})") from error
    if not _is_csv(path):
        raise TableError(f"{path}: the suffix '{path.suffix}' is not known; use .csv, .csv.gz or .parquet")
    return csv_diagnosis.header(path)


def read_table(path: Path, layout: Layout, *, missing: str = "error") -> Table:
    """Read the columns of `layout`, check every row, sort by instrument and time.

    Args:
        missing: 'error' refuses a missing feature value, 'gap' keeps it as NaN.
    """
    columns = header(path)
    lacking = [name for name in layout.all_columns if name not in columns]
    if lacking:
        raise TableError(
            "\n".join(f"{path}: there is no column '{name}'{did_you_mean(name, columns)}" for name in lacking)
        )
    frame, line = _read_parquet(path, layout) if _is_parquet(path) else _read_csv(path, layout)
    if frame.is_empty():
        raise TableError(f"{path}: there is a header, but no row")
    checked = _check(str(path), frame, layout, missing, line)
    if checked.problems.lines and _is_csv(path):  # now the exact lines are worth a slow look: a cell may hold several
        checked = _check(str(path), frame, layout, missing, csv_diagnosis.row_lines(path))
    problems, timestamp = checked.problems, checked.timestamp
    if problems.lines and layout.instrument is None and len(np.unique(timestamp)) < len(timestamp):
        problems.lines.insert(
            0,
            f"{path}: several rows have one time; if the table holds several instruments, name their column: "
            f"data.instrument=COLUMN (columns: {', '.join(columns)})",
        )
    problems.raise_if_any()
    return _sorted_table(str(path), _sha256(path), frame, line, layout, checked)


class _Checked(NamedTuple):
    """Times, instruments and numbers of a frame in its own order, with every fault that is in them."""

    timestamp: NDArray[np.int64]
    instrument: NDArray[np.int64]
    instruments: tuple[str, ...]
    numbers: dict[str, NDArray[np.float64]]
    problems: checks.Problems


def _check(file: str, frame: pl.DataFrame, layout: Layout, missing: str, line: NDArray[np.int64]) -> _Checked:
    problems = checks.Problems(file)
    timestamp = parse_timestamps(frame[layout.timestamp], line, problems)
    instrument, instruments = _instruments(frame, layout, line, problems)
    numbers = {name: frame[name].to_numpy().astype(np.float64, copy=True) for name in layout.number_columns}
    checks.check_numbers(
        numbers, line, problems, may_be_missing=layout.optional if missing == "error" else tuple(numbers)
    )
    checks.check_whole(numbers, layout.whole, line, problems)
    adjusted = {"adjusted close": layout.adjusted_close} if layout.adjusted_close else {}
    checks.check_prices(numbers, {**layout.prices, **adjusted}, line, problems)
    readable = ~(problems.rows_with_a_fault_in(layout.timestamp, len(frame)) | (instrument < 0))
    checks.check_keys(
        timestamp,
        instrument,
        instruments if layout.instrument else (),
        line,
        problems,
        column=layout.timestamp,
        readable=readable,
    )
    return _Checked(timestamp, instrument, instruments, numbers, problems)


def _sorted_table(
    file: str, sha256: str, frame: pl.DataFrame, line: NDArray[np.int64], layout: Layout, checked: _Checked
) -> Table:
    timestamp, instrument, instruments, numbers, _ = checked
    order = np.lexsort((timestamp, instrument))
    prices = {name: numbers[column][order] for name, column in layout.prices.items()}
    if layout.adjusted_close:
        prices = _adjust(prices, numbers[layout.adjusted_close][order])
    return Table(
        file=file,
        sha256=sha256,
        layout=layout,
        timestamp=timestamp[order],
        instrument=instrument[order],
        instruments=instruments,
        line=line[order],
        prices=prices,
        numbers={name: numbers[name][order] for name in layout.numbers},
        labels={name: Coded.of(_label_texts(frame[name]))[order] for name in layout.labels},
        categories={
            **{name: Coded.of(category_texts(frame[name]))[order] for name in layout.categories},
            **({layout.split: Coded.of(_label_texts(frame[layout.split]))[order]} if layout.split else {}),
        },
        notes=tuple(note_on_order(file, timestamp, instrument)),
    )


def _adjust(
    prices: dict[str, NDArray[np.float64]], adjusted_close: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    factor = adjusted_close / prices["close"]
    return {name: values / factor if name == "volume" else values * factor for name, values in prices.items()}


def _read_csv(path: Path, layout: Layout) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """Read fast; where polars finds a fault, read again slowly to say where each fault is."""
    types: dict[str, Any] = dict.fromkeys(layout.all_columns, pl.String)
    types |= dict.fromkeys(layout.number_columns, pl.Float64)
    try:
        frame = pl.read_csv(path, columns=layout.all_columns, schema_overrides=types, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        csv_diagnosis.raise_faults(path, layout.number_columns, _line(error))
    if not any(frame[name].null_count() for name in layout.all_columns):
        return frame, np.arange(2, len(frame) + 2, dtype=np.int64)
    line = csv_diagnosis.row_lines(path)  # polars fills short rows up with nulls: they are refused here
    if len(frame) != len(line):  # polars reads a blank line as an empty row
        frame = frame.filter(~pl.Series(csv_diagnosis.blank_rows(path)[: len(frame)]))
    return frame, line


def _read_parquet(path: Path, layout: Layout) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    try:
        frame = pl.read_parquet(path, columns=layout.all_columns)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(f"{path}: not a Parquet file that can be read ({_line(error)})") from error
    wrong = [
        f"{path}: column '{name}' holds {frame[name].dtype}, not numbers"
        for name in layout.number_columns
        if not (frame[name].dtype.is_numeric() or frame[name].dtype in (pl.Boolean, pl.Null))
    ]
    if wrong:
        raise TableError("\n".join(wrong))
    return frame.with_columns(pl.col(layout.number_columns).cast(pl.Float64)), np.arange(1, len(frame) + 1)


def _instruments(
    frame: pl.DataFrame, layout: Layout, line: NDArray[np.int64], problems: checks.Problems
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Number the instruments in alphabetical order; tickers such as NA, TRUE and 007 stay text."""
    if layout.instrument is None:
        return np.zeros(len(frame), dtype=np.int64), (SINGLE_INSTRUMENT,)
    texts = frame[layout.instrument].cast(pl.String)
    problems.add_where(layout.instrument, texts.is_null().to_numpy(), line, "the instrument is missing")
    names = tuple(sorted(texts.drop_nulls().unique().to_list()))
    codes = texts.replace_strict(list(names), list(range(len(names))), default=-1, return_dtype=pl.Int64)
    return codes.to_numpy().astype(np.int64), names


def _label_texts(column: pl.Series) -> list[str | None]:
    """Class labels as text: 1 and 1.0 are both '1', 007 stays as it is, a missing one is None."""
    if column.dtype.is_float():
        whole = column.fill_nan(None).drop_nulls()
        if ((whole == whole.round()) & (whole.abs() < 2**53)).all():  # beyond, neighbours would become one class
            column = column.fill_nan(None).cast(pl.Int64)
    elif column.dtype == pl.String and column.drop_nulls().str.contains(r"^-?(0|[1-9]\d*)(\.0+)?$").all():
        column = column.str.replace(r"\.0+$", "")
    return column.cast(pl.String).to_list()


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() in (".parquet", ".pq")


def _is_csv(path: Path) -> bool:
    return path.name.lower().endswith((".csv", ".csv.gz"))


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
