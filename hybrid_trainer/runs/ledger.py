"""The ledger of a sweep: a line for each change of a job, written by whoever knows; what it says outlives any process.

Lines are appended under a lock, each with one write, and are on the disk before anybody goes on. A line that was cut
off by a kill or a full disk is passed over and counted.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hybrid_trainer.runs.atomic import named_in_errors, without_nan
from hybrid_trainer.runs.provenance import is_alive

NAME = "ledger.jsonl"
RESULTS = ("complete", "pruned", "duplicate")
"""Statuses of jobs that have given what they were started for."""
ENDED = (*RESULTS, "failed", "interrupted")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the ledger says of one job.

    Attributes:
        status: queued, running, complete, failed, pruned, duplicate, interrupted, or killed: it is said to run, but its
            process is gone. folder: the run's, in the sweep's. key: tells its config from all others.
        process: the mark of the process that works, or worked, on it. keyed: the number of the line that said the key.
        began, ended: when. attempts: how often a process has begun with it.
    """

    number: int
    status: str = "queued"
    overrides: list[str] = field(default_factory=list)
    reason: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    folder: str = ""
    key: str = ""
    keyed: int = -1
    process: dict[str, Any] = field(default_factory=dict)
    began: datetime | None = None
    ended: datetime | None = None
    attempts: int = 0

    @property
    def alive(self) -> bool | None:
        """Whether a process works on it; None: on another machine, where that can't be told."""
        if self.status != "running":
            return False
        return is_alive(self.process)

    @property
    def standing(self) -> str:
        """The status, `killed` where its process is gone without a word."""
        return "killed" if self.status == "running" and self.alive is False else self.status

    @property
    def seconds(self) -> float | None:
        """How long its last process took, or takes; None: none has begun."""
        if self.began is None:
            return None
        return ((self.ended or datetime.now(UTC)) - self.began).total_seconds()


class Ledger:
    """The ledger in a sweep's folder.

    Attributes:
        jobs: what is known of each job since the last `refresh`. damaged: lines that can't be read.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / NAME
        self.jobs: dict[int, Entry] = {}
        self.damaged = 0
        self._lines = 0
        self._offset = 0

    def append(self, number: int, status: str, **facts: Any) -> None:
        """Add one line about a job.

        Args:
            facts: overrides, folder, key, process, reason or metrics; what isn't given stays as it was.
        """
        self._write([{"job": number, "status": status, **facts}])

    def queue(self, jobs: Iterable[tuple[int, list[str], str]]) -> None:
        """Enter jobs that are to be run: number, overrides, folder."""
        lines = [
            {"job": number, "status": "queued", "overrides": overrides, "folder": folder}
            for number, overrides, folder in jobs
        ]
        if lines:
            self._write(lines)

    def refresh(self) -> dict[int, Entry]:
        """Read what has been added; returns all jobs by number."""
        try:
            with self.file.open("rb") as stream:
                stream.seek(self._offset)
                added = stream.read()
        except FileNotFoundError:
            return self.jobs
        whole = added[: added.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            self._take(line)
        return self.jobs

    def _take(self, line: bytes) -> None:
        self._lines += 1
        try:
            said = json.loads(line)
            number = said["job"]
            self.jobs[number] = _next(self.jobs.get(number, Entry(number=number)), said, self._lines)
        except (ValueError, KeyError, TypeError):
            self.damaged += bool(line.strip())

    def _write(self, lines: list[dict[str, Any]]) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        text = "".join(json.dumps(without_nan(line | {"at": at}), ensure_ascii=False) + "\n" for line in lines)
        with named_in_errors(self.file), _locked(self.file) as handle:
            size = os.lseek(handle, 0, os.SEEK_END)
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            os.write(handle, ("\n" * torn + text).encode())
            os.fsync(handle)


@contextmanager
def _locked(file: Path) -> Iterator[int]:
    handle = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _next(entry: Entry, said: dict[str, Any], line: int) -> Entry:
    """What is known of a job after one more line."""
    status, at = str(said["status"]), datetime.fromisoformat(said["at"])
    new: dict[str, Any] = {name: said[name] for name in ("overrides", "folder") if name in said}
    if status == "queued":
        new |= {"reason": "", "metrics": {}, "key": "", "keyed": -1, "process": {}, "began": None, "ended": None}
        return replace(entry, status=status, **new)
    if "key" in said:
        new |= {"key": str(said["key"]), "keyed": line}
    if status == "running":
        if "process" in said and said["process"] != entry.process:
            new |= {"process": said["process"], "began": at, "attempts": entry.attempts + 1}
        return replace(entry, status=status, **new | {"reason": "", "metrics": {}, "ended": None})
    metrics = {str(name): float(value) for name, value in said.get("metrics", {}).items() if value is not None}
    new |= {"reason": str(said.get("reason") or ""), "metrics": metrics, "ended": at}
    return replace(entry, status=status, **new)
