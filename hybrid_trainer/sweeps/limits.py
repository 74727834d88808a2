"""What a job may take: time and memory, looked at from outside, since a limit on its address space would break CUDA."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil

from hybrid_trainer.runs.ledger import Entry
from hybrid_trainer.runs.provenance import is_alive

_MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """The most that a job may take; None: as much as there is."""

    seconds: float | None = None
    memory_mib: int | None = None

    def broken(self, entry: Entry) -> str:
        """Which limit a running job has broken, in one line; empty: none."""
        seconds = entry.seconds or 0.0
        if self.seconds is not None and seconds > self.seconds:
            return f"it took longer than hydra.launcher.time_limit allows ({self.seconds:g} s)"
        if self.memory_mib is not None:
            taken = memory_mib(entry.process)
            if taken > self.memory_mib:
                return f"it took {taken:,.0f} MiB of memory; hydra.launcher.memory_limit_mib allows {self.memory_mib:,}"
        return ""


def memory_mib(mark: dict[str, Any]) -> float:
    """The resident memory of a marked process and of its children, in MiB; 0 where it is gone."""
    if not is_alive(mark):
        return 0.0
    taken = 0
    with suppress(psutil.Error):
        process = psutil.Process(int(mark["pid"]))
        for each in [process, *process.children(recursive=True)]:
            with suppress(psutil.Error):
                taken += each.memory_info().rss
    return taken / _MIB


def tell(mark: dict[str, Any]) -> None:
    """Ask a marked process to stop: it writes a checkpoint."""
    if is_alive(mark):
        with suppress(ProcessLookupError):
            os.kill(int(mark["pid"]), signal.SIGTERM)


def kill(mark: dict[str, Any]) -> None:
    """End a marked process, which leads a session of its own, and all that it has started."""
    if is_alive(mark):
        with suppress(ProcessLookupError):
            os.killpg(int(mark["pid"]), signal.SIGKILL)
