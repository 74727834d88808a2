"""From what a config names to a `Table`: a user's files, the embedded set, synthetic, a plug-in's. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import polars as pl

from hybrid_trainer.config.data import DataConfig, SyntheticData, TableData
from hybrid_trainer.config.targets import TargetConfig
from hybrid_trainer.data import own_sources, synthetic
from hybrid_trainer.data.checks import Problems
from hybrid_trainer.data.chunks import Chunk, OddFileError, chunks_of, frame_chunks
from hybrid_trainer.data.columns import Columns
from hybrid_trainer.data.gaps import cut_at_gaps
from hybrid_trainer.data.ingest import Ingest, Rules
from hybrid_trainer.data.layout import Layout, layout_for
from hybrid_trainer.data.parts import columns_of, content_digest, find_parts, is_csv, stamp
from hybrid_trainer.data.store import VERSION, Store, cache_folder, table_of
from hybrid_trainer.data.table import Table
from hybrid_trainer.errors import TableError, did_you_mean

SYNTHETIC = "data=synthetic"
CACHED_FROM = 1_000_000  # rows; with data.cache=auto, a smaller table is read anew in less time than it takes to notice


def load_table(
    config: DataConfig,
    targets: dict[str, TargetConfig],
    *,
    cache_dir: str | None = None,
    rows_needed: int = 1,
    why: str = "",
) -> Table:
    """Read and check the table that a config names, with the columns that the active targets need.

    Args:
        cache_dir: where large tables are kept between runs; see `store.cache_folder`.
        rows_needed: rows that one instrument must have at least; `why` says what for.

    Raises:
        TableError: the table can't be read or its content is wrong; every fault found is in the text.
    """
    rules = Rules(missing=config.missing, on_error=config.on_error, rows_needed=rows_needed, why=why)
    source = _source_of(config, targets, rules, own_sources.frame_for(config))
    most_in_memory = {"auto": CACHED_FROM, "always": 0, "never": None}[config.cache]
    table = _table(source, most_in_memory, Store(cache_folder(cache_dir)))
    return cut_at_gaps(table, config.max_gap, independent=config.independent_sequences)


def check_columns(config: DataConfig, targets: dict[str, TargetConfig]) -> Layout:
    """Look at a table's header alone: a wrong path or column is told before a run has a directory."""
    if isinstance(config, SyntheticData):
        return layout_for(config, targets, list(synthetic.COLUMNS), SYNTHETIC)
    source = _source_of(config, targets, Rules(missing=config.missing), own_sources.frame_for(config, keep=True))
    if source.faults:  # since it can't be used, everything else that is wrong is told as well
        _table(source, None, Store(cache_folder(None)))
    return source.layout


def _source_of(config: DataConfig, targets: dict[str, TargetConfig], rules: Rules, own: pl.DataFrame | None) -> _Source:
    """What a config names. own: the table of a plug-in's source, None for the built-in ones."""
    if own is not None:
        file = f"data={config.name}"
        layout = layout_for(config, targets, own.columns, file)
        frame = own.select(layout.all_columns)
        return _frame_source(file, frame, layout, rules, own_sources.digest(frame))
    if isinstance(config, SyntheticData):
        frame = synthetic.frame(config)
        layout = layout_for(config, targets, list(synthetic.COLUMNS), SYNTHETIC)
        return _frame_source(SYNTHETIC, frame, layout, rules, synthetic.digest(frame))
    return _file_source(table_path(config), rules, lambda columns, file: layout_for(config, targets, columns, file))


def table_path(config: DataConfig) -> Path:
    """The file or folder that a config names: the user's own, or the embedded set."""
    if isinstance(config, TableData):
        assert config.path is not None
        return Path(config.path)
    return Path(str(files("hybrid_trainer.data") / "us_stocks.csv.gz"))


def read_table(path: Path, layout: Layout, *, missing: str = "error", on_error: str = "raise") -> Table:
    """Read the columns of `layout`, check every row, sort by instrument and time; all in memory.

    Args:
        missing, on_error: see `Rules`.
    """

    def checked(columns: list[str], file: str) -> Layout:
        lacking = [name for name in layout.all_columns if name not in columns]
        if lacking:
            raise TableError(
                "\n".join(f"{file}: there is no column '{name}'{did_you_mean(name, columns)}" for name in lacking)
            )
        return layout

    source = _file_source(path, Rules(missing=missing, on_error=on_error), checked)
    return _table(source, None, Store(cache_folder(None)))


@dataclass(frozen=True, kw_only=True)
class _Source:
    """What is to be read, and how.

    Attributes:
        stamp, digest: whether the content has changed, told by looks alone, and told by the content.
        size: bytes. newest: ns, when it was last written to.
        chunks: its rows as blocks, read fast or with care. faults: what is known to be wrong before any row is read.
        fast: whether there are two ways of reading.
    """

    file: str
    layout: Layout
    rules: Rules
    stamp: Callable[[], str]
    digest: Callable[[], str]
    size: int
    newest: int
    chunks: Callable[[Problems, bool], Iterable[Chunk]]
    faults: list[str]
    fast: bool


def _file_source(path: Path, rules: Rules, layout_of: Callable[[list[str], str], Layout]) -> _Source:
    parts = find_parts(path)
    columns, faults = columns_of(parts)
    try:
        layout = layout_of(columns, str(path))
    except TableError as error:
        raise TableError("\n".join([*faults, str(error)])) from error
    return _Source(
        file=str(path),
        layout=layout,
        rules=rules,
        stamp=lambda: stamp(parts),
        digest=lambda: content_digest(path, parts),
        size=sum(part.path.stat().st_size for part in parts),
        newest=max(part.path.stat().st_mtime_ns for part in parts),
        chunks=lambda problems, careful: chunks_of(parts, columns, layout, problems, careful=careful),
        faults=faults,
        fast=is_csv(path) and not faults,
    )


def _frame_source(file: str, frame: pl.DataFrame, layout: Layout, rules: Rules, digest: str) -> _Source:
    return _Source(
        file=file,
        layout=layout,
        rules=rules,
        stamp=lambda: digest,
        digest=lambda: digest,
        size=0,
        newest=0,
        chunks=lambda problems, careful: frame_chunks(file, frame, layout, problems),
        faults=[],
        fast=False,
    )


def _table(source: _Source, most_in_memory: int | None, store: Store) -> Table:
    """Take a table from the store, or read it: fast, and where anything is odd again with care."""
    looks = source.stamp()
    known = None if most_in_memory is None else store.digest(looks)
    if known is None and most_in_memory is not None and store.holds(_kind(source)):
        known = source.digest()  # first, since the table may be there
    table = None if most_in_memory is None or known is None else store.open(_key(source, known), source.file)
    if table is None:
        with ThreadPoolExecutor(1) as pool:  # the file is hashed while it is read
            digest = (lambda: known) if known is not None else pool.submit(source.digest).result
            table = _read(source, looks, digest, most_in_memory, store)
    elif fault := source.rules.length_fault(source.file, table.blocks):
        raise TableError(fault)
    if isinstance(table.timestamp, np.memmap):
        store.remember(looks, table.sha256, source.newest)
    return table


def _read(source: _Source, looks: str, digest: Callable[[], str], most_in_memory: int | None, store: Store) -> Table:
    try:
        return _ingested(source, looks, digest, most_in_memory, store, careful=not source.fast)
    except OddFileError:
        return _ingested(source, looks, digest, most_in_memory, store, careful=True)


def _ingested(
    source: _Source,
    looks: str,
    digest: Callable[[], str],
    most_in_memory: int | None,
    store: Store,
    *,
    careful: bool,
) -> Table:
    columns = Columns(most_in_memory, store.new_folder)
    try:
        ingest = Ingest(source.file, source.layout, source.rules, columns)
        for fault in source.faults:
            ingest.problems.add(fault)
        ingest.take(source.chunks(ingest.problems, careful))
        ingest.finish()
        if ingest.problems.lines and not careful:
            raise OddFileError  # a line of a CSV file is counted only by the careful reader
        if source.rules.on_error == "raise" or ingest.problems.whole_file:
            ingest.problems.raise_if_any()
        sha256 = digest()
        if source.stamp() != looks:
            raise TableError(f"{source.file}: the file changed while it was read; start again when it is complete")
        manifest = ingest.manifest() | {"sha256": sha256, "version": VERSION}
        if columns.folder is None:
            return table_of(columns, manifest)
        store.publish(_key(source, sha256), columns, manifest)
    finally:
        columns.discard_files()
    table = store.open(_key(source, sha256), source.file)
    if table is None:
        raise TableError(f"{source.file}: its copy in {store.folder} was removed while it was being made; start again")
    return table


def _key(source: _Source, digest: str) -> str:
    """The name of a stored table: all that its content depends on."""
    kind = _kind(source)
    return kind + hashlib.sha256(f"{kind}{digest}".encode()).hexdigest()[len(kind) :]


def _kind(source: _Source) -> str:
    """How the names begin of all tables that differ in their content alone."""
    told = {
        "version": VERSION,
        "on_error": source.rules.on_error,
        "size": source.size,
        "layout": asdict(source.layout),
        "missing": source.rules.missing,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:24]
