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
from hybrid_trainer.engine.allocator import memory_kept
from hybrid_trainer.engine.interruption import Interruption
from hybrid_trainer.engine.schedules import Schedule
from hybrid_trainer.engine.step import Stepper
from hybrid_trainer.engine.tally import LossTally
from hybrid_trainer.metrics import Metric, metric_for
from hybrid_trainer.seeding import generators_state, set_generators
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
        tally, metrics: the sums of the training steps of the current epoch.
        interruption: what a signal asks for; looked at after each step and each validation batch.
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
        self.metrics: dict[str, Metric] = {}
        self.interruption = Interruption()
        self._rate_at_start = 0.0

    def fit(self, train: WindowLoader, valid: WindowLoader) -> list[EpochRow]:
        """Train until `epochs` are done or a callback asks to stop; returns the history, a row per epoch.

        Raises:
            TrainingError: a loss of an epoch isn't finite; the history and the checkpoints end with the epoch before.
            KeyboardInterrupt: a signal came; the state was saved, and a trainer that loads it goes on from there.
        """
        self.steps_per_epoch = -(-len(train) // self.accumulate)
        with self.interruption, memory_kept():
            try:
                self._notify("fit_start")
                while self.epoch < self.epochs and self.stop_reason is None:
                    row = self._train_epoch(train) | self.evaluate(valid, "valid")
                    self.epoch += 1
                    self.step_in_epoch = 0
                    row = {"epoch": self.epoch, **row, "lr": self._rate_at_start}
                    self.schedule.epoch(row)
                    self.history.append(row)
                    self._notify("epoch_end")
                    self._look()
            finally:
                self._end_fit()
        return self.history

    @property
    def learning_rate(self) -> float:
        """The optimizer's, as it stands."""
        return float(self.stepper.optimizer.param_groups[0]["lr"])

    def _train_epoch(self, loader: WindowLoader) -> EpochRow:
        """Train the epoch from its next step on; after a resume that may be none of them."""
        self.model.train()
        loader.epoch = self.epoch
        if self.step_in_epoch == 0:
            self._rate_at_start = self.learning_rate
            self._begin_sums()
        assert self.tally is not None
        for group in self.groups(loader, self.step_in_epoch):
            for batch, (parts, outputs) in zip(group, self.stepper.train(group), strict=True):
                self.tally.add(parts)
                _update(self.metrics, outputs, batch)
            self.schedule.step()
            self.step_in_epoch += 1
            self._notify("step_end")
            self._look()
        self.tally.raise_if_not_finite(self.epoch + 1, "training")
        return self.tally.compute("train") | _compute(self.metrics, "train")

    def groups(self, loader: WindowLoader, first: int = 0) -> Iterator[list[Batch]]:
        """The batches of each step from step `first` on; the last group may be smaller."""
        batches = loader.batches(first * self.accumulate)
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
            self._look()
        tally.raise_if_not_finite(self.epoch + 1, part)
        return tally.compute(part) | _compute(metrics, part)

    def _metrics(self) -> dict[str, Metric]:
        return {spec.name: metric_for(spec, self.device) for spec in self.stepper.criterion.specs}

    def _begin_sums(self) -> None:
        self.tally = LossTally(self.stepper.criterion, self.device)
        self.metrics = self._metrics()

    def evaluated_weights(self) -> dict[str, Any]:
        """The weights that validation has just looked at."""
        return self.model.state_dict()

    def _look(self) -> None:
        """Where a signal has asked for it, save and leave."""
        if self.interruption.requested is not None:
            self._notify("interrupted")
            self.interruption.leave()

    def _notify(self, moment: str) -> None:
        for callback in self.callbacks:
            getattr(callback, moment)(self)

    def _end_fit(self) -> None:
        """Tell every callback, also when one of them fails; the first error is raised when all have been told."""
        with ExitStack() as stack:
            for callback in reversed(self.callbacks):
                stack.callback(callback.fit_end, self)

    def state_dict(self) -> dict[str, Any]:
        """All mutable state of the fit between two steps, as tensors and plain types."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.stepper.optimizer.state_dict(),
            "scaler": self.stepper.scaler.state_dict(),
            "schedule": self.schedule.state_dict(),
            "callbacks": {type(callback).__name__: callback.state_dict() for callback in self.callbacks},
            "epoch": self.epoch,
            "step_in_epoch": self.step_in_epoch,
            "sums": self._sums_state() if self.step_in_epoch else None,
            "history": [dict(row) for row in self.history],
            "generators": generators_state(self.device),  # dropout draws from torch's
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state; the model and the optimizer must be of the same make.

        Rates and decays are this trainer's own, so that a resumed run may have others; a callback that is new begins
        anew, and `stop_reason` is for the callbacks to find again.
        """
        self.model.load_state_dict(state["model"])
        _load_moments(self.stepper.optimizer, state["optimizer"])
        self.stepper.scaler.load_state_dict(state["scaler"])
        self.schedule.load_state_dict(state["schedule"])
        for callback in self.callbacks:
            callback.load_state_dict(state["callbacks"].get(type(callback).__name__, callback.state_dict()))
        self.epoch, self.step_in_epoch = state["epoch"], state["step_in_epoch"]
        if state["sums"] is not None:
            self._load_sums(state["sums"])
        self.history = [dict(row) for row in state["history"]]
        set_generators(state["generators"], self.device)

    def _sums_state(self) -> dict[str, Any]:
        assert self.tally is not None
        metrics = {task: metric.state_dict() for task, metric in self.metrics.items()}
        return {"tally": self.tally.state_dict(), "metrics": metrics, "lr": self._rate_at_start}

    def _load_sums(self, state: dict[str, Any]) -> None:
        self._begin_sums()
        assert self.tally is not None
        self.tally.load_state_dict(state["tally"])
        for task, metric in self.metrics.items():
            metric.load_state_dict(state["metrics"][task])
        self._rate_at_start = state["lr"]


def _load_moments(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Take over an optimizer's moments and step counts, not its rates and decays."""
    own = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, settings in zip(optimizer.param_groups, own, strict=True):
        group.update(settings)


def _update(metrics: dict[str, Metric], outputs: dict[str, Tensor], batch: Batch) -> None:
    for task, metric in metrics.items():
        metric.update(outputs[task], batch.targets[task], batch.mask[task])


def _compute(metrics: dict[str, Metric], part: str) -> EpochRow:
    return {
        f"{part}/{task}/{name}": value for task, metric in metrics.items() for name, value in metric.compute().items()
    }
