"""Task losses, weights and masks: a batch's outputs and labels become one scalar and its parts.

Shape legend: B batch, D output of a head, K active tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hybrid_trainer.links import pinball, to_scaled
from hybrid_trainer.registry import Registry
from hybrid_trainer.types import Batch, Kind, TargetSpec

TaskLoss = Callable[[Tensor, Tensor, TargetSpec], Tensor]
LOSSES: Registry[TaskLoss] = Registry("loss")


@LOSSES.register("cross_entropy")
def cross_entropy(raw: Tensor, target: Tensor, spec: TargetSpec) -> Tensor:
    """(B, D) logits, (B,) classes -> (B,) negative log-likelihood in nats."""
    return F.cross_entropy(raw, target, reduction="none")


@LOSSES.register("mse")
def mse(raw: Tensor, target: Tensor, spec: TargetSpec) -> Tensor:
    """(B, D) raw, (B, D) scaled labels -> (B,) squared error, the mean over the D numbers."""
    return F.mse_loss(to_scaled(raw, spec), target, reduction="none").mean(dim=1)


@LOSSES.register("huber")
def huber(raw: Tensor, target: Tensor, spec: TargetSpec) -> Tensor:
    """(B, D) raw, (B, D) scaled labels -> (B,) Huber (1964) loss with delta 1, the mean over the D numbers."""
    return F.huber_loss(to_scaled(raw, spec), target, reduction="none").mean(dim=1)


@LOSSES.register("pinball")
def pinball_loss(raw: Tensor, target: Tensor, spec: TargetSpec) -> Tensor:
    """(B, Q) raw, (B, 1) scaled labels -> (B,) pinball loss of ordered quantiles, the mean over them."""
    return pinball(to_scaled(raw, spec), target, spec.quantiles)


DEFAULT_LOSS: dict[Kind, str] = {
    "classification": "cross_entropy",
    "regression": "huber",
    "quantile": "pinball",
    "forecast": "mse",
}


@dataclass(frozen=True)
class LossParts:
    """One batch's losses, on the device.

    Attributes:
        total: scalar, the weighted sum of the tasks' means: what is differentiated.
        sums: (K,) sum of each task's loss over its labelled rows, detached. counts: (K,) how many those are; where rows
            count more or less than one, sums are weighted and counts are the sum of the weights.
    """

    total: Tensor
    sums: Tensor
    counts: Tensor


class Criterion:
    """The weighted sum of masked task losses; a task without a single label in the batch contributes nothing.

    A task's loss is sum(w * loss) / sum(w) over its labelled rows, where w is the row's weight times the weight of its
    class (each 1 where there is none), as in torch's weighted cross_entropy.

    Args:
        specs: the active tasks, in the order of the heads.
        losses: name of each task's loss, where it isn't the default of its kind.
        weights: weight of each task, 1 where not given. device: where outputs and labels will be.
        class_weights: (C,) weight of each class, for the tasks that have them.
    """

    def __init__(
        self,
        specs: list[TargetSpec],
        losses: Mapping[str, str],
        weights: Mapping[str, float],
        device: torch.device,
        class_weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.specs = specs
        self._weights = torch.tensor([float(weights.get(spec.name, 1.0)) for spec in specs], device=device)
        self._class_weights = {task: each.to(device) for task, each in (class_weights or {}).items()}
        names = {spec.name: losses.get(spec.name, DEFAULT_LOSS[spec.kind]) for spec in specs}
        self._losses = [LOSSES.get(names[spec.name], f"training.losses.{spec.name}") for spec in specs]

    @property
    def tasks(self) -> list[str]:
        """The active tasks' names."""
        return [spec.name for spec in self.specs]

    def counts(self, batches: Iterable[Batch]) -> Tensor:
        """(K,) labels of each task in all batches together, by their weights."""
        per_batch = [torch.stack([self._row_weights(batch, task).sum() for task in self.tasks]) for batch in batches]
        return torch.stack(per_batch).sum(dim=0)

    def __call__(self, outputs: Mapping[str, Tensor], batch: Batch, group: Tensor | None = None) -> LossParts:
        """Compare (B, D) raw outputs per task with the batch's labels; a masked row changes nothing.

        Args:
            group: (K,) labels that the means of the total are taken over; those of the batch where it is None.
        """
        sums, counts = [], []
        for spec, loss in zip(self.specs, self._losses, strict=True):
            mask = batch.mask[spec.name]  # (B,)
            target = batch.targets[spec.name]
            # A masked label is replaced before the loss: after it, the backward pass would still meet its inf or NaN.
            target = torch.where((mask > 0).view(-1, *[1] * (target.ndim - 1)), target, 0)
            per_row = loss(outputs[spec.name].float(), target, spec)  # (B,)
            weight = self._row_weights(batch, spec.name)
            sums.append(torch.where(mask > 0, weight * per_row, 0.0).sum())
            counts.append(weight.sum())
        sum_, count = torch.stack(sums), torch.stack(counts)  # (K,)
        return LossParts(self.total(sum_, count if group is None else group), sum_.detach(), count)

    def total(self, sums: Tensor, counts: Tensor) -> Tensor:
        """The weighted sum of the tasks' means from (K,) sums and counts."""
        means = sums / torch.where(counts > 0, counts, 1)
        return (means * self._weights).sum()

    def _row_weights(self, batch: Batch, task: str) -> Tensor:
        """(B,) how much each row counts; 0 where masked."""
        mask = batch.mask[task]
        weight = mask * batch.weight[task] if task in batch.weight else mask
        if task not in self._class_weights:
            return weight
        label = torch.where(mask > 0, batch.targets[task], 0)
        return weight * self._class_weights[task].index_select(0, label)
