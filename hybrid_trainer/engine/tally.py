"""An epoch's losses and metrics, summed on the device; nothing waits for it until the epoch ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hybrid_trainer.criterion import Criterion, LossParts
from hybrid_trainer.metrics import Sums, metric_for
from hybrid_trainer.ranks import Ranks
from hybrid_trainer.types import Batch, EpochRow


class LossTally(Sums):
    """Count-correct sums of each task's loss."""

    def __init__(self, criterion: Criterion, device: torch.device) -> None:
        self.criterion = criterion
        tasks = len(criterion.tasks)
        self.sums = torch.zeros(tasks, dtype=torch.float64, device=device)
        self.counts = torch.zeros(tasks, dtype=torch.float64, device=device)

    def add(self, parts: LossParts, keep: Tensor | None = None) -> None:
        """Add a step's losses.

        Args:
            keep: scalar, 0 where the step counts for nothing, else 1; None: it counts.
        """
        self.sums += parts.sums if keep is None else torch.where(keep > 0, parts.sums, 0.0)
        self.counts += parts.counts if keep is None else parts.counts * keep

    def running_loss(self) -> float:
        """The total so far; waits for the device."""
        return float(self.criterion.total(self.sums, self.counts))

    def compute(self, part: str) -> EpochRow:
        """The epoch's numbers: the weighted total, and each task's mean (NaN without a label)."""
        row = {f"{part}/loss": self.running_loss()}
        means = (self.sums / self.counts).tolist()
        return row | {f"{part}/{task}/loss": mean for task, mean in zip(self.criterion.tasks, means, strict=True)}


class EpochTally:
    """All that an epoch's row says of one part: losses and metrics."""

    def __init__(self, criterion: Criterion, device: torch.device) -> None:
        self.losses = LossTally(criterion, device)
        self.metrics = {spec.name: metric_for(spec, device) for spec in criterion.specs}
        self._empty = self.state_dict()

    def add(self, batch: Batch, parts: LossParts, outputs: Mapping[str, Tensor], keep: Tensor | None = None) -> None:
        """Add a batch: its losses, and the (B, D) raw outputs of each task.

        Args:
            keep: scalar, 0 where the batch counts for nothing, else 1; None: it counts.
        """
        self.losses.add(parts, keep)
        for task, metric in self.metrics.items():
            mask = batch.mask[task] if keep is None else batch.mask[task] * keep
            metric.update(outputs[task], batch.targets[task], mask)

    def running_loss(self) -> float:
        """The total so far; waits for the device."""
        return self.losses.running_loss()

    def compute(self, part: str) -> EpochRow:
        """The epoch's numbers, under names that begin with `part`; waits for the device."""
        row = self.losses.compute(part)
        for task, metric in self.metrics.items():
            row |= {f"{part}/{task}/{name}": value for name, value in metric.compute().items()}
        return row

    def added_up(self, ranks: Ranks) -> EpochTally:
        """The sums over all processes; this one's stay as they are."""
        if ranks.alone:
            return self
        tally = self._like_this()
        tally.load_state_dict(self.state_dict())
        ranks.add_up(tally.tensors())
        return tally

    def tensors(self) -> list[Tensor]:
        """All sums."""
        return [*self.losses.tensors(), *(value for metric in self.metrics.values() for value in metric.tensors())]

    def load_sum(self, states: list[dict[str, Any]]) -> None:
        """Take over the sum of the states of several processes."""
        self.reset()
        for state in states:
            other = self._like_this()
            other.load_state_dict(state)
            for mine, theirs in zip(self.tensors(), other.tensors(), strict=True):
                mine += theirs

    def _like_this(self) -> EpochTally:
        return EpochTally(self.losses.criterion, self.losses.sums.device)

    def reset(self) -> None:
        """Begin anew, in the same memory: a CUDA graph knows it by its addresses."""
        self.load_state_dict(self._empty)

    def state_dict(self) -> dict[str, Any]:
        """All sums."""
        metrics = {task: metric.state_dict() for task, metric in self.metrics.items()}
        return {"losses": self.losses.state_dict(), "metrics": metrics}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state."""
        self.losses.load_state_dict(state["losses"])
        for task, metric in self.metrics.items():
            metric.load_state_dict(state["metrics"][task])
