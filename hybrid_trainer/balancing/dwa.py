"""Weights from how fast each task's training loss falls: dynamic weight average, Liu, Johns and Davison (2019).

Shape legend: K tasks.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from hybrid_trainer.balancing.base import Weighted
from hybrid_trainer.types import EpochRow


class DynamicWeightAverage(Weighted):
    """From the third epoch on, weights K softmax(r / temperature), r the ratio of the last two epochs' training losses.

    A ratio that is not known (no label in an epoch, or a loss of 0 before) is 1: as if the loss had not changed. The
    weights change between epochs alone, so that `train/loss` is the sum of the epoch's losses by them.

    Args:
        tasks: their names. given: (K,) weights that multiply these; a task of weight 0 is not among the K.
        temperature: the larger, the more even the weights.
    """

    def __init__(self, tasks: list[str], given: Tensor, temperature: float) -> None:
        super().__init__(tasks, given)
        self.temperature = temperature
        self.former: list[list[float]] = []  # the losses (K,) of at most two epochs, the older one first

    def row(self, row: EpochRow) -> EpochRow:
        """`train/loss` by the weights of this epoch, and these."""
        losses = [row[f"train/{task}/loss"] for task in self.tasks]
        products = [weight * loss for weight, loss in zip(self.weights.tolist(), losses, strict=True)]
        return {"train/loss": sum(value for value in products if not math.isnan(value))} | super().row(row)

    def advance(self, row: EpochRow) -> None:
        """Weigh the next epoch."""
        self.former = [*self.former[-1:], [row[f"train/{task}/loss"] for task in self.tasks]]
        self._weigh()

    def _weigh(self) -> None:
        if len(self.former) < 2:
            self.weights.copy_(self.given)
            return
        ratios = [_ratio(now, before) for before, now in zip(*self.former, strict=True)]
        powers = torch.tensor(ratios, dtype=torch.float64, device=self.given.device) / self.temperature
        among = self.given > 0
        shares = powers.masked_fill(~among, -math.inf).softmax(dim=0) * among.sum()
        self.weights.copy_(self.given * shares)

    def state_dict(self) -> dict[str, Any]:
        """The losses that the weights come from."""
        return {"former": [list(losses) for losses in self.former]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state, in the same memory."""
        self.former = [list(losses) for losses in state["former"]]
        self._weigh()


def _ratio(now: float, before: float) -> float:
    ratio = now / before if before > 0 else math.nan
    return ratio if math.isfinite(ratio) else 1.0
