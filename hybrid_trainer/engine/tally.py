"""An epoch's losses, summed on the device; nothing waits for it until the epoch ends."""

from __future__ import annotations

import math

import torch

from hybrid_trainer.criterion import Criterion, LossParts
from hybrid_trainer.errors import TrainingError
from hybrid_trainer.metrics import Sums
from hybrid_trainer.types import EpochRow


class LossTally(Sums):
    """Count-correct sums of each task's loss, and how many steps each task stayed finite."""

    def __init__(self, criterion: Criterion, device: torch.device) -> None:
        self.criterion = criterion
        tasks = len(criterion.tasks)
        self.sums = torch.zeros(tasks, dtype=torch.float64, device=device)
        self.counts = torch.zeros(tasks, dtype=torch.float64, device=device)
        self._finite = torch.ones(tasks, dtype=torch.bool, device=device)
        self._good_steps = torch.zeros(tasks, dtype=torch.int64, device=device)

    def add(self, parts: LossParts) -> None:
        """Add a step's losses."""
        self.sums += parts.sums
        self.counts += parts.counts
        self._finite &= parts.sums.isfinite()
        self._good_steps += self._finite

    def running_loss(self) -> float:
        """The total so far; waits for the device."""
        return float(self.criterion.total(self.sums, self.counts))

    def compute(self, part: str) -> EpochRow:
        """The epoch's numbers: the weighted total, and each task's mean (NaN without a label)."""
        row = {f"{part}/loss": self.running_loss()}
        means = (self.sums / self.counts).tolist()
        return row | {f"{part}/{task}/loss": mean for task, mean in zip(self.criterion.tasks, means, strict=True)}

    def raise_if_not_finite(self, epoch: int, part: str) -> None:
        """Raise TrainingError naming the task that went bad first, and the step."""
        if math.isfinite(self.running_loss()):
            return
        good = self._good_steps.tolist()
        intact = "; the checkpoints of the epochs before are intact" if epoch > 1 else ""
        first = min(range(len(good)), key=good.__getitem__)
        raise TrainingError(
            f"epoch {epoch}: the {part} loss of task '{self.criterion.tasks[first]}' is not finite from step "
            f"{good[first] + 1} on{intact}. Lower training.learning_rate, or "
            "look for extreme values in that target"
        )
