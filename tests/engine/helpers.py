"""Small panels, models and trainers for the tests of the engine, the callbacks and the trainer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hybrid_trainer.balancing import make_balancing
from hybrid_trainer.balancing.probe import GradientProbe
from hybrid_trainer.callbacks.base import Callback
from hybrid_trainer.config.losses import LOSS_CONFIGS
from hybrid_trainer.criterion import Criterion
from hybrid_trainer.data.windows import PanelTensors, WindowLoader
from hybrid_trainer.engine.device import choose_precision
from hybrid_trainer.engine.ema import Ema
from hybrid_trainer.engine.freezing import freeze
from hybrid_trainer.engine.optimizers import make_optimizer
from hybrid_trainer.engine.schedules import Plateau, Schedule
from hybrid_trainer.engine.step import Stepper
from hybrid_trainer.losses import TaskLoss, make_losses
from hybrid_trainer.models import InputDims, make_model
from hybrid_trainer.monitor import Monitor
from hybrid_trainer.trainer import Trainer
from hybrid_trainer.types import Batch, TargetSpec

CPU = torch.device("cpu")
WINDOW = 8
FEATURES = 3

SIGNAL = TargetSpec(name="signal", kind="classification", dim=3, horizon=1, labels=("down", "flat", "up"))
RANGE = TargetSpec(
    name="range", kind="regression", dim=2, horizon=1, labels=("low", "high"), shift=(0.5, -1.0), scale=(2.0, 0.25)
)
SPECS = [SIGNAL, RANGE]

DIMS = InputDims(
    features=FEATURES, context={}, time_window=WINDOW, vocabularies={"instrument": 3}, heads={"signal": 3, "range": 2}
)
PARAMETERS: dict[str, Any] = {
    "cnn_filters": [8],
    "kernel_size": 3,
    "lstm_units": 8,
    "lstm_layers": 1,
    "embeddings": {"instrument": 2},
    "use_context": True,
    "context_units": 4,
    "trunk_units": 8,
    "dropout": 0.0,
}
TINY_RUN = [
    "data=csv",
    "data.instrument=instrument",
    "model.time_window=8",
    "model.cnn_filters=[8]",
    "model.lstm_units=8",
    "model.trunk_units=8",
    "model.heads=[signal,volatility]",
    "training.epochs=2",
    "training.device=cpu",
    "training.threads=1",
]
"""Overrides for a run on a small table that takes a second."""


def make_panel(rows: int = 60, *, seed: int = 0, unlabelled: float = 0.0) -> PanelTensors:
    """Random features and labels for the tasks of SPECS; a share of the labels is masked."""
    generator = torch.Generator().manual_seed(seed)
    return PanelTensors(
        features=torch.randn(rows, FEATURES, generator=generator),
        context=None,
        ids=torch.randint(0, 3, (rows, 1), generator=generator),
        targets={
            "signal": torch.randint(0, 3, (rows,), generator=generator),
            "range": torch.randn(rows, 2, generator=generator),
        },
        mask={spec.name: (torch.rand(rows, generator=generator) >= unlabelled).float() for spec in SPECS},
    )


def make_loader(
    panel: PanelTensors, first: int, last: int, *, batch_size: int = 8, shuffle_seed: int | None = None
) -> WindowLoader:
    """Windows that end in the rows first to last, the last one included."""
    rows = torch.arange(first, last + 1)
    return WindowLoader(panel, rows, time_window=WINDOW, batch_size=batch_size, shuffle_seed=shuffle_seed)


def whole_batch(panel: PanelTensors, first: int, last: int) -> Batch:
    """The same windows as one batch."""
    return make_loader(panel, first, last).gather(torch.arange(first, last + 1))


def make_tiny_model(seed: int = 0, dims: InputDims = DIMS, **changes: Any) -> nn.Module:
    """The hybrid model at its smallest; on one thread, since the tests' two workers share the machine."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    return make_model("hybrid", dims, PARAMETERS | changes)


def losses_of(names: Mapping[str, str]) -> dict[str, TaskLoss]:
    """Losses of the tasks of SPECS by their names, with default options."""
    return make_losses(SPECS, {task: LOSS_CONFIGS.get(name, task)() for task, name in names.items()})


def make_stepper(
    seed: int = 0,
    *,
    precision: str = "fp32",
    optimizer: str = "adamw",
    learning_rate: float = 0.01,
    weight_decay: float = 0.01,
    momentum: float = 0.9,
    clip_norm: float | None = 1.0,
    losses: Mapping[str, str] | None = None,
    skip_bad: bool = False,
    ema_decay: float | None = None,
    balancing: str = "fixed",
    loss_weights: Mapping[str, float] | None = None,
    look_every: int | None = None,
    device: torch.device = CPU,
    capturable: bool = False,
    frozen: Sequence[str] = (),
    **model: Any,
) -> Stepper:
    """A tiny model with both tasks of SPECS."""
    made = make_tiny_model(seed, **model).to(device)
    freeze(made, frozen)
    rates = {"learning_rate": learning_rate, "weight_decay": weight_decay, "momentum": momentum}
    criterion = Criterion(SPECS, losses_of(losses or {}), loss_weights or {}, device)
    balance = make_balancing(balancing, made, SPECS, criterion.weights, alpha=1.5, temperature=2.0, seed=0)
    stepper = Stepper(
        made,
        criterion,
        make_optimizer(optimizer, made, capturable=capturable, further=balance.parameters, **rates),
        choose_precision(precision, device),
        clip_norm,
        skip_bad=skip_bad,
        ema=None if ema_decay is None else Ema(made, ema_decay),
        balancing=balance,
    )
    if look_every is not None:
        stepper.probe = GradientProbe(made, criterion.tasks, look_every, device)
    return stepper


def make_trainer(
    seed: int = 0,
    *,
    epochs: int = 2,
    callbacks: list[Callback] | None = None,
    plateau: bool = False,
    max_rollbacks: int = 0,
    **step: Any,
) -> Trainer:
    """A trainer of a tiny model; `plateau` halves the learning rate after each epoch without improvement."""
    stepper = make_stepper(seed, **step)
    schedule = (
        Plateau(stepper.optimizer, Monitor("valid/loss"), factor=0.5, patience=0, min_learning_rate=0.0)
        if plateau
        else Schedule(stepper.optimizer)
    )
    device = stepper.precision.device
    return Trainer(stepper, schedule, callbacks or [], epochs=epochs, device=device, max_rollbacks=max_rollbacks)


def weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of a model's weights."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def same(a: Any, b: Any) -> bool:
    """Whether two nested states are equal bit for bit; NaN equals NaN."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        bits = [x.detach().reshape(-1).view(torch.uint8) for x in (a, b)]
        return a.dtype == b.dtype and a.shape == b.shape and torch.equal(*bits)
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return bool(type(a) is type(b) and a == b)


class Scripted(Callback):
    """Puts given numbers into the epoch rows, for the callbacks behind it to see."""

    def __init__(self, metric: str, values: list[float]) -> None:
        self.metric = metric
        self.values = values

    def epoch_end(self, trainer: Trainer) -> None:
        trainer.history[-1][self.metric] = self.values[trainer.epoch - 1]


class Recorder(Callback):
    """Remembers each moment and the weights after each epoch."""

    def __init__(self) -> None:
        self.moments: list[str] = []
        self.weights: list[dict[str, Tensor]] = []

    def fit_start(self, trainer: Trainer) -> None:
        self.moments.append("fit_start")

    def step_end(self, trainer: Trainer) -> None:
        self.moments.append(f"step_end {trainer.step_in_epoch}/{trainer.steps_per_epoch}")

    def epoch_end(self, trainer: Trainer) -> None:
        self.moments.append(f"epoch_end {trainer.epoch}")
        self.weights.append(weights(trainer.model))

    def interrupted(self, trainer: Trainer) -> None:
        self.moments.append("interrupted")

    def fit_end(self, trainer: Trainer) -> None:
        self.moments.append("fit_end")
