"""Losses and gradients that are not finite: seen on the device, told when the host looks.

Shape legend: K values that are watched in each step: the tasks' losses, and the norm of the gradient.
"""

from __future__ import annotations

import logging
import time

import torch
from torch import Tensor

from hybrid_trainer.errors import TrainingError
from hybrid_trainer.metrics import Sums
from hybrid_trainer.types import EpochRow

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5
_ADVICE = "Lower training.learning_rate, or look for extreme values in that target"
GRADIENT = "the gradient"


class NonFiniteError(TrainingError):
    """A loss or a gradient is not finite; the text names which, the epoch and the step."""


class Watch(Sums):
    """Remembers which of K values was the first that was not finite, and in which step; adding waits for nothing.

    Args:
        tasks: whose losses are watched. device: where they are. gradient: whether the gradient's norm comes last.
        sticky: behind a bad step all others are to be skipped as well, until `reset`; else each for itself.

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
        self._looked = 0.0
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
        """What went bad first, and in which of the `steps` added so far; None: nothing. Waits for the device."""
        since = self._since.tolist()
        if not any(since):
            return None
        which = max(range(len(since)), key=since.__getitem__)  # of several the first: the task, not the gradient
        return self.names[which], steps - int(since[which]) + 1

    def reset(self) -> None:
        """Forget what was seen, as an epoch begins; in the same memory."""
        for value in (self.flag, self.skipped, self._seen, self._since):
            value.zero_()

    @property
    def keep(self) -> Tensor | None:
        """Scalar, 0 where the last step was left out, else 1; None where a bad step is the end of all."""
        return None if self.sticky else 1.0 - self.flag

    def look(self, epoch: int, steps: int) -> None:
        """Judge the epoch so far, at most twice a second, since that waits for the device."""
        now = time.monotonic()
        if now - self._looked >= _LOOK_EVERY_S:
            self._looked = now
            self.judge(epoch, steps)

    def judge(self, epoch: int, steps: int) -> None:
        """Raise NonFiniteError behind a bad step, unless it was left out.

        Args:
            epoch: the current one, from 1 on. steps: how many were added in it.
        """
        if self.sticky:
            self.raise_if_bad(epoch, steps, "training")

    def raise_if_bad(self, epoch: int, steps: int, part: str) -> None:
        """Raise NonFiniteError where a step was bad; says what was the first.

        Args:
            epoch, steps: as in `judge`. part: whose losses they are.
        """
        found = self.first(steps)
        if found is None:
            return
        name, step = found
        what = name if name == GRADIENT else f"the {part} {name}"
        intact = "; the checkpoints before it are intact" if epoch > 1 else ""
        raise NonFiniteError(f"epoch {epoch}: {what} is not finite from step {step} on{intact}. {_ADVICE}")

    def row(self, epoch: int, steps: int) -> EpochRow:
        """How many steps of the epoch were left out, where that may be; says so in the log.

        Raises:
            NonFiniteError: all of them were.
        """
        if self.sticky:
            return {}
        skipped, found = int(self.skipped), self.first(steps)
        if skipped == steps:
            raise NonFiniteError(f"epoch {epoch}: none of its {steps} steps was finite. {_ADVICE}")
        if found:
            log.warning("epoch %d: %d of %d step(s) left out; the first: %s, step %d", epoch, skipped, steps, *found)
        return {"train/skipped": float(skipped)}
