"""Where a study is kept: a journal file, which many processes may share, or any database that Optuna knows."""

from __future__ import annotations

import fcntl
import os
import time
import warnings
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, get_storage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock  # which nothing public names

from hybrid_trainer.errors import ConfigError

JOURNAL = "study.journal"
_HERE = "hydra.sweeper.storage"
_TRIES, _PAUSE_S = 20, 0.1


def is_url(storage: str) -> bool:
    """Whether a storage is a database, not a file."""
    return "://" in storage


def without_password(storage: str) -> str:
    """A storage as it may be shown."""
    scheme, marks, rest = storage.partition("://")
    login, at, place = rest.rpartition("@")
    return f"{scheme}{marks}{login.partition(':')[0]}{at}{place}"


def open_storage(storage: str) -> BaseStorage:
    """Open a storage, which is made where there is none.

    Args:
        storage: a database's URL, or the path of a journal file.

    Raises:
        ConfigError: it can't be opened; the text says why.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # each trial is told by the sweep itself
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        try:
            if is_url(storage):
                return get_storage(_database(storage))
            return JournalStorage(JournalFileBackend(storage, lock_obj=FlockLock(Path(storage))))
        except Exception as error:  # the databases' drivers, and a file that is no journal, have no class in common
            raise _unusable(storage, error) from error


def _database(url: str) -> RDBStorage:
    """A database; where several machines come to an empty one at once, each makes tables that another has just made."""
    for _ in range(_TRIES - 1):
        try:
            return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        except Exception as error:
            if not any(said in str(error) for said in ("already exists", "duplicate key")):
                raise
            time.sleep(_PAUSE_S)
    return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})


class FlockLock(BaseJournalFileLock):
    """A lock that the system lets go of however its process ends; a last line that was half written is cut off.

    Optuna's own lock is a file, which a killed process leaves behind: the others would wait half a minute for it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def acquire(self) -> bool:
        """Wait until nobody else has it."""
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            _cut_a_torn_line(handle)
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle
        return True

    def release(self) -> None:
        """Let the next one have it."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _cut_a_torn_line(handle: int) -> None:
    """A process was killed, or the disk was full: what is appended would be unreadable together with its half line."""
    size = os.fstat(handle).st_size
    if size == 0 or os.pread(handle, 1, size - 1) == b"\n":
        return
    start = size
    while start > 0:
        block = os.pread(handle, min(start, 4096), max(start - 4096, 0))
        found = block.rfind(b"\n")
        start = max(start - 4096, 0)
        if found >= 0:
            os.ftruncate(handle, start + found + 1)
            return
    os.ftruncate(handle, 0)


def _unusable(storage: str, error: Exception) -> ConfigError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return ConfigError(f"{_HERE}: {without_password(storage)}: {lines[0]}")
