"""One step: forward under autocast, backward, clip, update."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from hybrid_trainer.augment import Augmentation
from hybrid_trainer.balancing import Balancing
from hybrid_trainer.balancing.probe import GradientProbe
from hybrid_trainer.criterion import Criterion, LossParts
from hybrid_trainer.engine.device import Precision
from hybrid_trainer.engine.ema import Ema
from hybrid_trainer.engine.shared import kept_back
from hybrid_trainer.engine.watch import Watch
from hybrid_trainer.ranks import ALONE, Ranks
from hybrid_trainer.types import Batch


class Stepper:
    """Runs batches through a model, with or without learning from them.

    A step with a loss or a gradient that is not finite changes nothing: neither weights, moments nor step counts; nor
    statistics of batch norms, unless it is the end of all.

    Args:
        model, criterion, optimizer, precision: what a step is made of; the optimizer is fused.
        clip_norm: largest norm of the gradient; None: no clipping.
        skip_bad: whether such a step is left out alone; else the steps behind it are skipped as well.
        ema: follows the weights; None: nobody does.
        ranks: who takes the other shares of each batch.
        balancing: how the tasks' losses become one update; None: by the criterion's weights.

    Attributes:
        watch: what has gone bad. skipped: scalar float32, 1 where the last step was not taken, on the device.
        run: what a step of training calls: the model, or a compiled or shared form of it with the same weights.
        augment: what is done to training batches; None: nothing.
        probe: looks at the tasks' gradients now and then; None: nobody does.
    """

    def __init__(
        self,
        model: nn.Module,
        criterion: Criterion,
        optimizer: torch.optim.Optimizer,
        precision: Precision,
        clip_norm: float | None,
        *,
        skip_bad: bool = False,
        ema: Ema | None = None,
        ranks: Ranks = ALONE,
        balancing: Balancing | None = None,
    ) -> None:
        self.model = self.run = model
        self.augment: Augmentation | None = None
        self.criterion = criterion
        self.optimizer = optimizer
        self.precision = precision
        self.clip_norm = clip_norm
        self.ema = ema
        self.ranks = ranks
        self.balancing = balancing or Balancing()
        self.probe: GradientProbe | None = None
        self.scaler = precision.scaler()
        # A float16 gradient that overflows is normal: the scaler skips the step and scales less from then on.
        self._scaled = self.scaler.is_enabled()
        self.watch = Watch(criterion.tasks, precision.device, gradient=not self._scaled, sticky=not skip_bad)
        self.skipped = self.watch.flag
        if not self._scaled:
            optimizer.found_inf = self.watch.flag  # type: ignore[attr-defined]  # what fused kernels look at
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        # What a forward pass moves, such as a batch norm's statistics. Behind a bad step that ends all nobody needs it.
        self._moved = list(model.buffers()) if skip_bad or self._scaled else []
        self._before = [
            torch.empty_like(buffer) for buffer in self._moved
        ]  # their own memory: a graph replays the copy

    def train(self, batches: list[Batch], look: bool = False) -> list[tuple[LossParts, dict[str, Tensor]]]:
        """Learn from the batches of one update; returns each one's losses and detached outputs.

        The gradient is that of one batch of all their rows: each task's mean is taken over the whole group's labels.

        Args:
            look: whether the probe is to look at the last batch.
        """
        self._keep()
        counts = None
        if len(batches) > 1 or not self.ranks.alone:
            counts = self.criterion.counts(batches)
            self.ranks.add_up([counts])
        done = []
        for batch in batches:
            with kept_back(self.run, last=batch is batches[-1]):
                parts, outputs = self._seen(batch, counts)
                if look and self.probe is not None and batch is batches[-1]:
                    self.probe.look(parts, counts, self.scaler, self.ranks)
                self.balancing.backward(parts, self.scaler)
            done.append((parts, {task: raw.detach() for task, raw in outputs.items()}))
        sums = done[0][0].sums if counts is None else torch.stack([parts.sums for parts, _ in done]).sum(dim=0)
        self.ranks.add_up([sums])
        self.balancing.join(self.ranks, self.scaler)
        self._update(sums, done[0][0].counts if counts is None else counts)
        self._put_back()
        if self.ema is not None:
            self.ema.update(self.skipped)
        return done

    def _keep(self) -> None:
        """Remember the model's buffers, in case the step is not taken."""
        for before, buffer in zip(self._before, self._moved, strict=True):
            before.copy_(buffer)

    @torch.no_grad()
    def _put_back(self) -> None:
        """Undo what the forward pass did to the buffers, where the step was not taken; waits for nothing."""
        for before, buffer in zip(self._before, self._moved, strict=True):
            buffer.copy_(torch.where(self.skipped > 0, before, buffer))

    def _seen(self, batch: Batch, counts: Tensor | None) -> tuple[LossParts, dict[str, Tensor]]:
        """Losses and outputs of a batch to learn from, augmented where that is asked for."""
        if self.augment is None:
            return self.forward(batch, counts)
        batch = self.augment(batch)
        outputs = self._outputs(batch, self.run)
        return self.criterion(self.augment.labelled(outputs), batch, counts), outputs

    def _update(self, sums: Tensor, counts: Tensor) -> None:
        """Move the weights along the gradients, unless these or the (K,) losses are not finite."""
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        if self._scaled:
            self.watch.add(sums)
            # The scaler finds its own flag in the gradients: a loss that isn't finite is told to it there.
            gradients[0].mul_(torch.where(self.watch.flag > 0, math.nan, 1.0))
            self.scaler.unscale_(self.optimizer)  # the norm is meant in the loss's own units
        # As clip_grad_norm_ does, in half its time: it sorts the gradients by device and type first.
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        if self._scaled:
            self.skipped = torch.nan_to_num(norm * 0, nan=1.0)
        else:
            self.watch.add(torch.cat([sums, norm.view(1)]))
        if self.clip_norm is not None:
            torch._foreach_mul_(gradients, (self.clip_norm / (norm + 1e-6)).clamp(max=1.0))
        self.balancing.learn(sums, counts)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.balancing.settle(self.skipped)
        self.optimizer.zero_grad(set_to_none=True)

    def counts(self, moves: bool) -> bool:
        """Whether the last step is to move the schedule: one that was skipped is not.

        On a GPU this waits for the device, so it looks only where that matters: training goes on behind skipped steps,
        and the next step has another learning rate (`moves`).
        """
        if self.skipped.device.type == "cpu" or (moves and (self._scaled or not self.watch.sticky)):
            return not self.skipped.item()
        return True

    def forward(
        self, batch: Batch, counts: Tensor | None = None, model: nn.Module | None = None
    ) -> tuple[LossParts, dict[str, Tensor]]:
        """Losses and raw outputs (B, D) per task; the loss is computed in float32.

        Args:
            counts: (K,) labels that each task's mean is taken over, where the batch is part of a larger group.
            model: whose outputs; None: those of the model that learns, in the form that it learns in.
        """
        outputs = self._outputs(batch, model or self.run)
        return self.criterion(outputs, batch, counts), outputs

    def _outputs(self, batch: Batch, model: nn.Module) -> dict[str, Tensor]:
        with self.precision.autocast():
            outputs: dict[str, Tensor] = model(batch.x, batch.context, batch.ids)
        return outputs
