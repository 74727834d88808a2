"""Weights from the noise of each task, which is learned: Kendall, Gal and Cipolla (2018).

Shape legend: K tasks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hybrid_trainer.balancing.base import Learned
from hybrid_trainer.types import TargetSpec

_BOUND = 10.0  # a loss of zero would drive its log-variance to minus infinity; weights stay within exp(±10)


class Uncertainty(Learned):
    """Minimises the sum over tasks of c exp(-s) loss + s / 2, s the task's log-variance; c is 1 for classes, else 1/2.

    A task of which the step has no label adds neither of the two.

    Args:
        specs: the tasks. given: (K,) weights that multiply c.
    """

    def __init__(self, specs: list[TargetSpec], given: Tensor) -> None:
        super().__init__([spec.name for spec in specs], given, start=0.0)
        halves = [1.0 if spec.kind == "classification" else 0.5 for spec in specs]
        self._front = given * torch.tensor(halves, device=given.device)  # (K,) weights where s is 0
        self.weights.copy_(self._front)

    def slope(self, means: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """d/ds of c exp(-s) loss + s / 2 is 1/2 - c exp(-s) loss."""
        weighted = self.weights * means
        return (known * (weighted + 0.5 * self.learned)).sum(), known * (0.5 - weighted)

    def bound(self, skipped: Tensor) -> None:
        """Keep s within bounds."""
        self.learned.clamp_(-_BOUND, _BOUND)

    def weigh(self) -> None:
        """c exp(-s)."""
        torch.mul(self._front, torch.exp(-self.learned), out=self.weights)
