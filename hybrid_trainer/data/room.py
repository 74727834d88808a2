"""Where a run's large arrays live: in memory, or maps of files where they would not fit. Imports no torch.

CACHE/panels/KEY.bin     features that a later run with the same table and the same features starts from
CACHE/scratch/...        arrays of one run; a file's name is gone as soon as it is open, so nothing is left behind
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hybrid_trainer.errors import ConfigError
from hybrid_trainer.runs.atomic import replacing
from hybrid_trainer.runs.write_back import WriteBack

PIECE = 1 << 20  # rows that are gone through at a time, where a whole array would need memory of its own
_SMALL = 1 << 24  # bytes that are not worth a file
_STALE = 86_400  # seconds after which what is still being written was left by a process that died


class Room:
    """Makes arrays of any size.

    Args:
        folder: the cache folder; None keeps everything in memory.
        in_memory: bytes up to which an array that is kept counts as one in memory: where there is enough, the pages
            of its file stay there, and a copy would take as much once more.
    """

    def __init__(self, folder: Path | None = None, in_memory: int = 0) -> None:
        self.folder = folder
        self.in_memory = in_memory

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array of this run alone, not filled with anything."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if self.folder is None or size <= _SMALL:
            return np.empty(shape, dtype=dtype)
        scratch = self._folder("scratch")
        handle, name = tempfile.mkstemp(dir=scratch)
        try:
            Path(name).unlink()
            os.posix_fallocate(handle, 0, size)  # a full disk is told here, not by a signal when a page is written
            with os.fdopen(os.dup(handle), "r+b") as stream:
                return np.memmap(stream, dtype=dtype, mode="r+", shape=shape)
        except OSError as error:
            raise _no_room(scratch, size, error) from error
        finally:
            os.close(handle)

    def kept(
        self, key: str, shape: tuple[int, ...], dtype: DTypeLike, fill: Callable[[NDArray[Any]], None]
    ) -> NDArray[Any]:
        """An array under a key, to be read only: an earlier run's, or a new one that `fill` writes to.

        It is written aside and renamed when it is whole: of several processes one wins, and all of them work.
        """
        panels = self._folder("panels")
        path = panels / f"{key}.bin"
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if not size:
            return np.empty(shape, dtype=dtype)
        there = path.is_file() and path.stat().st_size == size
        if not there:
            sweep(panels, ".*.bin.*")
            with replacing(path) as temporary:
                _reserve(temporary, size)
                mapped = np.memmap(temporary, dtype=dtype, mode="r+", shape=shape)
                ahead = WriteBack(lambda: [temporary])
                try:
                    fill(mapped)
                finally:
                    ahead.stop()
                ahead.finish()
                mapped.flush()
        found = np.memmap(path, dtype=dtype, mode="r", shape=shape)
        return found if size > self.in_memory else found.view(np.ndarray)

    def _folder(self, name: str) -> Path:
        assert self.folder is not None
        folder = self.folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"paths.cache_dir: {self.folder} cannot be written to ({error.strerror}); set paths.cache_dir, or "
                "data.cache=never to keep the table in memory"
            ) from error
        return folder


def _reserve(path: Path, size: int) -> None:
    """Make a file as large as it will be: a full disk is told here, not by a signal when a page is written."""
    with path.open("r+b") as stream:
        try:
            os.posix_fallocate(stream.fileno(), 0, size)
        except OSError as error:
            raise _no_room(path.parent, size, error) from error


def _no_room(folder: Path, size: int, error: OSError) -> ConfigError:
    return ConfigError(
        f"paths.cache_dir: {folder} has no room for {size:,} bytes ({error.strerror}); set paths.cache_dir"
    )


def sweep(folder: Path, pattern: str) -> None:
    """Remove what processes that died have left half written: what is older than a day."""
    for left in folder.glob(pattern):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE:
                left.unlink() if left.is_file() else shutil.rmtree(left)


def on_disk(array: NDArray[Any]) -> bool:
    """Whether an array is a map of a file."""
    return isinstance(array, np.memmap)


IN_MEMORY = Room()
"""Makes every array in memory."""
