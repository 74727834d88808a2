"""'Has it improved?': plain objects that stopping, saving and schedules share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hybrid_trainer.config.monitors import Score, Stalls
from hybrid_trainer.readings import MeanLoss, OneNumber, Reading, WeightedSum
from hybrid_trainer.types import EpochRow


class Monitor:
    """Remembers the best value of a reading.

    Args:
        reading: what is looked at, or the name of a number, such as valid/loss.
        mode: for a name: min, max, or auto: by what the metric means.
        min_delta: a change by no more than this is no improvement.
    """

    def __init__(self, reading: str | Reading, mode: str = "auto", min_delta: float = 0.0) -> None:
        self.reading = OneNumber(reading, mode) if isinstance(reading, str) else reading
        self.min_delta = min_delta
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.stalled = 0

    @property
    def metric(self) -> str:
        """What is looked at, in a user's words."""
        return self.reading.text

    @property
    def lower_is_better(self) -> bool:
        """Its direction."""
        return self.reading.lower_is_better

    def update(self, row: EpochRow) -> bool:
        """Look at an epoch row; return whether it is the best so far. NaN never is."""
        value = self.reading.value(row)
        better = not math.isnan(value) and (self.best is None or self._gain(value) > self.min_delta)
        if better:
            self.best, self.best_epoch, self.stalled = value, int(row["epoch"]), 0
        else:
            self.stalled += 1
        return better

    def why_stalled(self, patience: int) -> str | None:
        """A line where it has not improved for `patience` epochs."""
        if self.stalled < patience:
            return None
        return f"{self.metric} has not improved for {patience} epochs; {self._told()}"

    def _told(self) -> str:
        if self.best is None:
            return "it was never a number"
        return f"its best was {self.best:.6g} in epoch {self.best_epoch}"

    @property
    def _of(self) -> str:
        return f"{'smallest' if self.lower_is_better else 'largest'} {self.metric}"

    def _gain(self, value: float) -> float:
        assert self.best is not None
        return self.best - value if self.lower_is_better else value - self.best

    def state_dict(self) -> dict[str, Any]:
        """All that changes, as plain types, and what it is about."""
        own = {"of": self._of, "best": self.best, "best_epoch": self.best_epoch, "stalled": self.stalled}
        return own | self.reading.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state; the best of another number means nothing to this one, which then begins anew."""
        if state.get("of") == self._of:
            self.best, self.best_epoch, self.stalled = state["best"], state["best_epoch"], state["stalled"]
            self.reading.load_state_dict(state)


class Quorum:
    """'Have enough tasks stalled?': a monitor for each, and its patience.

    Args:
        monitors: by task. needed: how many of them have to stall. patience: of a task, where it has one of its own.
    """

    def __init__(self, monitors: dict[str, Monitor], needed: int, patience: Mapping[str, int]) -> None:
        self.monitors = monitors
        self.needed = needed
        self.patience = dict(patience)

    def update(self, row: EpochRow) -> None:
        """Show an epoch row to every monitor."""
        for monitor in self.monitors.values():
            monitor.update(row)

    def why_stalled(self, patience: int) -> str | None:
        """A line where at least `needed` tasks have not improved for their patience, or this one."""
        lines = {
            task: monitor.why_stalled(self.patience.get(task, patience)) for task, monitor in self.monitors.items()
        }
        stalled = [line for line in lines.values() if line is not None]
        if len(stalled) < self.needed:
            return None
        return f"{len(stalled)} of {len(lines)} tasks have stalled ({self.needed} needed): {' | '.join(stalled)}"

    def state_dict(self) -> dict[str, Any]:
        """Every monitor's."""
        return {"tasks": {task: monitor.state_dict() for task, monitor in self.monitors.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state; a task that is not in it begins anew."""
        for task, of_task in state.get("tasks", {}).items():
            if task in self.monitors:
                self.monitors[task].load_state_dict(of_task)


def monitor_of(score: Score) -> Monitor:
    """The monitor that a config asks for."""
    if score.mean_loss:
        return Monitor(MeanLoss(list(score.weights)), min_delta=score.min_delta)
    if score.single is not None:
        return Monitor(score.single, score.mode, score.min_delta)
    return Monitor(WeightedSum(score.weights, normalise=score.normalise), min_delta=score.min_delta)


def stopper_of(chosen: Score | Stalls) -> Monitor | Quorum:
    """What early stopping asks."""
    if isinstance(chosen, Score):
        return monitor_of(chosen)
    monitors = {task: monitor_of(score) for task, score in chosen.scores.items()}
    return Quorum(monitors, chosen.needed, chosen.patience)
