"""What a step asks of any balancing of tasks, and what those with weights that change have in common.

Shape legend: K tasks.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler

from hybrid_trainer.criterion import LossParts, means_of
from hybrid_trainer.ranks import Ranks
from hybrid_trainer.types import EpochRow


class Balancing:
    """The tasks' means are summed up by `training.loss_weights`, which stay as they are: `fixed`.

    The others say more of it. In each step, in this order: `backward` per batch; `join` behind the last batch of the
    group; `learn` when the gradients are whole, clipped, and in the loss's own units; `settle` behind the optimizer. In
    each epoch: `begin_epoch`; `row` behind its last step; `advance` behind its validation. Nothing of a step waits for
    the device.

    Attributes:
        parameters: what the optimizer learns beside the model.
    """

    parameters: tuple[nn.Parameter, ...] = ()

    def backward(self, parts: LossParts, scaler: GradScaler) -> None:
        """Add a batch's gradients to the model's parameters."""
        scaler.scale(parts.total).backward()  # type: ignore[no-untyped-call]

    def join(self, ranks: Ranks, scaler: GradScaler) -> None:
        """Bring together what the batches and processes have found of each task."""

    def learn(self, sums: Tensor, counts: Tensor) -> None:
        """Give `parameters` their gradients, from (K,) sums and counts of the losses in all batches and processes."""

    def settle(self, skipped: Tensor) -> None:
        """Look at a step that was taken, or not, where the scalar float32 `skipped` is 1."""

    def begin_epoch(self) -> None:
        """Forget the sums of the former epoch."""

    def row(self, row: EpochRow) -> EpochRow:
        """What the epoch's row says otherwise, or more, than the `row` of its training losses."""
        return {}

    def advance(self, row: EpochRow) -> None:
        """Take a finished epoch's row into account, once."""

    def state_dict(self) -> dict[str, Any]:
        """All that changes; the same in all processes."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state."""


class Weighted(Balancing):
    """Weights of the tasks that change during training.

    Args:
        tasks: their names. given: (K,) `training.loss_weights`, on the device; a task of weight 0 stays out.

    Attributes:
        weights: (K,) what each task's loss is multiplied by, `given` included; always the same memory.
    """

    def __init__(self, tasks: list[str], given: Tensor) -> None:
        self.tasks = tasks
        self.given = given
        self.weights = given.clone()

    def backward(self, parts: LossParts, scaler: GradScaler) -> None:
        """As with fixed weights, but for these."""
        scaler.scale((parts.means * self.weights).sum()).backward()  # type: ignore[no-untyped-call]

    def row(self, row: EpochRow) -> EpochRow:
        """The weights as they stand: train/TASK/weight."""
        return {f"train/{task}/weight": value for task, value in zip(self.tasks, self.weights.tolist(), strict=True)}


class Learned(Weighted):
    """Weights made of a parameter that the optimizer moves, by a gradient that is known without a backward pass.

    So it is that of all labels of the step, whatever batches and processes they are in. `train/loss` is the mean over
    the epoch's steps of what each of them minimised.

    Attributes:
        learned: (K,) the parameter, 0 at first.
    """

    def __init__(self, tasks: list[str], given: Tensor, start: float) -> None:
        super().__init__(tasks, given)
        self.learned = nn.Parameter(torch.full_like(given, start))
        self.parameters = (self.learned,)
        self.minimised = torch.zeros(2, dtype=torch.float64, device=given.device)  # sum over steps; how many
        self._now = torch.zeros((), device=given.device)

    def slope(self, means: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """What is minimised, a scalar, and the gradient of `learned`, (K,).

        Args:
            means: (K,) the tasks' losses. known: (K,) 1 for tasks with a label and a weight, else 0.
        """
        raise NotImplementedError

    def bound(self, skipped: Tensor) -> None:
        """Bring `learned` back to where it has a meaning; a step that was skipped changes no bit."""
        raise NotImplementedError

    def weigh(self) -> None:
        """Bring `weights` up to date, in the same memory."""
        raise NotImplementedError

    @torch.no_grad()
    def learn(self, sums: Tensor, counts: Tensor) -> None:
        """Give the parameter its gradient."""
        known = ((counts > 0) & (self.given > 0)).float()
        self._now, self.learned.grad = self.slope(means_of(sums, counts), known)

    @torch.no_grad()
    def settle(self, skipped: Tensor) -> None:
        """Count what was minimised."""
        step = torch.stack([self._now, torch.ones_like(self._now)]).double()
        self.minimised += torch.where(skipped > 0, 0.0, step)
        self.bound(skipped)
        self.weigh()

    def begin_epoch(self) -> None:
        """Count anew, in the same memory."""
        self.minimised.zero_()

    def row(self, row: EpochRow) -> EpochRow:
        """`train/loss`, and the weights."""
        total, steps = self.minimised.tolist()
        return {"train/loss": total / steps if steps else math.nan} | super().row(row)

    def state_dict(self) -> dict[str, Any]:
        """The parameter, and the sums of the epoch."""
        return {"learned": self.learned.detach(), "minimised": self.minimised}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state, in the same memory."""
        self.learned.copy_(state["learned"])
        self.minimised.copy_(state["minimised"])
        self.weigh()
