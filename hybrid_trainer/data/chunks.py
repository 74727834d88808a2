"""A table's files as blocks of rows: read fast, or where something is odd, with care. Imports no torch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hybrid_trainer.data.checks import Problems
from hybrid_trainer.data.csv_diagnosis import careful_blocks
from hybrid_trainer.data.layout import Layout
from hybrid_trainer.data.parts import Part, first_line, is_csv, parquet_schema
from hybrid_trainer.data.timestamps import RIGHT
from hybrid_trainer.errors import TableError

_ROWS = 1 << 17  # rows at a time: small enough for a processor's cache and for memory, large enough for numpy
# Where polars parses only the columns that are asked for, it takes a row with too many fields, and shifts its values.
_EVERY_FIELD = pl.QueryOptFlags(projection_pushdown=False)
_NO_TEXT = (pl.Binary, pl.Duration, pl.Object)


class Chunk(NamedTuple):
    """Some rows of one file: the columns of a layout, and each row's line in a CSV or its number in a Parquet file.

    `told`: columns that are known to be wrong throughout; their values are not looked at.
    """

    file: str
    frame: pl.DataFrame
    line: NDArray[np.int64]
    told: frozenset[str] = frozenset()


class OddFileError(Exception):
    """The fast reader met something that the careful one must look at."""


def fast_csv(part: Part, names: list[str], layout: Layout) -> Iterator[Chunk]:
    """Yield a CSV file's rows, numbers already as numbers.

    Raises:
        OddFileError: polars can't read it, or a row may be short: it fills short rows and blank lines up with nulls.
    """
    columns = list(dict.fromkeys([*layout.all_columns, names[-1]]))
    types = {name: pl.Float64 if name in layout.number_columns else pl.String for name in names}
    line = 2
    try:
        query = pl.scan_csv(part.path, schema=types, infer_schema=False, glob=False).select(columns)
        for frame in query.collect_batches(chunk_size=_ROWS, optimizations=_EVERY_FIELD):
            if frame[names[-1]].null_count():
                raise OddFileError
            yield Chunk(str(part.path), frame, np.arange(line, line + len(frame)))
            line += len(frame)
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise OddFileError from error


def careful_csv(part: Part, names: list[str], layout: Layout, problems: Problems) -> Iterator[Chunk]:
    """Yield a CSV file's sound rows, everything as text; what is broken is in `problems`."""
    for frame, line in careful_blocks(part.path, names, layout.all_columns, problems):
        yield Chunk(str(part.path), frame, line)


def parquet(part: Part, layout: Layout, problems: Problems) -> Iterator[Chunk]:
    """Yield a Parquet file's rows, with the columns that its folders name."""
    file = str(part.path)
    try:
        schema = parquet_schema(part.path)
    except TableError as error:
        problems.add(str(error))
        return
    told = _tell_columns(file, schema, layout, problems, part.constants)
    inside = [name for name in layout.all_columns if name in schema and name not in {*part.constants, *told}]
    constants = [
        pl.lit(part.constants.get(name), dtype=pl.String).alias(name)
        for name in layout.all_columns
        if name not in inside
    ]
    first = 1
    try:
        query = pl.scan_parquet(part.path, hive_partitioning=False, glob=False, cache=False).select(inside)
        for frame in query.collect_batches(chunk_size=_ROWS):
            yield Chunk(file, frame.with_columns(constants), np.arange(first, first + len(frame)), told)
            first += len(frame)
    except (pl.exceptions.PolarsError, OSError) as error:
        problems.add(f"{file}: not a Parquet file that can be read ({first_line(error)})")


def _tell_columns(
    file: str, schema: Mapping[str, pl.DataType], layout: Layout, problems: Problems, constants: Collection[str] = ()
) -> frozenset[str]:
    """Record the columns that a file lacks, and those of a kind that cannot be read as what they must be.

    Args:
        constants: columns that its folders name.
    """
    told = [name for name in layout.all_columns if name not in schema and name not in constants]
    for name in told:
        problems.add(f"{file}: there is no column '{name}'")
    kind = schema.get(layout.timestamp, pl.Null())
    if not (kind.is_integer() or kind in (pl.String, pl.Date, pl.Datetime, pl.Null)):
        problems.add(f"{file}: column '{layout.timestamp}': a column of {kind}; {RIGHT}")
        told.append(layout.timestamp)
    for name in layout.number_columns:
        kind = pl.Null() if name in constants else schema.get(name, pl.Null())
        if not (kind.is_numeric() or kind in (pl.Boolean, pl.Null)):
            problems.add(f"{file}: column '{name}' holds {kind}, not numbers")
            told.append(name)
    for name in [*([layout.instrument] if layout.instrument else []), *layout.labels, *layout.category_columns]:
        kind = pl.Null() if name in constants else schema.get(name, pl.Null())
        if (kind.is_nested() or kind in _NO_TEXT) and name not in told:
            problems.add(f"{file}: column '{name}' holds {kind}, neither texts nor numbers")
            told.append(name)
    return frozenset(told)


def chunks_of(
    parts: list[Part], names: list[str], layout: Layout, problems: Problems, *, careful: bool
) -> Iterator[Chunk]:
    """Yield the rows of all files, in the order of the files."""
    for part in parts:
        if not is_csv(part.path):
            yield from parquet(part, layout, problems)
        elif careful:
            yield from careful_csv(part, names, layout, problems)
        else:
            yield from fast_csv(part, names, layout)


def frame_chunks(file: str, frame: pl.DataFrame, layout: Layout, problems: Problems) -> Iterator[Chunk]:
    """Yield a frame that is in memory as blocks."""
    told = _tell_columns(file, frame.schema, layout, problems)
    for start in range(0, len(frame), _ROWS):
        part = frame.slice(start, _ROWS)
        yield Chunk(file, part, np.arange(start + 1, start + 1 + len(part)), told)
