"""A table on disk: one file per column, memory-mapped; written once, shared by all runs. Imports no torch.

CACHE/tables/KEY/       manifest.json, 0.bin, 1.bin, ...: a finished table
CACHE/tables/.new-...   one that is being written; a rename makes it a finished one
CACHE/digests/STAMP     the content digest of files that have not changed since, so that they need not be read
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_trainer.data.columns import Columns
from hybrid_trainer.data.layout import Layout
from hybrid_trainer.data.room import sweep
from hybrid_trainer.data.table import Coded, Table
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.runs.atomic import umask, write_json, write_text

VERSION = 3
_MANIFEST = "manifest.json"
_TUPLES = ("numbers", "labels", "optional", "whole", "categories")
_SETTLED = 2_000_000_000  # ns: a file written to more recently may change once more under the same time stamp


class Store:
    """The tables under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, key: str, file: str) -> Table | None:
        """The table of a key, None where there is none; `file` is its name in messages."""
        place = self._tables / key
        try:
            manifest = json.loads((place / _MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        manifest = _renamed(manifest, manifest["file"], file)
        arrays: dict[str, Any] = {}
        for index, (name, kind) in enumerate(manifest["columns"]):
            path = place / f"{index}.bin"
            with suppress(OSError, ValueError):  # a file that is gone or too short
                arrays[name] = np.memmap(path, dtype=np.dtype(kind), mode="r", shape=(manifest["rows"],))
        return _table(arrays, manifest | {"key": key}) if len(arrays) == len(manifest["columns"]) else None

    def holds(self, kind: str) -> bool:
        """Whether there is a table whose key begins so."""
        return next(self._tables.glob(f"{kind}*"), None) is not None

    def new_folder(self) -> Path:
        """A folder to write columns to, next to where they will stand."""
        try:
            self._tables.mkdir(parents=True, exist_ok=True)
            sweep(self._tables, ".new-*")
            return Path(tempfile.mkdtemp(dir=self._tables, prefix=".new-"))
        except OSError as error:
            raise ConfigError(
                f"paths.cache_dir: {self.folder} cannot be written to ({error.strerror}); set paths.cache_dir, or "
                "data.cache=never to keep the table in memory"
            ) from error

    def publish(self, key: str, columns: Columns, manifest: dict[str, Any]) -> None:
        """Make written columns the table of a key; where another process was faster, its table stays."""
        assert columns.folder is not None
        folder, place = columns.folder, self._tables / key
        write_json(folder / _MANIFEST, manifest | {"rows": columns.rows, "columns": columns.types()})
        columns.sync()
        folder.chmod(0o777 & ~umask())  # the maker's alone until here
        if place.exists() and self.open(key, "") is None:
            shutil.rmtree(place, ignore_errors=True)  # damaged
        try:
            folder.rename(place)
        except OSError:  # not empty: another process was faster
            if not place.exists():
                raise

    def digest(self, stamp: str) -> str | None:
        """The content digest of files with this stamp, if it is known."""
        try:
            return (self.folder / "digests" / stamp).read_text(encoding="utf-8")
        except OSError:
            return None

    def remember(self, stamp: str, digest: str, newest_ns: int) -> None:
        """Keep the content digest of files, unless the newest was written to a moment ago."""
        if time.time_ns() - newest_ns > _SETTLED:
            write_text(self.folder / "digests" / stamp, digest)

    @property
    def _tables(self) -> Path:
        return self.folder / "tables"


def cache_folder(configured: str | None) -> Path:
    """`paths.cache_dir`, or hybrid_trainer in the user's cache folder, or without a home in the temporary one."""
    if configured is not None:
        return Path(configured)
    given = os.environ.get("XDG_CACHE_HOME")
    try:
        folder = Path(given) if given else Path.home() / ".cache"
    except RuntimeError:
        folder = Path(tempfile.gettempdir())
    return folder / "hybrid_trainer"


def table_of(columns: Columns, manifest: dict[str, Any]) -> Table:
    """The table of columns that are in memory."""
    return _table({name: columns[name] for name in columns.names}, manifest)


def _renamed(manifest: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    """The same content may stand in several places: what is said of it names the one that was asked for."""
    notes = [note.replace(old, new, 1) for note in manifest["notes"]]
    dropped = [
        kind | {"first": [place.replace(old, new, 1) for place in kind["first"]]}
        for kind in manifest["report"]["dropped"]
    ]
    parts = [(name.replace(old, new, 1), before) for name, before in manifest["parts"]]
    report = manifest["report"] | {"file": new, "dropped": dropped, "notes": notes}
    return manifest | {"file": new, "notes": notes, "parts": parts, "report": report}


def _table(arrays: dict[str, Any], manifest: dict[str, Any]) -> Table:
    """Put the columns where they belong."""
    layout = manifest["layout"]
    tuples: dict[str, Any] = {name: tuple(layout[name]) for name in _TUPLES}
    tuples["context"] = {name: tuple(columns) for name, columns in layout["context"].items()}
    return Table(
        file=manifest["file"],
        sha256=manifest["sha256"],
        layout=Layout(**(layout | tuples)),
        timestamp=arrays["timestamp"],
        instrument=arrays["instrument"],
        instruments=tuple(manifest["instruments"]),
        line=arrays["line"],
        prices={name: arrays[f"prices.{name}"] for name in layout["prices"]},
        numbers={name: arrays[f"numbers.{name}"] for name in layout["numbers"]},
        labels={name: Coded(arrays[f"labels.{name}"], tuple(names)) for name, names in manifest["labels"].items()},
        categories={
            name: Coded(arrays[f"categories.{name}"], tuple(names)) for name, names in manifest["categories"].items()
        },
        notes=tuple(manifest["notes"]),
        parts=tuple((name, before) for name, before in manifest["parts"]),
        report=manifest["report"],
        key=manifest.get("key", ""),
    )
