"""A CSV file, read with care: lines and fields counted, so that each fault is told with its place. Imports no torch.

The fast reader stops at the first broken line and counts no lines; where it finds anything odd, this one reads the file
again. It looks at bytes, block by block, and hands polars the sound rows alone.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hybrid_trainer.data.checks import Problems
from hybrid_trainer.errors import TableError

_BLOCK = 1 << 23  # bytes at a time
_LONGEST_ROW = 1 << 26  # a quotation mark whose partner is not found within these bytes has none
_HEADER = 1 << 20
_BOM = b"\xef\xbb\xbf"
_NEWLINE, _RETURN, _COMMA, _QUOTE = b'\n\r,"'

Bytes = NDArray[np.uint8]


def header(path: Path) -> tuple[list[str], list[str]]:
    """The column names of the first line that isn't blank, and what is wrong with them.

    Raises:
        TableError: there are no names that could be read.
    """
    with _open(path) as stream:
        start = _read(path, stream, _HEADER, 1).removeprefix(_BOM)
    line, names = _first_row(path, start)
    for separator, word in ((";", "semicolon"), ("\t", "tab")):
        if len(names) == 1 and separator in names[0]:
            raise TableError(f"{path}:{line}: the columns are separated by {word}s; save the file with commas")
    twice = dict.fromkeys(name for index, name in enumerate(names) if name in names[:index])
    return names, [f"{path}:{line}: the column name '{n}' stands in the header twice; names must differ" for n in twice]


def careful_blocks(
    path: Path, names: list[str], columns: list[str], problems: Problems
) -> Iterator[tuple[pl.DataFrame, NDArray[np.int64]]]:
    """Yield (some rows of `columns` as text, the line of each) for the rows that have as many fields as the header.

    Broken rows, bytes that aren't UTF-8 and lonely quotation marks are added to `problems`, with their lines.
    """
    with _open(path) as stream:
        line, rest, at_header = 1, _read(path, stream, len(_BOM), 1).removeprefix(_BOM), True
        while True:
            more = _read(path, stream, _BLOCK, line)
            block = rest + more
            if not more and not block:
                return
            if not more and not block.endswith(b"\n"):
                block += b"\n"
            rows = _Rows(block, line)
            lonely = not len(rows.ends) and (not more or len(block) > _LONGEST_ROW)
            if lonely:  # what looks like one endless cell is a line with a quotation mark too many: go on behind it
                _tell_lonely_quote(path, line, problems)
                rest, line = block[block.index(b"\n") + 1 :], line + 1
                problems.begin_block(str(path))
                continue
            rest, line = block[rows.stop :], rows.next_line
            if at_header and len(rows.ends):
                at_header = not rows.drop_header()
            if len(rows.ends):
                yield _sound_rows(path, rows, names, columns, problems)


class _Rows:
    """Where the rows of a block of bytes end; a line break inside of quotation marks ends none.

    Attributes: `starts`, `ends`: byte positions of each row and its line break; `line`: the number of its last line.
    """

    def __init__(self, block: bytes, line: int) -> None:
        self.data: Bytes = np.frombuffer(block, dtype=np.uint8)
        breaks, commas = self.data == _NEWLINE, self.data == _COMMA
        quotes = self.data == _QUOTE
        every = np.flatnonzero(breaks)
        if quotes.any():
            outside = ~np.logical_xor.accumulate(quotes)
            breaks, commas = breaks & outside, commas & outside
        self.ends = np.flatnonzero(breaks)
        self.starts = np.concatenate([[0], self.ends[:-1] + 1]).astype(np.int64)[: len(self.ends)]
        self.line = line + np.searchsorted(every, self.ends)
        at = np.flatnonzero(commas)
        self.fields = np.searchsorted(at, self.ends) - np.searchsorted(at, self.starts) + 1
        width = self.ends - self.starts
        only_return = (width == 1) & (self.data[self.starts] == _RETURN) if len(self.ends) else width == 1
        self.blank = (width == 0) | only_return
        self.stop = int(self.ends[-1]) + 1 if len(self.ends) else 0
        self.next_line = int(self.line[-1]) + 1 if len(self.ends) else line

    def drop_header(self) -> bool:
        """Take the first row that isn't blank for the header; returns whether there is one."""
        sound = np.flatnonzero(~self.blank)
        first = int(sound[0]) + 1 if len(sound) else len(self.ends)
        for name in ("starts", "ends", "line", "fields", "blank"):
            setattr(self, name, getattr(self, name)[first:])
        return bool(len(sound))

    def not_utf8(self) -> NDArray[np.int64]:
        """(R,) the first byte of each row that isn't UTF-8, -1 where all are."""
        found = np.full(len(self.ends), -1, dtype=np.int64)
        if self.data.max(initial=0) < 128 or _bad_byte(self.data[: self.stop].tobytes()) < 0:
            return found
        suspects = np.unique(np.searchsorted(self.ends, np.flatnonzero(self.data >= 128)))
        for row in suspects[suspects < len(self.ends)].tolist():
            found[row] = _bad_byte(self.data[self.starts[row] : self.ends[row]].tobytes())
        return found

    def text_of(self, kept: NDArray[np.bool_]) -> bytes:
        """The bytes of the rows that are kept."""
        part = self.data[self.starts[0] : self.ends[-1] + 1]
        return part.tobytes() if kept.all() else part[np.repeat(kept, self.ends - self.starts + 1)].tobytes()


def _sound_rows(
    path: Path, rows: _Rows, names: list[str], columns: list[str], problems: Problems
) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    problems.begin_block(str(path))
    ragged = ~rows.blank & (rows.fields != len(names))
    bad = rows.not_utf8()
    problems.add_where(
        None,
        bad >= 0,
        rows.line,
        "not UTF-8 (byte {value}); save the file as UTF-8",
        [f"0x{max(byte, 0):02x}" for byte in bad.tolist()] if (bad >= 0).any() else None,
        mendable=False,
    )
    problems.add_where(None, ragged, rows.line, f"{{value}} field(s) where the header has {len(names)}", rows.fields)
    kept = ~(rows.blank | ragged | (bad >= 0))
    line = rows.line[kept].astype(np.int64)
    if not kept.any():
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String)), line
    unique = [name if name not in names[:index] else f"{index}\0{name}" for index, name in enumerate(names)]
    try:
        frame = pl.read_csv(rows.text_of(kept), has_header=False, schema=dict.fromkeys(unique, pl.String))
    except pl.exceptions.PolarsError as error:
        problems.add(f"{path}:{line[0]}: not a CSV file that can be read ({str(error).splitlines()[0]})")
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String)), line[:0]
    if len(frame) != len(line):
        problems.add(f'{path}:{line[0]}: quotation marks inside of plain cells; quote a whole cell, and write "" in it')
        return frame.clear(), line[:0]
    return frame.select(columns), line


def _tell_lonely_quote(path: Path, line: int, problems: Problems) -> None:
    text = 'a quotation mark without its partner; quote a whole cell, and write "" in it'
    problems.begin_block(str(path))
    problems.add_where(None, np.ones(1, dtype=bool), np.array([line]), text)


def _bad_byte(text: bytes) -> int:
    """The first byte that isn't UTF-8, -1 where there is none."""
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.object[error.start]
    return -1


def _first_row(path: Path, start: bytes) -> tuple[int, list[str]]:
    reader = csv.reader(io.StringIO(start.decode("utf-8", errors="surrogateescape"), newline=""))
    try:
        names = next((row for row in reader if row), [])
    except csv.Error as error:
        raise TableError(f"{path}:{reader.line_num}: not a CSV file that can be read ({error})") from error
    if not names:
        raise TableError(f"{path}:1: the header line is empty; it must name the columns")
    byte = _bad_byte(",".join(names).encode("utf-8", errors="surrogateescape"))
    if byte >= 0:
        raise TableError(f"{path}:{reader.line_num}: not UTF-8 (byte 0x{byte:02x}); save the file as UTF-8")
    return reader.line_num, names


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")


def _read(path: Path, stream: BinaryIO, size: int, line: int) -> bytes:
    try:
        return stream.read(size)
    except (EOFError, gzip.BadGzipFile, zlib.error, OSError) as error:
        where = f":{line}" if line > 1 else ""
        raise TableError(f"{path}{where}: not a CSV file that can be read ({error})") from error
