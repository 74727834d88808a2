"""From a file to a `Table`: CSV and Parquet, the user's own or the embedded set. Imports no torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hybrid_trainer.config.data import PRICE_COLUMNS, DataConfig, TableData
from hybrid_trainer.config.targets import ColumnTarget, TargetConfig
from hybrid_trainer.data import checks, csv_diagnosis
from hybrid_trainer.data.timestamps import iso, parse_timestamps
from hybrid_trainer.errors import ConfigError, TableError, did_you_mean

SINGLE_INSTRUMENT = "all"
_NEEDED = ("open", "high", "low", "close")
_HOLE = 15  # steps of the usual length: weekends, holidays and a week without trading are no hole in daily bars


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which columns of a file are read, and what they are.

    Attributes:
        timestamp, instrument: the key of a row; no instrument column: the whole table is one instrument.
        prices: open, high, low, close, volume -> the file's column, for those that the file has and the run needs.
        adjusted_close: open to close are scaled by this column / close, volume by the inverse.
        numbers: columns read as numbers (features, context, regression labels).
        labels: columns read as class labels.
        optional: of the numbers, those in which an empty cell means 'no label'.
    """

    timestamp: str
    instrument: str | None
    prices: dict[str, str] = field(default_factory=dict)
    adjusted_close: str | None = None
    numbers: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def number_columns(self) -> list[str]:
        """Every column that must hold numbers, each once."""
        adjusted = [self.adjusted_close] if self.adjusted_close else []
        return list(dict.fromkeys([*self.prices.values(), *adjusted, *self.numbers]))

    @property
    def all_columns(self) -> list[str]:
        """Every column that is read, each once."""
        keys = [self.timestamp, *([self.instrument] if self.instrument else [])]
        return list(dict.fromkeys([*keys, *self.number_columns, *self.labels]))


@dataclass(frozen=True, kw_only=True)
class Table:
    """Checked rows, sorted by instrument, then time; N rows.

    Attributes:
        file: where it came from, for messages; sha256: the digest of that file; layout: which of its columns are what.
        timestamp: (N,) int64, ns since 1970 UTC (or the file's own integers).
        instrument: (N,) int64 into `instruments`, which are in alphabetical order.
        line: (N,) int64, the row's line in a CSV file, or its number in a Parquet file, from 1.
        prices, numbers: (N,) float64 each, NaN where missing; labels: (N,) text or None each.
        notes: what was done to the rows on reading that a user should know.
    """

    file: str
    sha256: str
    layout: Layout
    timestamp: NDArray[np.int64]
    instrument: NDArray[np.int64]
    instruments: tuple[str, ...]
    line: NDArray[np.int64]
    prices: dict[str, NDArray[np.float64]]
    numbers: dict[str, NDArray[np.float64]]
    labels: dict[str, NDArray[np.object_]]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.timestamp)

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """The [start, stop) row range of each instrument, in the order of `instruments`."""
        starts = np.searchsorted(self.instrument, np.arange(len(self.instruments) + 1))
        return [(int(a), int(b)) for a, b in pairwise(starts)]


def load_table(config: DataConfig, targets: dict[str, TargetConfig]) -> Table:
    """Read and check the table that a config names, with the columns that the active targets need.

    Raises:
        TableError: the file can't be read or its content is wrong; every fault found is in the text.
    """
    path = table_path(config)
    return read_table(path, layout_for(config, targets, header(path), str(path)), missing=config.missing)


def check_columns(config: DataConfig, targets: dict[str, TargetConfig]) -> None:
    """Look at a table's header alone: a wrong path or column is told before a run has a directory."""
    path = table_path(config)
    layout_for(config, targets, header(path), str(path))


def table_path(config: DataConfig) -> Path:
    """The file that a config names: the user's own, or the embedded set."""
    if isinstance(config, TableData):
        assert config.path is not None
        return Path(config.path)
    return Path(str(files("hybrid_trainer.data") / "us_stocks.csv.gz"))


def layout_for(config: DataConfig, targets: dict[str, TargetConfig], columns: list[str], file: str) -> Layout:
    """Work out which of the file's `columns` a run reads; a column that should be there and isn't is a TableError."""
    own = [target for target in targets.values() if isinstance(target, ColumnTarget)]
    needs_prices = config.feature_set == "core" or len(own) < len(targets)
    prices = _price_columns(config, columns) if needs_prices else {}
    number_labels = [target.column for target in own if target.kind == "regression"]
    layout = Layout(
        timestamp=config.timestamp,
        instrument=config.instrument,
        prices=prices,
        adjusted_close=config.adjusted_close if needs_prices else None,
        numbers=tuple(dict.fromkeys([*config.features, *config.context, *number_labels])),
        labels=tuple(dict.fromkeys(target.column for target in own if target.kind == "classification")),
        optional=tuple(name for name in number_labels if name not in [*config.features, *config.context]),
    )
    required = {
        "data.timestamp": [config.timestamp],
        "data.instrument": [config.instrument] if config.instrument else [],
        "data.columns": list(config.columns.values()),
        "data.features": config.features,
        "data.context": config.context,
        "data.adjusted_close": [config.adjusted_close] if config.adjusted_close else [],
        "data.targets": [target.column for target in own],
    }
    lacking = [
        f"{file}: there is no column '{name}' ({key}){did_you_mean(name, columns)}"
        for key, names in required.items()
        for name in names
        if name not in columns
    ]
    if needs_prices:
        why = "data.feature_set=core needs" if config.feature_set == "core" else "the targets made from prices need"
        missing = [name for name in _NEEDED if name not in prices and name not in config.columns]
        if missing:
            own_names = ",".join(name for name, target in targets.items() if isinstance(target, ColumnTarget))
            without = f"model.heads=[{own_names}]" if own_names else "data.features=[...] and label columns of your own"
            lacking.append(
                f"{file}: there is no column {' or '.join(missing)}, which {why}; say where they stand "
                f"(data.columns.{missing[0]}=COLUMN), or do without prices ({without}); known: {', '.join(columns)}"
            )
    if lacking:
        raise TableError("\n".join(lacking))
    _refuse_known_labels(targets, {*prices.values(), layout.adjusted_close})
    return layout


def _refuse_known_labels(targets: dict[str, TargetConfig], inputs: set[str | None]) -> None:
    """A label that stands among the prices is known at its own row; `consistency` has looked at the other inputs."""
    for name, target in targets.items():
        if isinstance(target, ColumnTarget) and target.column in inputs and not target.allow_contemporaneous:
            raise ConfigError(
                f"data.targets.{name}.column: '{target.column}' is a price column, known at the decision row; bring a "
                f"column with the later value, or set data.targets.{name}.allow_contemporaneous=true"
            )


def _price_columns(config: DataConfig, columns: list[str]) -> dict[str, str]:
    lower: dict[str, str] = {}
    for column in columns:
        lower.setdefault(column.lower(), column)
    found = {name: config.columns.get(name) or lower.get(name) for name in PRICE_COLUMNS}
    return {name: column for name, column in found.items() if column in columns}


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
    timestamp, instrument, instruments, numbers, problems = _checked(path, frame, layout, missing, line)
    if problems.lines and _is_csv(path):  # now the exact lines are worth a slow look: a quoted cell may hold several
        *_, problems = _checked(path, frame, layout, missing, csv_diagnosis.row_lines(path))
    if problems.lines and layout.instrument is None and len(np.unique(timestamp)) < len(timestamp):
        problems.lines.insert(
            0,
            f"{path}: several rows have one time; if the table holds several instruments, name their column: "
            f"data.instrument=COLUMN (columns: {', '.join(columns)})",
        )
    problems.raise_if_any()
    order = np.lexsort((timestamp, instrument))
    prices = {name: numbers[column][order] for name, column in layout.prices.items()}
    if layout.adjusted_close:
        prices = _adjust(prices, numbers[layout.adjusted_close][order])
    return Table(
        file=str(path),
        sha256=_sha256(path),
        layout=layout,
        timestamp=timestamp[order],
        instrument=instrument[order],
        instruments=instruments,
        line=line[order],
        prices=prices,
        numbers={name: numbers[name][order] for name in layout.numbers},
        labels={name: _label_texts(frame[name])[order] for name in layout.labels},
        notes=(
            *_note_on_order(path, timestamp, instrument),
            *_notes_on_holes(path, timestamp[order], instrument[order], instruments),
        ),
    )


def _note_on_order(path: Path, timestamp: NDArray[np.int64], instrument: NDArray[np.int64]) -> list[str]:
    in_order = _sorted_within(timestamp, instrument)
    return [] if in_order else [f"{path}: the rows were not in the order of time; they were sorted"]


def _notes_on_holes(
    path: Path, timestamp: NDArray[np.int64], instrument: NDArray[np.int64], instruments: tuple[str, ...]
) -> list[str]:
    """Say where an instrument misses many rows in time: a row's neighbour is its next row, however far away."""
    notes = []
    for code, name in enumerate(instruments):
        times = timestamp[instrument == code]
        steps = np.diff(times)
        if len(steps) and steps.max() > _HOLE * np.median(steps):
            longest = int(steps.argmax())
            notes.append(
                f"{path}: instrument '{name}' has no row between {iso(times[longest])} and {iso(times[longest + 1])}; "
                "windows and labels go across such holes as if there were none"
            )
    return notes


def _checked(
    path: Path, frame: pl.DataFrame, layout: Layout, missing: str, line: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[str, ...], dict[str, NDArray[np.float64]], checks.Problems]:
    """Times, instruments and numbers of a frame, with every fault that is in them."""
    problems = checks.Problems(str(path))
    timestamp = parse_timestamps(frame[layout.timestamp], line, problems)
    instrument, instruments = _instruments(frame, layout, line, problems)
    numbers = {name: frame[name].to_numpy().astype(np.float64, copy=True) for name in layout.number_columns}
    checks.check_numbers(
        numbers, line, problems, may_be_missing=layout.optional if missing == "error" else tuple(numbers)
    )
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
    return timestamp, instrument, instruments, numbers, problems


def _sorted_within(timestamp: NDArray[np.int64], instrument: NDArray[np.int64]) -> bool:
    """Whether each instrument's rows, however mixed with others', are in the order of time."""
    by_instrument = np.argsort(instrument, kind="stable")
    times, codes = timestamp[by_instrument], instrument[by_instrument]
    return bool(((np.diff(times) >= 0) | (np.diff(codes) != 0)).all())


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


def _label_texts(column: pl.Series) -> NDArray[np.object_]:
    """Class labels as text: 1 and 1.0 are both '1', 007 stays as it is, a missing one is None."""
    if column.dtype.is_float():
        whole = column.fill_nan(None).drop_nulls()
        if ((whole == whole.round()) & (whole.abs() < 2**53)).all():  # beyond, neighbours would become one class
            column = column.fill_nan(None).cast(pl.Int64)
    elif column.dtype == pl.String and column.drop_nulls().str.contains(r"^-?(0|[1-9]\d*)(\.0+)?$").all():
        column = column.str.replace(r"\.0+$", "")
    return np.array(column.cast(pl.String).to_list(), dtype=object)


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() in (".parquet", ".pq")


def _is_csv(path: Path) -> bool:
    return path.name.lower().endswith((".csv", ".csv.gz"))


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
