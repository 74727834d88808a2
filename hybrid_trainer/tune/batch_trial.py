"""Trials of batch sizes in a process of their own, which may run out of memory without taking anything with it."""

from __future__ import annotations

import multiprocessing
import re
import resource
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hybrid_trainer import memory
from hybrid_trainer.config.schema import Config
from hybrid_trainer.errors import TrainingError, UserError
from hybrid_trainer.runs.logs import quiet
from hybrid_trainer.tune.trial import Trial, dataset_of, with_values

_SHARE = 0.9  # of the memory that is free: the rest is for everybody else
# What oneDNN and the C++ library say where torch itself would have named its allocator.
_ALSO = re.compile(r"could not (?:create|execute|allocate)|bad_alloc|[Cc]annot allocate|can't allocate")


@dataclass(frozen=True)
class Found:
    """What the child process says of itself before the first trial: training rows, device, bytes it may take."""

    rows: int
    device: str
    limit: int


class Trials:
    """Asks a child process whether a batch size fits; starts another where one died of it.

    Attributes:
        speeds: windows per second of each size that fitted; None for those that did not.
    """

    def __init__(self, config: Config, seconds: float, limit: int | None = None) -> None:
        self._config, self._seconds, self._limit = config, seconds, limit
        self.speeds: dict[int, float | None] = {}

    def __enter__(self) -> Self:
        self.found = self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()  # the child reads its end, and leaves
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _start(self) -> Found:
        # A fresh interpreter: a fork of one with threads (polars' own) may hang.
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, self._config, self._seconds, self._limit), daemon=True
        )
        self._process.start()
        theirs.close()
        try:
            answer = self._connection.recv()
        except EOFError:
            raise TrainingError(
                "the data alone do not fit in memory: data.cache=always keeps table and features in files"
            ) from None
        if isinstance(answer, UserError):
            raise answer
        assert isinstance(answer, Found)
        return answer

    def fits(self, size: int) -> bool:
        """Whether a few updates with batches of this size go well."""
        try:
            self._connection.send(size)
            speed = self._connection.recv()
        except (EOFError, ConnectionError):  # it was killed, or a library gave up
            self._process.join()
            speed = None
            self._start()
        if isinstance(speed, UserError):
            raise speed
        self.speeds[size] = speed
        return speed is not None


def _serve(connection: Connection, config: Config, seconds: float, limit: int | None) -> None:
    """The child: load the data, then try each size that is asked for, until nobody asks any more."""
    try:
        with memory.told():
            free = memory.available_bytes() if limit is None else limit
            data, on = dataset_of(config)
            if on.device.type == "cpu":
                free = _limit_memory(free)
            connection.send(Found(len(data.split.rows["train"]), on.device.type, free))
        while True:
            connection.send(_try(config, data, connection.recv(), seconds))
    except UserError as error:
        connection.send(type(error)(str(error)))
    except EOFError:
        pass


def _limit_memory(free: int) -> int:
    """Let this process take nine tenths of what is free, and what it has already; returns how much more that is.

    RLIMIT_DATA counts private memory that can be written to: maps of files, which cost nothing that is needed, are not
    in it (getrlimit(2)).
    """
    more = int(_SHARE * free)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    taken = int(status.partition("VmData:")[2].split()[0]) << 10
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limit = taken + more if hard == resource.RLIM_INFINITY else min(taken + more, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    return limit - taken


def _try(config: Config, data: Any, size: int, seconds: float) -> float | UserError | None:
    """Windows per second with batches of this size; None where memory does not suffice."""
    import torch

    said: float | UserError | None = None
    try:
        with quiet():
            trial = Trial(with_values(config, {"training.batch_size": size}), data)
            said = trial.windows_per_step() / trial.seconds_per_step(seconds, 1)
    except UserError as error:
        said = type(error)(str(error))
    except (RuntimeError, MemoryError, OSError) as error:
        if memory.explained(error) is None and not _ALSO.search(str(error)):
            said = TrainingError(f"batches of {size}: {type(error).__name__}: {' '.join(str(error).split())}")
    trial = None  # type: ignore[assignment]
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # the next trial finds what a run would find
    return said
