"""When a fit's state is written: after each epoch, between steps where asked for, and before a signal ends it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hybrid_trainer.callbacks.base import Callback
from hybrid_trainer.engine.checkpoint_store import CheckpointStore
from hybrid_trainer.monitor import Monitor

if TYPE_CHECKING:
    from hybrid_trainer.trainer import Trainer

_MINUTE_S = 60.0


class Checkpoint(Callback):
    """Keeps the last state, to go on from, and the weights of the best epoch.

    Args:
        store: where they go. monitor: decides what is best.
        tasks: decide what is best for each task; its weights are kept as well.
        every_steps: write the state after so many steps of an epoch as well; None: not by steps.
        every_minutes: and when the last one is so long ago; None: not by time.
        fingerprint: what the run computes with and on, plain types; kept in each state.
    """

    def __init__(
        self,
        store: CheckpointStore,
        monitor: Monitor,
        *,
        tasks: Mapping[str, Monitor] | None = None,
        every_steps: int | None = None,
        every_minutes: float | None = None,
        fingerprint: dict[str, Any] | None = None,
    ) -> None:
        self.store = store
        self.monitor = monitor
        self.tasks = dict(tasks or {})
        self.every_steps = every_steps
        self.every_minutes = every_minutes
        self.fingerprint = fingerprint or {}
        self._saved_at = time.monotonic()

    def fit_start(self, trainer: Trainer) -> None:
        """Start the clock."""
        self._saved_at = time.monotonic()

    def step_end(self, trainer: Trainer) -> None:
        """Write the state where it is time."""
        by_steps = self.every_steps is not None and trainer.step_in_epoch % self.every_steps == 0
        minutes = (time.monotonic() - self._saved_at) / _MINUTE_S
        if by_steps or (self.every_minutes is not None and minutes >= self.every_minutes):
            self._save(trainer)

    def epoch_end(self, trainer: Trainer) -> None:
        """Write the best weights and the state; 'improved?' is the monitor's answer alone."""
        row = trainer.history[-1]
        if self.monitor.update(row):
            self.store.save_best(trainer.epoch, trainer.evaluated_weights())
        for task, monitor in self.tasks.items():
            if monitor.update(row):
                self.store.save_best(trainer.epoch, trainer.evaluated_weights(), task)
        self._save(trainer)

    def interrupted(self, trainer: Trainer) -> None:
        """Write the state before a signal ends the fit."""
        self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        bests = {task: monitor.best_epoch for task, monitor in self.tasks.items()}
        extra = {"best_epoch": self.monitor.best_epoch, "task_bests": bests, "fingerprint": self.fingerprint}
        self.store.save_last(trainer.state_dict() | extra)
        self._saved_at = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """The monitors'."""
        tasks = {"tasks": {task: monitor.state_dict() for task, monitor in self.tasks.items()}} if self.tasks else {}
        return {"monitor": self.monitor.state_dict()} | tasks

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state; the monitor of a task that is not in it begins anew."""
        self.monitor.load_state_dict(state["monitor"])
        for task, of_task in state.get("tasks", {}).items():
            if task in self.tasks:
                self.tasks[task].load_state_dict(of_task)
