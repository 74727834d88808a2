"""Where a CSV file is broken: read slowly, line by line, only after the fast reader has found a fault."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NoReturn

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.errors import TableError

_SHOWN = 10


def header(path: Path) -> list[str]:
    """The column names of the first line; duplicates and an encoding other than UTF-8 are a TableError."""
    names = next((row for _, row in _rows(path) if row), [])
    if not names:
        raise TableError(f"{path}:1: the header line is empty; it must name the columns")
    for separator, word in ((";", "semicolon"), ("\t", "tab")):
        if len(names) == 1 and separator in names[0]:
            raise TableError(f"{path}:1: the columns are separated by {word}s; save the file with commas")
    twice = [name for index, name in enumerate(names) if name in names[:index]]
    if twice:
        raise TableError(f"{path}:1: the column name '{twice[0]}' stands in the header twice; names must differ")
    return names


def raise_faults(path: Path, number_columns: list[str], said: str) -> NoReturn:
    """Raise a TableError with the place of every fault: ragged rows and text in number columns."""
    faults: list[str] = []
    names = header(path)
    numeric = [(names.index(name), name) for name in number_columns]
    for line, row in _data_rows(path):
        faults += _ragged(path, line, row, names) if row else []
        for index, name in numeric:
            if index < len(row) and row[index] and not _is_number(row[index]):
                faults.append(f"{path}:{line}: column '{name}': '{row[index]}' is not a number")
    faults = faults or _odd_quotes(path)
    raise TableError(_shown(faults) or f"{path}: not a CSV file that can be read ({said})")


def _odd_quotes(path: Path) -> list[str]:
    with _open(path) as stream:
        for number, text in enumerate(stream, start=1):
            if text.count('"') % 2:
                return [
                    f'{path}:{number}: a quotation mark without its partner; quote a whole cell, and write "" in it'
                ]
    return []


def row_lines(path: Path) -> NDArray[np.int64]:
    """The line of each row that isn't blank; rows with more or fewer fields than the header are a TableError.

    polars fills short rows up with nulls, and counts no lines: a quoted cell may hold several.
    """
    names = header(path)
    faults, lines = [], []
    for line, row in _data_rows(path):
        if row:
            faults += _ragged(path, line, row, names)
            lines.append(line)
    if faults:
        raise TableError(_shown(faults))
    return np.array(lines, dtype=np.int64)


def blank_rows(path: Path) -> NDArray[np.bool_]:
    """For each row behind the header whether it is a blank line."""
    return np.array([not row for _, row in _data_rows(path)], dtype=bool)


def _ragged(path: Path, line: int, row: list[str], names: list[str]) -> list[str]:
    if len(row) == len(names):
        return []
    return [f"{path}:{line}: {len(row)} field(s) where the header has {len(names)}"]


def _data_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows behind the header, which is the first line that isn't blank."""
    rows = _rows(path)
    next((row for _, row in rows if row), None)
    return rows


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of its last line, fields) for each row; a blank line has no field."""
    with _open(path) as stream:
        reader = csv.reader(stream)
        try:
            for row in reader:
                yield reader.line_num, row
        except UnicodeDecodeError as error:
            byte = f"0x{error.object[error.start]:02x}"
            raise TableError(f"{path}:{_line_of(path)}: not UTF-8 (byte {byte}); save the file as UTF-8") from error
        except (csv.Error, EOFError, gzip.BadGzipFile, zlib.error) as error:
            where = f":{reader.line_num}" if reader.line_num else ""
            raise TableError(f"{path}{where}: not a CSV file that can be read ({error})") from error


def _line_of(path: Path) -> int:
    """The line of the first byte that isn't UTF-8."""
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1


def _open(path: Path) -> IO[str]:
    if path.suffix.lower() == ".gz":
        return io.TextIOWrapper(gzip.open(path, "rb"), encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # python takes 1_000, polars doesn't


def _shown(faults: list[str]) -> str:
    more = f"\n{len(faults) - _SHOWN} more such rows" if len(faults) > _SHOWN else ""
    return "\n".join(faults[:_SHOWN]) + more
