"""The loops that `epoch.py` measures: each function makes a model and returns what trains it for one epoch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hybrid_trainer.criterion import Criterion
from hybrid_trainer.data.windows import PanelTensors, WindowLoader
from hybrid_trainer.engine.allocator import memory_kept
from hybrid_trainer.engine.device import choose_precision
from hybrid_trainer.engine.optimizers import make_optimizer
from hybrid_trainer.engine.schedules import Schedule
from hybrid_trainer.engine.step import Stepper
from hybrid_trainer.models import InputDims, make_model
from hybrid_trainer.seeding import seed_everything
from hybrid_trainer.trainer import Trainer
from hybrid_trainer.types import TargetSpec

SPECS = [
    TargetSpec(name="signal", kind="classification", dim=3, horizon=5, labels=("down", "flat", "up")),
    TargetSpec(name="volatility", kind="regression", dim=1, horizon=5, labels=("v",), shift=(0.0,), scale=(1.0,)),
    TargetSpec(name="regime", kind="classification", dim=3, horizon=20, labels=("bear", "range", "bull")),
    TargetSpec(name="sl_tp", kind="regression", dim=2, horizon=10, labels=("sl", "tp"), link="softplus",
               shift=(0.0, 0.0), scale=(1.0, 1.0)),
]  # fmt: skip
INSTRUMENTS, DROPOUT, TRUNK = 6, 0.2, 64


@dataclass(frozen=True)
class Size:
    """One model and data size."""

    hidden: int
    conv: int
    features: int
    window: int
    batch: int
    steps: int


SIZES = {"small": Size(32, 32, 16, 32, 64, 100), "large": Size(128, 64, 38, 60, 256, 12)}


@dataclass(frozen=True)
class Setting:
    """What one process measures."""

    size: Size
    threads: int
    precision: str
    device: torch.device


FOR_GOOD = ExitStack()
Epoch = Callable[[], object]


def panel_of(size: Size) -> PanelTensors:
    rows = size.batch * size.steps + size.window
    targets: dict[str, Tensor] = {}
    for spec in SPECS:
        classes = spec.kind == "classification"
        targets[spec.name] = torch.randint(spec.dim, (rows,)) if classes else torch.rand(rows, spec.dim)
    return PanelTensors(
        features=torch.randn(rows, size.features),
        context=None,
        ids=torch.randint(INSTRUMENTS, (rows, 1)),
        targets=targets,
        mask={spec.name: torch.ones(rows) for spec in SPECS},
    )


def model_of(size: Size) -> torch.nn.Module:
    dims = InputDims(
        features=size.features,
        context={},
        time_window=size.window,
        vocabularies={"instrument": INSTRUMENTS},
        heads={spec.name: spec.dim for spec in SPECS},
    )
    parameters: dict[str, Any] = {
        "cnn_filters": [size.conv, size.conv],
        "kernel_size": 3,
        "lstm_units": size.hidden,
        "lstm_layers": 1,
        "embeddings": {"instrument": 4},
        "use_context": False,
        "context_units": 8,
        "trunk_units": TRUNK,
        "dropout": DROPOUT,
    }
    return make_model("hybrid", dims, parameters)


def stepper_of(setting: Setting) -> Stepper:
    """As a run makes it, deterministic; the memory that steps free is kept from here on."""
    seed_everything(0, deterministic=True, threads=setting.threads)
    FOR_GOOD.enter_context(memory_kept())
    model = model_of(setting.size).to(setting.device)
    criterion = Criterion(SPECS, {}, {}, setting.device)
    optimizer = make_optimizer("adamw", model, learning_rate=1e-3, weight_decay=1e-2, momentum=0.9)
    return Stepper(model, criterion, optimizer, choose_precision(setting.precision, setting.device), clip_norm=1.0)


def loader_of(setting: Setting) -> WindowLoader:
    size = setting.size
    rows = torch.arange(size.window, size.window + size.batch * size.steps)
    panel = panel_of(size).to(setting.device)
    return WindowLoader(panel, rows, time_window=size.window, batch_size=size.batch, shuffle_seed=0)


def resident_step(setting: Setting) -> Callable[[], None]:
    stepper = stepper_of(setting)
    batch = next(iter(loader_of(setting)))
    parameters = list(stepper.model.parameters())
    del stepper.optimizer.found_inf  # a bare loop has no flag for it to look at
    stepper.model.train()

    def step() -> None:
        with stepper.precision.autocast():
            outputs = stepper.model(batch.x, batch.context, batch.ids)
        stepper.criterion(outputs, batch).total.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        stepper.optimizer.step()
        stepper.optimizer.zero_grad(set_to_none=True)

    for group in stepper.optimizer.param_groups:
        group["capturable"] = setting.device.type == "cuda"
    return step


def floor(setting: Setting) -> Epoch:
    """One resident batch, forward, loss, backward, clip, the same fused optimizer; on a GPU a captured graph of it."""
    step = resident_step(setting)
    if setting.device.type == "cuda":
        step = _captured(step)
    return lambda: [step() for _ in range(setting.size.steps)]


def _captured(step: Callable[[], None]) -> Callable[[], None]:
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def ours(setting: Setting) -> Epoch:
    """Trainer._train_epoch: gather, losses and metrics of four tasks, schedule."""
    stepper, loader = stepper_of(setting), loader_of(setting)
    trainer = Trainer(stepper, Schedule(stepper.optimizer), [], epochs=1, device=setting.device)

    def epoch() -> None:
        trainer.step_in_epoch = 0
        trainer._train_epoch(loader)

    return epoch
