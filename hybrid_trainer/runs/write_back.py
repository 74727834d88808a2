"""Files that go to the disk while they are still being written, so that the last word needn't wait for all of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_PAUSE = 0.05  # seconds between two rounds: a file that is written to the whole time is not gone through without end


class WriteBack:
    """A thread that has files written to the disk, over and over, until `finish` or `stop`.

    It saves time and nothing else: a file is safe when it was synced after its last change, so call `sync` then.

    Args:
        paths: which files there are now; asked in every round, in the thread.
    """

    def __init__(self, paths: Callable[[], Iterable[Path]]) -> None:
        self._paths = paths
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="write-back")
        self._work = self._pool.submit(self._run)

    def finish(self) -> None:
        """End, and raise the OSError that a disk answered with: a later sync doesn't say it again."""
        self.stop()
        self._work.result()

    def stop(self) -> None:
        """End, whatever came of it."""
        self._over.set()
        self._pool.shutdown()

    def _run(self) -> None:
        while not self._over.wait(_PAUSE):
            for path in self._paths():
                if not self._over.is_set():
                    sync(path)


def sync(path: Path) -> None:
    """Wait until the disk has what a file, or the list of a folder, holds."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
