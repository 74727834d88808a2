"""Trials of batch sizes; on a CPU each in a process of its own, which may run out of memory all by itself."""

from __future__ import annotations

import gc
import multiprocessing
import re
import resource
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_trainer import memory
from hybrid_trainer.config.schema import Config
from hybrid_trainer.errors import TrainingError, UserError
from hybrid_trainer.runs.logs import quiet
from hybrid_trainer.tune.trial import Trial, dataset_of, with_values

if TYPE_CHECKING:
    from hybrid_trainer.data.dataset import Dataset

_SHARE = 0.9  # of the memory that is free: the rest is for everybody else
# What oneDNN and the C++ library say where torch itself would have named its allocator.
_ALSO = re.compile(r"could not (?:create|execute|allocate)|[Cc]annot allocate|can't allocate|can't start new thread")


class Trials:
    """Knows whether a batch size fits, by trying it.

    Args:
        config: a run's, checked. seconds: of updates that are timed, of each size.
        free: bytes that a trial on a CPU may take; None: nine tenths of what the machine and its control groups have.

    Attributes:
        speeds: windows per second of each size that fitted; None for those that did not.
        rows: training windows. device: cpu or cuda. free: bytes; on a GPU the card says when it is full.
    """

    def __init__(self, config: Config, seconds: float, free: int | None = None) -> None:
        # One thread until a trial has its own process: GNU's OpenMP does not survive a fork once it has had two.
        self._data, on = dataset_of(with_values(config, {"training.threads": 1}))
        self._config, self._seconds = config, seconds
        self.rows, self.device = len(self._data.split.rows["train"]), on.device.type
        self.free = int(_SHARE * memory.available_bytes()) if free is None else free
        self.speeds: dict[int, float | None] = {}

    def fits(self, size: int) -> bool:
        """Whether a few updates with batches of this size go well.

        Raises:
            UserError: they don't, for another reason than memory.
        """
        config = with_values(self._config, {"training.batch_size": size})
        found = self._apart(config) if self.device == "cpu" else _speed(config, self._data, self._seconds)
        if isinstance(found, UserError):
            raise found
        self.speeds[size] = found
        return found is not None

    def _apart(self, config: Config) -> float | UserError | None:
        """The same in a child process, which has the data as this one has them."""
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(theirs, config, self._data, self._seconds, self.free), daemon=True)
        try:
            child.start()
            theirs.close()
            found: float | UserError | None = ours.recv()
        except EOFError:  # it was killed, or a library gave up
            found = None
        except KeyboardInterrupt:
            if child.pid is not None:
                child.kill()
            raise
        finally:
            ours.close()
            if child.pid is not None:
                child.join()
        return found


def _child(answer: Connection, config: Config, data: Dataset, seconds: float, free: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # the parent says what there is to say
    limit_memory(free)
    answer.send(_speed(config, data, seconds))


def limit_memory(more: int) -> None:
    """Let this process take so many bytes more than it has.

    RLIMIT_DATA counts private memory that can be written to: maps of files, which cost nothing that is needed, are not
    in it (getrlimit(2)).
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    taken = int(status.partition("VmData:")[2].split()[0]) << 10
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limit = taken + more if hard == resource.RLIM_INFINITY else min(taken + more, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _speed(config: Config, data: Dataset, seconds: float) -> float | UserError | None:
    """Windows per second; None where memory does not suffice; another error as one line."""
    size = config.training.batch_size
    try:
        with quiet():
            trial = Trial(config, data)
            return trial.windows_per_step() / trial.seconds_per_step(seconds, 1)
    except UserError as error:
        return type(error)(str(error))
    except (RuntimeError, MemoryError, OSError) as error:
        if memory.explained(error) is not None or _ALSO.search(str(error)):
            return None
        return TrainingError(f"batches of {size}: {type(error).__name__}: {' '.join(str(error).split())}")
    finally:
        trial = None  # type: ignore[assignment]
        _empty_gpu()


def _empty_gpu() -> None:
    """Return what a trial leaves in caches, so that the next one finds what a run would find."""
    import torch

    gc.collect()  # a trial and its batches know each other
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
