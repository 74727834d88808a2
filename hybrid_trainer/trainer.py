"""The training loop, by hand: epochs, batches, history, and the moments at which callbacks look on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from hybrid_trainer.callbacks.base import Callback
from hybrid_trainer.data.windows import WindowLoader
from hybrid_trainer.engine.schedules import Schedule
from hybrid_trainer.engine.step import Stepper
from hybrid_trainer.engine.tally import LossTally
from hybrid_trainer.metrics import Metric, metric_for
from hybrid_trainer.types import Batch, EpochRow


class Trainer:
    """Trains a model and keeps its history.

    Args:
        stepper: runs one batch. schedule: moves the learning rate. callbacks: look on, in this order.
        epochs: passes over the training windows, at most. device: where the batches are.
        accumulate: batches per step, which is one update of the weights.

    Attributes:
        epoch: finished epochs. step_in_epoch: finished steps of the current one.
        history: a row per finished epoch. stop_reason: set by whoever wants training to end.
    """

    def __init__(
        self,
        stepper: Stepper,
        schedule: Schedule,
        callbacks: list[Callback],
        *,
        epochs: int,
        device: torch.device,
        accumulate: int = 1,
    ) -> None:
        self.stepper = stepper
        self.model = stepper.model
        self.schedule = schedule
        self.callbacks = callbacks
        self.epochs = epochs
        self.device = device
        self.accumulate = accumulate
        self.epoch = 0
        self.step_in_epoch = 0
        self.steps_per_epoch = 0
        self.history: list[EpochRow] = []
        self.stop_reason: str | None = None
        self.tally: LossTally | None = None

    def fit(self, train: WindowLoader, valid: WindowLoader) -> list[EpochRow]:
        """Train until `epochs` are done or a callback asks to stop; returns the history, a row per epoch.

        Raises:
            TrainingError: a loss of an epoch isn't finite; the history and the checkpoints end with the epoch before.
        """
        self.steps_per_epoch = -(-len(train) // self.accumulate)
        try:
            self._notify("fit_start")
            while self.epoch < self.epochs and self.stop_reason is None:
                learning_rate = self.learning_rate
                row = self._train_epoch(train) | self.evaluate(valid, "valid")
                self.epoch += 1
                row = {"epoch": self.epoch, **row, "lr": learning_rate}  # as the epoch began
                self.schedule.epoch(row)
                self.history.append(row)
                self._notify("epoch_end")
        finally:
            self._end_fit()
        return self.history

    @property
    def learning_rate(self) -> float:
        """The optimizer's, as it stands."""
        return float(self.stepper.optimizer.param_groups[0]["lr"])

    def _train_epoch(self, loader: WindowLoader) -> EpochRow:
        self.model.train()
        self.tally = LossTally(self.stepper.criterion, self.device)
        metrics = self._metrics()
        loader.epoch = self.epoch
        self.step_in_epoch = 0
        for group in self.groups(loader):
            for batch, (parts, outputs) in zip(group, self.stepper.train(group), strict=True):
                self.tally.add(parts)
                _update(metrics, outputs, batch)
            self.schedule.step()
            self.step_in_epoch += 1
            self._notify("step_end")
        self.tally.raise_if_not_finite(self.epoch + 1, "training")
        return self.tally.compute("train") | _compute(metrics, "train")

    def groups(self, loader: WindowLoader) -> Iterator[list[Batch]]:
        """The batches of each step; the last group may be smaller."""
        batches = iter(loader)
        while group := list(islice(batches, self.accumulate)):
            yield group

    @torch.inference_mode()
    def evaluate(self, loader: WindowLoader, part: str) -> EpochRow:
        """The losses and metrics of a part, without learning; names begin with `part`."""
        self.model.eval()
        tally = LossTally(self.stepper.criterion, self.device)
        metrics = self._metrics()
        for batch in loader:
            parts, outputs = self.stepper.forward(batch)
            tally.add(parts)
            _update(metrics, outputs, batch)
        tally.raise_if_not_finite(self.epoch + 1, part)
        return tally.compute(part) | _compute(metrics, part)

    def _metrics(self) -> dict[str, Metric]:
        return {spec.name: metric_for(spec, self.device) for spec in self.stepper.criterion.specs}

    def _notify(self, moment: str) -> None:
        for callback in self.callbacks:
            getattr(callback, moment)(self)

    def _end_fit(self) -> None:
        """Tell every callback, also when one of them fails; the first error is raised when all have been told."""
        with ExitStack() as stack:
            for callback in reversed(self.callbacks):
                stack.callback(callback.fit_end, self)

    def state_dict(self) -> dict[str, Any]:
        """All mutable state of the fit, as tensors and plain types."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.stepper.optimizer.state_dict(),
            "scaler": self.stepper.scaler.state_dict(),
            "schedule": self.schedule.state_dict(),
            "callbacks": [callback.state_dict() for callback in self.callbacks],
            "epoch": self.epoch,
            "history": [dict(row) for row in self.history],
            "stop_reason": self.stop_reason,
            "torch_rng": torch.get_rng_state(),  # dropout draws from it
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state; the model, optimizer and callbacks must be of the same make."""
        self.model.load_state_dict(state["model"])
        self.stepper.optimizer.load_state_dict(state["optimizer"])
        self.stepper.scaler.load_state_dict(state["scaler"])
        self.schedule.load_state_dict(state["schedule"])
        for callback, its_state in zip(self.callbacks, state["callbacks"], strict=True):
            callback.load_state_dict(its_state)
        self.epoch = state["epoch"]
        self.history = [dict(row) for row in state["history"]]
        self.stop_reason = state["stop_reason"]
        torch.set_rng_state(state["torch_rng"].cpu())


def _update(metrics: dict[str, Metric], outputs: dict[str, Tensor], batch: Batch) -> None:
    for task, metric in metrics.items():
        metric.update(outputs[task], batch.targets[task], batch.mask[task])


def _compute(metrics: dict[str, Metric], part: str) -> EpochRow:
    return {
        f"{part}/{task}/{name}": value for task, metric in metrics.items() for name, value in metric.compute().items()
    }
