"""Losses and gradients that are not finite: seen on the device, told when the host looks.

Shape legend: K values that are watched in each step: the tasks' losses, and the norm of the gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hybrid_trainer.errors import TrainingError

GRADIENT = "the gradient"


class NonFiniteError(TrainingError):
    """A loss or a gradient is not finite; the text names which, the epoch and the step."""


class Watch:
    """Remembers which of K values was the first that was not finite, and in which step; adding a step waits for nothing.

    Args:
        tasks: whose losses are watched. device: where they are. gradient: whether the gradient's norm comes last.
        sticky: behind a bad step all others are to be skipped as well, until `restart`; else each for itself.

    Attributes:
        flag: scalar float32, 1 where the last step must be skipped, else 0; always the same memory, so that optimizers
            can have it as their `found_inf`.
        skipped: scalar float64, how many steps that were.
    """

    def __init__(self, tasks: list[str], device: torch.device, *, gradient: bool = True, sticky: bool = True) -> None:
        self.names = [f"loss of task '{task}'" for task in tasks] + ([GRADIENT] if gradient else [])
        self.sticky = sticky
        self.flag = torch.zeros((), device=device)
        self.skipped = torch.zeros((), dtype=torch.float64, device=device)
        self._seen = torch.zeros(len(self.names), device=device)  # (K,) 1 from the first step on that was bad
        self._since = torch.zeros(len(self.names), dtype=torch.float64, device=device)  # (K,) how many steps that is

    def add(self, values: Tensor) -> None:
        """Look at a step's (K,) values."""
        bad = torch.nan_to_num(values * 0, nan=1.0)  # 0 where finite: inf * 0 is NaN
        torch.maximum(self._seen, bad, out=self._seen)
        self._since.add_(self._seen)
        torch.amax(self._seen if self.sticky else bad, 0, out=self.flag)
        if not self.sticky:
            self.skipped.add_(self.flag)

    def first(self, steps: int) -> tuple[str, int] | None:
        """What was the first to go bad, and in which of the `steps` added so far; None: nothing. Waits for the device."""
        since = self._since.tolist()
        if not any(since):
            return None
        which = max(range(len(since)), key=since.__getitem__)  # of several the first: the task, not the gradient
        return self.names[which], steps - int(since[which]) + 1

    def raise_if_bad(self, epoch: int, steps: int, part: str) -> None:
        """Raise NonFiniteError where a step was bad.

        Args:
            epoch: the current one, from 1 on. steps: how many were added in it. part: which loss it is.
        """
        found = self.first(steps)
        if found is None:
            return
        name, step = found
        what = name if name == GRADIENT else f"the {part} {name}"
        intact = "; the checkpoints before it are intact" if epoch > 1 else ""
        raise NonFiniteError(
            f"epoch {epoch}: {what} is not finite from step {step} on{intact}. Lower training.learning_rate, or "
            "look for extreme values in that target"
        )

    def restart(self) -> None:
        """Forget what was seen, as an epoch begins; in place."""
        for value in self._tensors().values():
            value.zero_()

    def _tensors(self) -> dict[str, Tensor]:
        return {"flag": self.flag, "skipped": self.skipped, "seen": self._seen, "since": self._since}

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that changes."""
        return {name: value.clone() for name, value in self._tensors().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state."""
        for name, value in self._tensors().items():
            value.copy_(state[name])
