"""Tables that plug-ins make: a function from the source's config to a frame, which is checked like every table.

Imports no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import polars as pl

from hybrid_trainer.config.data import DataConfig
from hybrid_trainer.errors import ConfigError, TableError
from hybrid_trainer.plugins import own_code
from hybrid_trainer.registry import Registry

SOURCES: Registry[Callable[[Any], pl.DataFrame]] = Registry("source")
_kept: dict[str, pl.DataFrame] = {}  # from the look at the columns until the table is read: a query may take minutes


def frame_for(config: DataConfig, *, keep: bool = False) -> pl.DataFrame | None:
    """The table of a plug-in's source, as it gives it; None where the config names a built-in one.

    Args:
        keep: the next call with this config is given the same table, and not asked for again.

    Raises:
        ConfigError: the function fails, or gives something else; the text says where.
    """
    if config.name not in SOURCES:
        return None
    name = json.dumps(asdict(config), sort_keys=True, default=str)
    frame = _kept.pop(name, None)
    if frame is None:
        frame = _made(config)
    if keep:
        _kept.clear()
        _kept[name] = frame
    return frame


def _made(config: DataConfig) -> pl.DataFrame:
    maker = SOURCES.get(config.name, "data.name")
    what = f"source '{config.name}'"
    with own_code(what, maker):
        frame: object = maker(config)
    if not isinstance(frame, pl.DataFrame):
        raise ConfigError(f"{what}: it made a {type(frame).__name__}, not a polars.DataFrame")
    if not len(frame):
        raise TableError(f"data={config.name}: the table has no row")
    return frame


def digest(frame: pl.DataFrame) -> str:
    """SHA-256 of a table's content, column by column: what stands for the digest of a file."""
    sha = hashlib.sha256()
    for column in frame:
        sha.update(json.dumps([column.name, str(column.dtype), len(column)]).encode())
        sha.update(column.is_null().to_numpy().tobytes())
        if column.dtype.is_numeric() or column.dtype.is_temporal():
            sha.update(column.to_physical().fill_null(0).to_numpy().tobytes())
        else:
            texts = column.cast(pl.String, strict=False).fill_null("")
            sha.update(texts.str.len_bytes().to_numpy().tobytes())
            sha.update("".join(texts).encode())
    return sha.hexdigest()
