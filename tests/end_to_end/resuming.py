"""Fits that are cut at every place where a signal may end them, and go on in a trainer that knows nothing of them."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from hybrid_trainer.callbacks.base import Callback
from hybrid_trainer.callbacks.checkpoint import Checkpoint
from hybrid_trainer.callbacks.early_stopping import EarlyStopping
from hybrid_trainer.data.windows import PanelTensors
from hybrid_trainer.engine.checkpoint_store import CheckpointStore
from hybrid_trainer.engine.schedules import Cosine, Plateau, Schedule
from hybrid_trainer.errors import TrainingError
from hybrid_trainer.monitor import Monitor, Quorum
from hybrid_trainer.readings import WeightedSum
from hybrid_trainer.trainer import Trainer
from tests.engine.helpers import CPU, make_loader, make_panel, make_stepper, weights

State = dict[str, Any]
PANEL = make_panel(unlabelled=0.3)


class MemoryStore(CheckpointStore):
    """Writes nothing."""

    def __init__(self) -> None:
        super().__init__(Path())

    def save_last(self, state: State) -> None:
        """The cuts are taken elsewhere."""

    def save_best(self, epoch: int, weights: State, task: str | None = None) -> None:
        """The monitor says which it is."""


class Cut(Trainer):
    """Keeps its state wherever a signal could have ended it: behind each step, validation batch and epoch."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.cuts: list[bytes] = []

    def rollback(self, state: State) -> None:
        """As `Trainer.rollback`; callbacks stand behind the step that it goes on from."""
        super().rollback(state)
        self._notify("step_end")

    def _look(self) -> None:
        if self.stepper.watch.sticky and self.stepper.watch.flag:
            return  # nothing is saved behind a step that was bad
        buffer = io.BytesIO()
        torch.save(self.state_dict(), buffer)
        self.cuts.append(buffer.getvalue())


def read(cut: bytes) -> State:
    """A state as a checkpoint gives it back."""
    state: State = torch.load(io.BytesIO(cut), weights_only=True)
    return state


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What a fit is made of; `step` goes to the stepper and its model."""

    step: dict[str, Any]
    schedule: Callable[[torch.optim.Optimizer], Schedule]
    epochs: int = 4
    patience: int = 2
    accumulate: int = 2
    max_rollbacks: int = 0
    panel: PanelTensors = PANEL
    callbacks: Callable[[], list[Callback]] = list
    per_task: bool = False

    def trainer(self, seed: int = 0) -> Cut:
        """A new trainer; another seed stands for a process that has none of the first one's state."""
        stepper = make_stepper(seed, **self.step)
        stepper.scaler.set_growth_interval(2)  # by default so long that a short fit would see one scale alone
        callbacks = [
            EarlyStopping(self._stopper(), self.patience),
            *self.callbacks(),
            Checkpoint(MemoryStore(), self._chooser(), tasks=own_monitors() if self.per_task else None),
        ]
        return Cut(
            stepper,
            self.schedule(stepper.optimizer),
            callbacks,
            epochs=self.epochs,
            device=CPU,
            accumulate=self.accumulate,
            max_rollbacks=self.max_rollbacks,
        )

    def _stopper(self) -> Monitor | Quorum:
        return Quorum(own_monitors(), 2, {"signal": 3}) if self.per_task else Monitor("valid/signal/macro_f1")

    def _chooser(self) -> Monitor:
        if not self.per_task:
            return Monitor("valid/loss")
        return Monitor(WeightedSum({"valid/signal/loss": 1.0, "valid/range/mae": 2.0}, normalise=True))

    def outcome(self, trainer: Trainer) -> State:
        """Fit to the end; everything that must not depend on interruptions."""
        error = None
        try:
            trainer.fit(make_loader(self.panel, 10, 44, shuffle_seed=3), make_loader(self.panel, 48, 59))
        except TrainingError as raised:
            error = str(raised)
        checkpoint = trainer.callbacks[-1]
        assert isinstance(checkpoint, Checkpoint)
        return {
            "weights": weights(trainer.model),
            "history": trainer.history,
            "stop_reason": trainer.stop_reason,
            "best_epoch": checkpoint.monitor.best_epoch,
            "task_bests": {task: monitor.best_epoch for task, monitor in checkpoint.tasks.items()},
            "error": error,
        }

    def resumed(self, state: State) -> State:
        """The outcome of another trainer that takes over a state."""
        trainer = self.trainer(seed=99)
        trainer.load_state_dict(state)
        return self.outcome(trainer)


def own_monitors() -> dict[str, Monitor]:
    """A monitor for each task."""
    return {"signal": Monitor("valid/signal/loss"), "range": Monitor("valid/range/mae")}


def with_an_infinite_label(panel: PanelTensors, row: int) -> PanelTensors:
    """The panel with a label that no loss survives."""
    targets, mask = ({task: values.clone() for task, values in part.items()} for part in (panel.targets, panel.mask))
    targets["range"][row], mask["range"][row] = math.inf, 1.0
    return replace(panel, targets=targets, mask=mask)


class Spoil(Callback):
    """Makes every label infinite behind two steps, until training has gone back once more."""

    moments = ((0, 2, 0), (1, 2, 1))  # finished epochs, steps and rollbacks

    def fit_start(self, trainer: Trainer) -> None:
        """As behind the step that a resumed fit goes on from."""
        self.step_end(trainer)

    def step_end(self, trainer: Trainer) -> None:
        """Spoil the labels, or mend them."""
        now = (trainer.epoch, trainer.step_in_epoch, trainer.rollbacks)
        SPOILT.targets["range"].copy_(PANEL.targets["range"] + (math.inf if now in self.moments else 0.0))


SPOILT = replace(PANEL, targets={task: values.clone() for task, values in PANEL.targets.items()})


def cosine(optimizer: torch.optim.Optimizer) -> Schedule:
    return Cosine(optimizer, warmup_steps=3, total_steps=20, smallest=0.1)


def plateau(optimizer: torch.optim.Optimizer) -> Schedule:
    return Plateau(optimizer, Monitor("valid/loss"), factor=0.5, patience=1, min_learning_rate=0.0, warmup_steps=7)


def balanced(kind: str, **step: Any) -> Fit:
    """A fit whose tasks are weighed while it goes on, some of its steps looked at."""
    return Fit(step={"balancing": kind, "look_every": 2, "dropout": 0.1, **step}, schedule=cosine, patience=9)


FITS = {
    "fp16": Fit(step={"precision": "fp16", "dropout": 0.3}, schedule=cosine),
    "plateau": Fit(step={"learning_rate": 0.1, "dropout": 0.1}, schedule=plateau, accumulate=1, epochs=7, patience=3),
    "per task": Fit(
        step={"learning_rate": 0.1, "dropout": 0.1}, schedule=cosine, accumulate=1, epochs=7, per_task=True
    ),
    "not finite": Fit(
        step={"optimizer": "sgd", "skip_bad": True, "ema_decay": 0.8},
        schedule=cosine,
        accumulate=1,
        panel=with_an_infinite_label(PANEL, 20),
        epochs=2,
    ),
    "went back": Fit(
        step={}, schedule=Schedule, accumulate=1, panel=SPOILT, epochs=2, max_rollbacks=2, callbacks=lambda: [Spoil()]
    ),
    "uncertainty": balanced("uncertainty"),
    "dwa": balanced("dwa", optimizer="sgd"),
    "gradnorm": balanced("gradnorm"),
    "pcgrad": balanced("pcgrad"),
}
"""Each exercises state of its own; a new kind of state belongs into one of them, or into a further one."""
