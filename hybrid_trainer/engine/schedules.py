"""How the learning rate changes from epoch to epoch."""

from __future__ import annotations

from typing import Any, Protocol

import torch

from hybrid_trainer.monitor import Monitor
from hybrid_trainer.types import EpochRow


class Schedule(Protocol):
    """Moves the learning rate of an optimizer."""

    def epoch(self, row: EpochRow) -> None:
        """Look at a finished epoch's row and set the learning rate of the next."""

    def state_dict(self) -> dict[str, Any]:
        """All that changes, as plain types."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state."""


class Constant:
    """Keeps the learning rate."""

    def epoch(self, row: EpochRow) -> None:
        """Do nothing."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing changes."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing changes."""


class Plateau:
    """Multiplies the learning rate by `factor` when the monitor has not improved for more than `patience` epochs."""

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        monitor: Monitor,
        *,
        factor: float,
        patience: int,
        min_learning_rate: float,
    ) -> None:
        self.optimizer = optimizer
        self.monitor = monitor
        self.factor = factor
        self.patience = patience
        self.min_learning_rate = min_learning_rate

    def epoch(self, row: EpochRow) -> None:
        """Lower the learning rate once per `patience` + 1 stalled epochs."""
        if self.monitor.update(row) or self.monitor.stalled <= self.patience:
            return
        self.monitor.stalled = 0
        for group in self.optimizer.param_groups:
            group["lr"] = min(group["lr"], max(group["lr"] * self.factor, self.min_learning_rate))

    def state_dict(self) -> dict[str, Any]:
        """The monitor; the learning rate itself is the optimizer's state."""
        return {"monitor": self.monitor.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state."""
        self.monitor.load_state_dict(state["monitor"])
