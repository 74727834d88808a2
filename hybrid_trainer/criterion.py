"""Weights and masks: a batch's outputs and labels become one scalar and its parts.

Shape legend: B batch, D output of a head, K active tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hybrid_trainer.losses import TaskLoss, default_loss
from hybrid_trainer.types import Batch, TargetSpec


@dataclass(frozen=True)
class LossParts:
    """One batch's losses, on the device.

    Attributes:
        total: scalar, the weighted sum of the tasks' means: what is differentiated.
        means: (K,) each task's share of its mean, before weights; differentiable.
        sums: (K,) sum of each task's loss over its labelled rows, detached. counts: (K,) how many those are; where rows
            count more or less than one, sums are weighted and counts are the sum of the weights.
    """

    total: Tensor
    means: Tensor
    sums: Tensor
    counts: Tensor


class Criterion:
    """The weighted sum of masked task losses; a task without a single label in the batch contributes nothing.

    A task's loss is sum(w * loss) / sum(w) over its labelled rows, where w is the row's weight times the weight of its
    class (each 1 where there is none), as in torch's weighted cross_entropy.

    Args:
        specs: the active tasks, in the order of the heads.
        losses: each task's loss, where it isn't the default of its kind.
        weights: weight of each task, 1 where not given. device: where outputs and labels will be.
        class_weights: (C,) weight of each class, for the tasks that have them.

    Attributes:
        weights: (K,) the tasks' weights.
    """

    def __init__(
        self,
        specs: list[TargetSpec],
        losses: Mapping[str, TaskLoss],
        weights: Mapping[str, float],
        device: torch.device,
        class_weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.specs = specs
        self.weights = torch.tensor([float(weights.get(spec.name, 1.0)) for spec in specs], device=device)
        self._class_weights = {task: each.to(device) for task, each in (class_weights or {}).items()}
        self._losses = [losses.get(spec.name) or default_loss(spec) for spec in specs]

    @property
    def tasks(self) -> list[str]:
        """The active tasks' names."""
        return [spec.name for spec in self.specs]

    def counts(self, batches: Iterable[Batch]) -> Tensor:
        """(K,) labels of each task in all batches together, by their weights."""
        return torch.stack([self._row_weights(batch, self._masks(batch)).sum(dim=1) for batch in batches]).sum(dim=0)

    def __call__(self, outputs: Mapping[str, Tensor], batch: Batch, group: Tensor | None = None) -> LossParts:
        """Compare (B, D) raw outputs per task with the batch's labels; a masked row changes nothing.

        Args:
            group: (K,) labels that the means of the total are taken over; those of the batch where it is None.
        """
        mask = self._masks(batch)  # (K, B)
        masked = mask <= 0
        per_row = []
        for spec, loss, hidden in zip(self.specs, self._losses, masked.unbind(), strict=True):
            target = batch.targets[spec.name]
            # A masked label is replaced before the loss: after it, the backward pass would still meet its inf or NaN.
            target = target.masked_fill(hidden if target.ndim == 1 else hidden[:, None], 0)
            per_row.append(loss(outputs[spec.name].float(), target))  # (B,)
        weight = self._row_weights(batch, mask)
        sums = (weight * torch.stack(per_row)).masked_fill(masked, 0).sum(dim=1)  # (K,)
        counts = weight.sum(dim=1)
        means = means_of(sums, counts if group is None else group)
        return LossParts((means * self.weights).sum(), means, sums.detach(), counts)

    def total(self, sums: Tensor, counts: Tensor) -> Tensor:
        """The weighted sum of the tasks' means from (K,) sums and counts."""
        return (means_of(sums, counts) * self.weights).sum()

    def _masks(self, batch: Batch) -> Tensor:
        """(K, B), 1 where a row has a label."""
        return torch.stack([batch.mask[task] for task in self.tasks])

    def _row_weights(self, batch: Batch, mask: Tensor) -> Tensor:
        """(K, B) how much each row counts for each task; 0 where masked."""
        if not batch.weight and not self._class_weights:
            return mask
        weights = []
        for task, weight in zip(self.tasks, mask.unbind(), strict=True):
            if task in self._class_weights:
                label = batch.targets[task].masked_fill(weight <= 0, 0)
                weight = weight * self._class_weights[task].index_select(0, label)
            weights.append(weight * batch.weight[task] if task in batch.weight else weight)
        return torch.stack(weights)


def means_of(sums: Tensor, counts: Tensor) -> Tensor:
    """(K,) sums and counts -> (K,) means; 0 where there is no label."""
    return sums / (counts + (counts <= 0))  # by 1 where there is none
