"""How the learning rate changes: per step (warm-up, cosine, one cycle) or per epoch (plateau)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from hybrid_trainer.errors import ConfigError
from hybrid_trainer.monitor import Monitor
from hybrid_trainer.plugins import own_code
from hybrid_trainer.registry import Registry
from hybrid_trainer.types import EpochRow


class Schedule:
    """Keeps the learning rate, after a linear warm-up; the other schedules say how it goes on from there.

    Args:
        optimizer: whose learning rate is moved. warmup_steps: updates over which it rises to the full one.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, warmup_steps: int = 0) -> None:
        self.optimizer = optimizer
        self.warmup_steps = warmup_steps
        self.base = [float(group["lr"]) for group in optimizer.param_groups]
        self.full = list(self.base)
        self.steps = 0
        self._apply()

    def factor(self) -> float:
        """The share of the full learning rate that the next update takes, warm-up aside."""
        return 1.0

    @property
    def moves(self) -> bool:
        """Whether the next update takes another learning rate."""
        return self.steps < self.warmup_steps

    def scale(self, by: float) -> None:
        """Multiply the learning rate, now and from now on."""
        self.full = [full * by for full in self.full]
        self._apply()

    def step(self) -> None:
        """Count an update and set the learning rate of the next."""
        self.steps += 1
        self._apply()

    def rescale(self, by: float) -> None:
        """Find the same place in the course where an epoch now has `by` times as many steps."""

    def epoch(self, row: EpochRow) -> None:
        """Look at a finished epoch's row."""

    def _apply(self) -> None:
        rise = min(1.0, (self.steps + 1) / (self.warmup_steps + 1))
        for group, full in zip(self.optimizer.param_groups, self.full, strict=True):
            rate = full * rise * self.factor()
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate)  # in place: a CUDA graph knows it by its address
            else:
                group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        """All that changes, as plain types."""
        return {"steps": self.steps, "base": list(self.base), "full": list(self.full)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state; where the run now begins from another learning rate, its course is kept."""
        self.steps, self.full = state["steps"], list(state["full"])
        if state["base"] != self.base:
            ratios = [full / base for full, base in zip(state["full"], state["base"], strict=True)]
            self.full = [base * ratio for base, ratio in zip(self.base, ratios, strict=True)]
        self._apply()


class Course(Schedule):
    """A schedule over all steps of a training."""

    @property
    def moves(self) -> bool:
        """Every update does."""
        return True

    def rescale(self, by: float) -> None:
        """Count as if all steps so far had been of the new size."""
        self.steps = round(self.steps * by)
        self._apply()


class Cosine(Course):
    """Falls from the full learning rate to the smallest along half a cosine (Loshchilov and Hutter, 2017).

    Args:
        total_steps: updates of the whole training, warm-up included. smallest: share of the full rate at the end.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, *, warmup_steps: int, total_steps: int, smallest: float
    ) -> None:
        self.total_steps = total_steps
        self.smallest = smallest
        super().__init__(optimizer, warmup_steps)

    def factor(self) -> float:
        """1 until the warm-up is over, then down to `smallest`."""
        falling = max(self.total_steps - self.warmup_steps, 1)
        done = min(max(self.steps - self.warmup_steps, 0) / falling, 1.0)
        return self.smallest + (1 - self.smallest) * 0.5 * (1 + math.cos(math.pi * done))


class OneCycle(Course):
    """Rises from 1/25 to the full rate over 30 % of the steps, falls to 1/250,000 of it (Smith and Topin, 2018).

    The shape is that of torch's OneCycleLR with its default settings; momentum stays as it is.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, *, total_steps: int) -> None:
        self.total_steps = total_steps
        super().__init__(optimizer)

    def factor(self) -> float:
        """Along half a cosine up, then along half a cosine down."""
        top, end = 0.3 * self.total_steps - 1, self.total_steps - 1
        if self.steps <= top:
            return _between(1 / 25, 1.0, self.steps / top)
        return _between(1.0, 1 / 250_000, min((self.steps - top) / (end - top), 1.0) if end > top else 1.0)


class Plateau(Schedule):
    """Multiplies the learning rate by `factor` when the monitor has not improved for more than `patience` epochs."""

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        monitor: Monitor,
        *,
        factor: float,
        patience: int,
        min_learning_rate: float,
        warmup_steps: int = 0,
    ) -> None:
        self.monitor = monitor
        self.lower_by = factor
        self.patience = patience
        self.min_learning_rate = min_learning_rate
        super().__init__(optimizer, warmup_steps)

    def epoch(self, row: EpochRow) -> None:
        """Lower the learning rate once per `patience` + 1 stalled epochs."""
        if self.monitor.update(row) or self.monitor.stalled <= self.patience:
            return
        self.monitor.stalled = 0
        self.full = [min(full, max(full * self.lower_by, self.min_learning_rate)) for full in self.full]
        self._apply()

    def state_dict(self) -> dict[str, Any]:
        """With the monitor's."""
        return super().state_dict() | {"monitor": self.monitor.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state."""
        if "monitor" in state:  # another schedule's has none
            self.monitor.load_state_dict(state["monitor"])
        super().load_state_dict(state)


@dataclass(frozen=True, kw_only=True)
class Steps:
    """How long a training is: what a plug-in's schedule is told.

    Attributes:
        warmup: updates over which the rate shall rise (training.schedule.warmup_steps). per_epoch: updates of an epoch.
        total: updates of all epochs.
    """

    warmup: int
    per_epoch: int
    total: int


OWN: Registry[Callable[..., Schedule]] = Registry("schedule")


def make_own(name: str, optimizer: torch.optim.Optimizer, steps: Steps, options: dict[str, Any]) -> Schedule:
    """Make a plug-in's schedule with `maker(optimizer, steps, **options)`.

    Raises:
        ConfigError: it cannot be made of them; the text says where.
    """
    maker = OWN.get(name, "training.schedule.kind")
    with own_code(f"schedule '{name}'", maker):
        made = maker(optimizer, steps, **options)
    if not isinstance(made, Schedule):
        raise ConfigError(f"schedule '{name}': it made a {type(made).__name__}, which is no Schedule")
    return made


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
