"""The files of a table: a CSV or Parquet file, or a folder of Parquet files, also partitioned. Imports no torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import polars as pl

from hybrid_trainer.data import csv_diagnosis
from hybrid_trainer.errors import TableError

_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"  # how Hive writes a missing value


@dataclass(frozen=True)
class Part:
    """One file of a table; `constants` are the columns that its folders name, such as instrument=AAPL/."""

    path: Path
    constants: dict[str, str | None] = field(default_factory=dict)


def find_parts(path: Path) -> list[Part]:
    """The files of a table in alphabetical order.

    Raises:
        TableError: nothing is there, it is empty, or its suffix is not known.
    """
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise TableError(f"{path}: does not exist (looked for from the current folder {Path.cwd()})")
    if path.stat().st_size == 0:
        raise TableError(f"{path}: the file is empty; it needs a header line and rows")
    if not (is_parquet(path) or is_csv(path)):
        raise TableError(f"{path}: the suffix '{path.suffix}' is not known; use .csv, .csv.gz or .parquet")
    return [Part(path)]


def columns_of(parts: list[Part]) -> tuple[list[str], list[str]]:
    """The names of a table's columns, as its first file and the folders have them; and what is wrong with a header."""
    first = parts[0]
    if is_csv(first.path):
        return csv_diagnosis.header(first.path)
    return list(dict.fromkeys([*parquet_schema(first.path), *first.constants])), []


def parquet_schema(path: Path) -> dict[str, pl.DataType]:
    """Names and types of a Parquet file's columns."""
    try:
        return dict(pl.read_parquet_schema(path))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(f"{path}: not a Parquet file that can be read ({first_line(error)})") from error


def stamp(parts: list[Part]) -> str:
    """A digest of where the files are, how large, and when they were last written; no content is read.

    The time of writing may be set to any (archives and copies do); the one of the last change of any kind may not.
    """
    sha = hashlib.sha256()
    for part in parts:
        state = part.path.stat()
        looks = (part.path.resolve(), state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
        sha.update("\0".join(map(str, looks)).encode() + b"\n")
    return sha.hexdigest()


def content_digest(path: Path, parts: list[Part]) -> str:
    """SHA-256 of a file; of a folder, SHA-256 over its files' names and digests."""
    if parts[0].path == path:
        return _sha256(path)
    sha = hashlib.sha256()
    for part in parts:
        sha.update(f"{part.path.relative_to(path)}\0{_sha256(part.path)}\n".encode())
    return sha.hexdigest()


def is_parquet(path: Path) -> bool:
    """Whether the suffix says Parquet."""
    return path.suffix.lower() in (".parquet", ".pq")


def is_csv(path: Path) -> bool:
    """Whether the suffix says CSV, plain or gzipped."""
    return path.name.lower().endswith((".csv", ".csv.gz"))


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its name."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _folder(path: Path) -> list[Part]:
    parts = []
    for file in sorted(path.rglob("*")):
        inside = file.relative_to(path).parts
        hidden = any(name.startswith((".", "_")) for name in inside)  # _SUCCESS, .crc and half-written files
        if not hidden and is_parquet(file) and file.is_file():
            parts.append(Part(file, _constants(inside[:-1])))
    if not parts:
        raise TableError(f"{path}: a folder without any .parquet file")
    keys = set(parts[0].constants)
    for part in parts:
        if set(part.constants) != keys:
            raise TableError(
                f"{part.path}: its folders name the columns {sorted(part.constants) or 'none'}, those of "
                f"{parts[0].path} name {sorted(keys) or 'none'}; partition all files alike"
            )
    return parts


def _constants(folders: tuple[str, ...]) -> dict[str, str | None]:
    pairs = (folder.split("=", 1) for folder in folders if "=" in folder)
    return {unquote(name): None if value == _NO_VALUE else unquote(value) for name, value in pairs}


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
