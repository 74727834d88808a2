"""Weights that even out how hard the tasks pull at the last layer that they share: GradNorm, Chen et al. (2018).

Shape legend: K tasks, P numbers in that layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler

from hybrid_trainer.balancing.base import Learned
from hybrid_trainer.balancing.task_gradients import TaskGradients, last_shared_parameters
from hybrid_trainer.criterion import LossParts
from hybrid_trainer.ranks import Ranks

_SMALLEST = 1e-3  # a step of the optimizer could take a small weight below zero
_TINY = 1e-30


class GradNorm(Learned):
    """Moves weights w by the gradient of sum |G - mean(G) r^alpha|, G the norm of each weighted gradient.

    r is loss / first loss, by its mean over the tasks: how little a task has learned beside the others. What G is
    compared with is a constant of the step. Behind each step the weights are brought to a sum of K. A task without a
    label in the step is neither compared nor moved.

    Args:
        tasks: their names. given: (K,) weights that multiply these; a task of weight 0 is not among the K.
        model: whose `trunk` they share. alpha: how much more a slow task may pull.
    """

    def __init__(self, tasks: list[str], given: Tensor, model: nn.Module, alpha: float) -> None:
        super().__init__(tasks, given, start=1.0)
        self.alpha = alpha
        self._gradients = TaskGradients(last_shared_parameters(model, "training.balancing.kind=gradnorm"))
        self._rows: Tensor | None = None  # (K, P) of the batches so far
        self._norms = torch.zeros_like(given)
        self.first = torch.zeros_like(given)  # (K,) each task's loss in the first step that had one; 0: none yet
        self._found = self.first

    def backward(self, parts: LossParts, scaler: GradScaler) -> None:
        """Keep each task's gradient on the layer, then add those of all."""
        rows = self._gradients.rows(scaler.scale(parts.means))
        self._rows = rows if self._rows is None else self._rows + rows
        super().backward(parts, scaler)

    def join(self, ranks: Ranks, scaler: GradScaler) -> None:
        """The norm of each task's gradient, before weights, over all batches and processes."""
        assert self._rows is not None
        ranks.add_up([self._rows])
        self._norms = torch.linalg.vector_norm(self._rows, dim=1) / scaler.scale(torch.ones_like(self.given[0]))
        self._rows = None

    def slope(self, means: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """sign(G - target) dG/dw."""
        self._found = torch.where((self.first <= 0) & (known > 0), means, self.first)
        tasks = known.sum().clamp(min=1)
        pull = known * self.weights * self._norms  # (K,) G
        rates = known * means / self._found.clamp(min=_TINY)
        rates = rates / (rates.sum() / tasks).clamp(min=_TINY)
        target = pull.sum() / tasks * rates**self.alpha
        gradient = torch.sign(pull - target) * known * self.given * self._norms
        return (known * self.weights * means).sum(), gradient

    def bound(self, skipped: Tensor) -> None:
        """Keep the weights above zero, and their mean at 1."""
        among = (self.given > 0).float()
        w = self.learned.clamp(min=_SMALLEST)
        w = w * (among.sum() / (w * among).sum())
        self.learned.copy_(torch.where(skipped > 0, self.learned, w))
        self.first.copy_(torch.where(skipped > 0, self.first, self._found))

    def weigh(self) -> None:
        """The parameter itself."""
        torch.mul(self.given, self.learned, out=self.weights)

    def state_dict(self) -> dict[str, Any]:
        """What any learned weights have, and the first losses."""
        return super().state_dict() | {"first": self.first}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state, in the same memory."""
        super().load_state_dict(state)
        self.first.copy_(state["first"])
