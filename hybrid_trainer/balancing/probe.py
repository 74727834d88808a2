"""Which task hurts which: norms of the tasks' gradients, and the cosines between them, every so many steps.

Shape legend: K tasks, P numbers in the weights that they share.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.amp import GradScaler

from hybrid_trainer.balancing.task_gradients import TaskGradients, shared_parameters
from hybrid_trainer.criterion import LossParts
from hybrid_trainer.metrics import Sums
from hybrid_trainer.ranks import Ranks
from hybrid_trainer.types import EpochRow

_TINY = 1e-30


class GradientProbe(Sums):
    """Looks at the gradient of each task's mean loss, before weights, on the weights that the tasks share.

    Of a group of batches it looks at the last one, as if that were all. Nothing of the step changes: it takes further
    backward passes through the same graph, which add to no gradient and draw no random number. What it finds is the
    same in all processes. A step in which a task has no label, or a loss or gradient that is not finite, is left out
    of its means.

    Args:
        model: whose gradients. tasks: their names. every: steps from one look to the next, from an epoch's first on.
    """

    def __init__(self, model: nn.Module, tasks: list[str], every: int, device: torch.device) -> None:
        self.tasks = tasks
        self.every = every
        self._gradients = TaskGradients(shared_parameters(model, "training.task_gradients_every"))
        self.norms, self.norm_counts = torch.zeros(2, len(tasks), dtype=torch.float64, device=device).unbind()
        pairs = torch.zeros(2, len(tasks), len(tasks), dtype=torch.float64, device=device)
        self.cosines, self.cosine_counts = pairs.unbind()

    def due(self, step: int) -> bool:
        """Whether to look at an epoch's step, from 0 on."""
        return step % self.every == 0

    def look(self, parts: LossParts, group: Tensor | None, scaler: GradScaler, ranks: Ranks) -> None:
        """Add what a batch says, before its own backward pass.

        Args:
            group: (K,) labels that its means were taken over, of all batches and processes; None: its own.
        """
        rows = self._gradients.rows(scaler.scale(parts.means)) / scaler.scale(torch.ones_like(parts.total))
        rows = rows + (parts.sums * 0)[:, None]  # NaN where a loss is not finite, whose gradient may be
        if group is not None:
            labels = parts.counts.clone()
            ranks.add_up([rows, labels])
            rows = rows * (group / labels.clamp(min=_TINY))[:, None]
        self._add(rows)

    @torch.no_grad()
    def _add(self, rows: Tensor) -> None:
        """Add (K, P) gradients."""
        norms = torch.linalg.vector_norm(rows, dim=1)  # (K,)
        known = torch.isfinite(norms) & (norms > 0)
        units = torch.where(known[:, None], rows / norms[:, None], 0.0)
        self.norms += torch.where(known, norms, 0.0)
        self.norm_counts += known
        self.cosines += units @ units.T
        self.cosine_counts += known[:, None] & known

    def reset(self) -> None:
        """Begin an epoch, in the same memory."""
        for value in self.tensors():
            value.zero_()

    def row(self) -> EpochRow:
        """The means of the epoch, NaN where there was nothing to see; waits for the device."""
        norms = (self.norms / self.norm_counts).tolist()
        cosines = (self.cosines / self.cosine_counts).tolist()
        found = {f"train/{task}/gradient_norm": norm for task, norm in zip(self.tasks, norms, strict=True)}
        for i, task in enumerate(self.tasks):
            found |= {f"train/gradient_cosine/{task}/{self.tasks[j]}": cosines[i][j] for j in range(i + 1, len(norms))}
        return found
