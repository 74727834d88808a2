"""One step: forward under autocast, backward, clip, update."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hybrid_trainer.criterion import Criterion, LossParts
from hybrid_trainer.engine.device import Precision
from hybrid_trainer.types import Batch


class Stepper:
    """Runs batches through a model, with or without learning from them.

    Args:
        model, criterion, optimizer, precision: what a step is made of.
        clip_norm: largest norm of the gradient; None: no clipping.
    """

    def __init__(
        self,
        model: nn.Module,
        criterion: Criterion,
        optimizer: torch.optim.Optimizer,
        precision: Precision,
        clip_norm: float | None,
    ) -> None:
        self.model = model
        self.criterion = criterion
        self.optimizer = optimizer
        self.precision = precision
        self.clip_norm = clip_norm
        self.scaler = precision.scaler()
        self._parameters = [p for p in model.parameters() if p.requires_grad]

    def train(self, batches: list[Batch]) -> list[tuple[LossParts, dict[str, Tensor]]]:
        """Learn from the batches of one update; returns each one's losses and detached outputs.

        The gradient is that of one batch of all their rows: each task's mean is taken over the whole group's labels.
        """
        counts = self.criterion.counts(batches) if len(batches) > 1 else None
        done = []
        for batch in batches:
            parts, outputs = self.forward(batch, counts)
            self.scaler.scale(parts.total).backward()  # type: ignore[no-untyped-call]
            done.append((parts, {task: raw.detach() for task, raw in outputs.items()}))
        if self.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)  # the norm is meant in the loss's own units
            nn.utils.clip_grad_norm_(self._parameters, self.clip_norm)
        self.scaler.step(self.optimizer)  # skips the update where float16 gradients overflowed
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return done

    def forward(self, batch: Batch, counts: Tensor | None = None) -> tuple[LossParts, dict[str, Tensor]]:
        """Losses and raw outputs (B, D) per task; the loss is computed in float32.

        Args:
            counts: (K,) labels that each task's mean is taken over, where the batch is part of a larger group.
        """
        with self.precision.autocast():
            outputs = self.model(batch.x, batch.context, batch.ids)
        return self.criterion(outputs, batch, counts), outputs
