"""The checkpoints of one run: the last ones, to go on from, and the weights of the best epoch, or of each task's.

last-EPOCH-STEP.pt   all state of the fit after EPOCH finished epochs and STEP steps of the next
best-EPOCH.pt        the weights that were evaluated after epoch EPOCH
best-TASK-EPOCH.pt   the same, of the epoch that is the best for one task

The newest two of each are kept: where the newest state is damaged, the one before it and its best are still there.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from hybrid_trainer.engine.checkpoint_file import load_checkpoint, manifest_of, remove_checkpoint, save_checkpoint
from hybrid_trainer.errors import RunDirError
from hybrid_trainer.runs.atomic import remove_leftovers

log = logging.getLogger(__name__)

_KEPT = 2


class CheckpointStore:
    """Reads and writes the checkpoints in a folder.

    Args:
        writes: False in processes that train along: what is there is the first process's alone.
    """

    def __init__(self, folder: Path, *, writes: bool = True) -> None:
        self.folder = folder
        self.writes = writes
        self._newest: tuple[Path, int] | None = None  # the one that this process has written or taken last

    def save_last(self, state: dict[str, Any]) -> None:
        """Write a state, named by its `epoch` and `step_in_epoch`, and let go of those that are no longer needed."""
        path = self._last(int(state["epoch"]), int(state["step_in_epoch"]))
        newest = path, int(state["rollbacks"])
        if newest == self._newest or not self.writes:
            return  # a signal came right behind a checkpoint
        save_checkpoint(path, state)
        self._newest = newest
        for old in self._finished("last"):
            if _place(old) > _place(path):
                remove_checkpoint(old)  # training has gone back since
        self._let_go()

    def _let_go(self) -> None:
        """Remove those that are older than the newest two; a killed process may not have come to that."""
        for kind in self._kinds():
            for old in self._finished(kind)[:-_KEPT]:
                remove_checkpoint(old)

    def save_best(self, epoch: int, weights: dict[str, Any], task: str | None = None) -> None:
        """Write the weights of the best epoch so far, or of the best for a task; before the state that says so."""
        if self.writes:
            save_checkpoint(self.best_path(epoch, task), {"epoch": epoch, "model": weights})

    def load_last(self, device: torch.device) -> dict[str, Any] | None:
        """The newest state that is sound, as are the best epochs that it names; None where there is no checkpoint.

        Damaged ones are named in the log and set aside.

        Raises:
            RunDirError: there are checkpoints, and none of them can be used.
        """
        found = self._finished("last")
        for path in reversed(found):
            try:
                state = load_checkpoint(path, device)
                bests = {None: state["best_epoch"], **state.get("task_bests", {})}
                for task, epoch in bests.items():
                    if epoch is not None:
                        load_checkpoint(self.best_path(epoch, task), torch.device("cpu"))
            except RunDirError as error:
                log.warning("%s; the checkpoint before it is taken", error)
                continue
            if self.writes:
                self._cut_back(path, state)
            self._newest = path, int(state["rollbacks"])
            return state
        self._tidy_up()
        if found:
            raise RunDirError(f"{self.folder}: none of the {len(found)} checkpoint(s) can be used; begin a new run")
        return None

    def load_best(self, epoch: int, device: torch.device, task: str | None = None) -> dict[str, Any]:
        """The weights of the best epoch, or of the one that is the best for a task.

        Raises:
            RunDirError: they are missing or damaged.
        """
        weights: dict[str, Any] = load_checkpoint(self.best_path(epoch, task), device)["model"]
        return weights

    def best_path(self, epoch: int, task: str | None = None) -> Path:
        """The file of the best epoch's weights, or of the one that is the best for a task."""
        return self.folder / f"best-{'' if task is None else f'{task}-'}{epoch:04}.pt"

    def _last(self, epoch: int, step: int) -> Path:
        return self.folder / f"last-{epoch:04}-{step:07}.pt"

    def _kinds(self) -> list[str]:
        """`last`, `best`, and `best-TASK` of each task that has one here."""
        found = {
            name.rpartition("-")[0] for path in self.folder.glob("best-*.pt*") if (name := path.name.split(".")[0])
        }
        return ["last", "best", *sorted(found - {"best"})]

    def _named(self, kind: str, ending: str) -> list[Path]:
        """The files of one kind, whatever their state; a task's name is no number."""
        return list(self.folder.glob(f"{kind}-[0-9]*{ending}"))

    def _finished(self, kind: str) -> list[Path]:
        """The checkpoints that have been written to the end, the oldest first."""
        return sorted((path for path in self._named(kind, ".pt") if manifest_of(path).exists()), key=_place)

    def _cut_back(self, taken: Path, state: dict[str, Any]) -> None:
        """Set aside what is newer than the state that was taken, and remove what is half there."""
        for path in self._finished("last"):
            if _place(path) > _place(taken):
                manifest_of(path).unlink()
                path.replace(path.with_name(f"{path.name}.damaged"))
        for path in (path for kind in self._kinds()[1:] for path in self._finished(kind)):
            if _place(path)[0] > int(state["epoch"]):
                remove_checkpoint(path)
        self._tidy_up()
        self._let_go()

    def _tidy_up(self) -> None:
        """Remove what a killed process has half written or half removed."""
        remove_leftovers(self.folder)
        for kind in self._kinds():
            for path in self._named(kind, ".pt"):
                if not manifest_of(path).exists():
                    remove_checkpoint(path)
            for manifest in self._named(kind, ".pt.sha256"):
                if not manifest.with_suffix("").exists():
                    manifest.unlink()


def _place(path: Path) -> tuple[int, ...]:
    """Epoch and step from a name: as text, epoch 10000 would stand before 9999."""
    return tuple(int(word) for word in path.name.removesuffix(".pt").split("-") if word.isdecimal())
