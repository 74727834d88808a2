"""'Has it improved?': plain objects that stopping, saving and schedules share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from hybrid_trainer.config.monitors import Score, Stalls
from hybrid_trainer.types import LOWER_IS_BETTER, EpochRow


class Reading(Protocol):
    """What is read off an epoch row: a number with a direction.

    Attributes:
        text: what it is, in a user's words; two of the same text and direction mean the same.
    """

    text: str
    lower_is_better: bool

    def value(self, row: EpochRow) -> float:
        """The number; rows come in the order of the epochs, each once."""

    def state_dict(self) -> dict[str, Any]:
        """All that changes, as plain types."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state."""


class OneNumber:
    """A number of the epoch row itself.

    Args:
        name: such as valid/loss. mode: min, max, or auto: by what the metric means.
    """

    def __init__(self, name: str, mode: str = "auto") -> None:
        self.text = name
        self.lower_is_better = falls(name) if mode == "auto" else mode == "min"

    def value(self, row: EpochRow) -> float:
        """It."""
        return row[self.text]

    def state_dict(self) -> dict[str, Any]:
        """Nothing changes."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to take over."""


class Shares:
    """Errors as shares of their first value.

    The first value is the first one that is a number; its size counts, or 1 where it is 0. What is better when it is
    larger enters as it is: such metrics have no unit, and none is above 1.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.first: dict[str, float | None] = {name: None for name in names if falls(name)}

    def of(self, name: str, value: float) -> float:
        """A number of the epoch row as such a share; NaN before there was a first one."""
        if not falls(name):
            return value
        first = self.first[name]
        if first is None:
            if not math.isfinite(value):
                return math.nan
            first = self.first[name] = abs(value) or 1.0
        return value / first

    def state_dict(self) -> dict[str, Any]:
        """The first values."""
        return {"first": dict(self.first)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state."""
        self.first = dict(state["first"])


class WeightedSum(Shares):
    """Several numbers in one, larger is better: what is better when it is smaller enters with a minus.

    Args:
        weights: how much each number of the epoch row counts. normalise: errors enter as shares of their first value.
    """

    lower_is_better = False

    def __init__(self, weights: Mapping[str, float], *, normalise: bool = False) -> None:
        super().__init__(weights)
        self.weights = dict(weights)
        self.normalise = normalise
        terms = "".join(f" {'-' if falls(name) else '+'} {weight:g} {name}" for name, weight in self.weights.items())
        self.text = terms.removeprefix(" + ").strip() + (" (errors as shares of their first)" if normalise else "")

    def value(self, row: EpochRow) -> float:
        """The sum; NaN where one of the numbers is."""
        total = 0.0
        for name, weight in self.weights.items():
            share = self.of(name, row[name]) if self.normalise else row[name]
            total += -weight * share if falls(name) else weight * share
        return total

    def state_dict(self) -> dict[str, Any]:
        """The first values, where they matter."""
        return super().state_dict() if self.normalise else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state."""
        if self.normalise:
            super().load_state_dict(state)


class MeanLoss(Shares):
    """The mean of losses, each as a share of its first value, over those that are numbers."""

    lower_is_better = True
    text = "the mean of the tasks' validation losses, each as a share of its first"

    def __init__(self, names: list[str]) -> None:
        super().__init__(names)
        self.names = names

    def value(self, row: EpochRow) -> float:
        """The mean; NaN where none is a number: a task may have no label among the validation rows."""
        shares = [self.of(name, row[name]) for name in self.names if not math.isnan(row[name])]
        return sum(shares) / len(shares) if shares else math.nan


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


def falls(name: str) -> bool:
    """Whether a number of the epoch row is better when it is smaller."""
    return name.rpartition("/")[2] in LOWER_IS_BETTER


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
