"""What goes wrong inside a child: a kill at a file-system operation of a checkpoint, a limit, notes for the test."""

from __future__ import annotations

import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from hybrid_trainer.engine.checkpoint_store import CheckpointStore
from hybrid_trainer.trainer import Trainer


@contextmanager
def follow(plan: dict[str, Any]) -> Iterator[None]:
    """Carry out a plan while the block runs.

    kill_at N: the signal `number` (SIGKILL) at the N-th point of all checkpoint writes; points FILE: where to note how
    many there were, or where that was. file_size N: no file may grow larger. steps FILE: a line per finished step.
    """
    with ExitStack() as stack:
        if "points" in plan:
            stack.enter_context(Points(Path(plan["points"]), plan.get("kill_at"), plan.get("number", 9)))
        if "file_size" in plan:
            resource.setrlimit(resource.RLIMIT_FSIZE, (plan["file_size"], plan["file_size"]))
        if "steps" in plan:
            stack.enter_context(_noting_steps(Path(plan["steps"])))
        yield


class Points:
    """The moments of all checkpoint writes: before and behind each file-system call, and between two bytes.

    `writes`, of a file's bytes, are cut in two; so are the moments between a file and its manifest, and while old
    checkpoints are removed.
    """

    def __init__(self, notes: Path, kill_at: int | None, number: int) -> None:
        self.notes = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        self.kill_at = kill_at
        self.number = number
        self.count = 0
        self.depth = 0
        self.stack = ExitStack()

    def __enter__(self) -> None:
        for name in ("open", "fsync", "chmod", "replace", "unlink"):
            self._patch(os, name, self._around(getattr(os, name), name))
        self._patch(tempfile, "mkstemp", self._around(tempfile.mkstemp, "mkstemp"))
        self._patch(Path, "write_bytes", lambda path, content: self._torn(path, content))
        for name in ("save_last", "save_best"):
            self._patch(CheckpointStore, name, self._inside(getattr(CheckpointStore, name)))

    def __exit__(self, *error: object) -> None:
        self.stack.close()
        os.pwrite(self.notes, str(self.count).encode(), 0)

    def _patch(self, owner: Any, name: str, new: Any) -> None:
        self.stack.enter_context(mock.patch.object(owner, name, new))

    def _point(self, name: str) -> None:
        if not self.depth:
            return
        self.count += 1
        if self.count == self.kill_at:
            os.pwrite(self.notes, name.encode(), 0)
            os.kill(os.getpid(), self.number)

    def _inside(self, method: Callable[..., None]) -> Callable[..., None]:
        def inside(*arguments: Any) -> None:
            self.depth += 1
            try:
                method(*arguments)
            finally:
                self.depth -= 1

        return inside

    def _around(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def around(*arguments: Any, **named: Any) -> Any:
            self._point(f"before {name}")
            result = function(*arguments, **named)
            self._point(f"behind {name}")
            return result

        return around

    def _torn(self, path: Path, content: bytes) -> int:
        cut = len(content) * (self.count % 7) // 7
        with path.open("wb", buffering=0) as stream:
            self._point("before write")
            stream.write(content[:cut])
            self._point(f"in a write of {path.name[1:5]}")
            stream.write(content[cut:])
            self._point("behind write")
        return len(content)


@contextmanager
def _noting_steps(path: Path) -> Iterator[None]:
    """A line 'EPOCH STEP' for each finished step, before any callback hears of it."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    notify = Trainer._notify

    def noting(self: Trainer, moment: str) -> None:
        if moment == "step_end":
            os.write(handle, f"{self.epoch} {self.step_in_epoch}\n".encode())
        notify(self, moment)

    with mock.patch.object(Trainer, "_notify", noting):
        yield
