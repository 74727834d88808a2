"""Seconds per epoch of our trainer beside other loops over the same model, data and batch size, in one run and paired.

    python benchmarks/epoch.py [--rounds 5] [--threads 1 2] [--sizes small large] [--json FILE]

floor        one resident batch, forward, loss, backward, clip, the same fused optimizer; nothing else
ours         Trainer._train_epoch: gather, losses and metrics of four tasks, callbacks
dataloader   a plain loop over a DataLoader of a map-style Dataset with default collation
lightning    Lightning's Trainer over the same DataLoader (where the extra [bench] is installed)
keras        Keras (TensorFlow) `fit` of the same architecture on windows in memory (the same)

Each round runs every loop once, one after the other in an order that turns, so that a drift of the machine meets all
alike; the ratio to the floor is taken within a round, and the median of the rounds is shown.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hybrid_trainer.criterion import Criterion
from hybrid_trainer.data.windows import PanelTensors, WindowLoader
from hybrid_trainer.engine.device import choose_precision
from hybrid_trainer.engine.optimizers import make_optimizer
from hybrid_trainer.engine.schedules import Schedule
from hybrid_trainer.engine.step import Stepper
from hybrid_trainer.models import InputDims, make_model
from hybrid_trainer.seeding import seed_everything
from hybrid_trainer.trainer import Trainer
from hybrid_trainer.types import Batch, TargetSpec

CPU = torch.device("cpu")
SPECS = [
    TargetSpec(name="signal", kind="classification", dim=3, horizon=5, labels=("down", "flat", "up")),
    TargetSpec(name="volatility", kind="regression", dim=1, horizon=5, labels=("v",), shift=(0.0,), scale=(1.0,)),
    TargetSpec(name="regime", kind="classification", dim=3, horizon=20, labels=("bear", "range", "bull")),
    TargetSpec(name="sl_tp", kind="regression", dim=2, horizon=10, labels=("sl", "tp"), link="softplus",
               shift=(0.0, 0.0), scale=(1.0, 1.0)),
]  # fmt: skip


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


def model_of(size: Size) -> torch.nn.Module:
    dims = InputDims(
        features=size.features,
        context={},
        time_window=size.window,
        vocabularies={"instrument": 6},
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
        "trunk_units": 64,
        "dropout": 0.2,
    }
    return make_model("hybrid", dims, parameters)


def panel_of(size: Size) -> PanelTensors:
    rows = size.batch * size.steps + size.window
    targets: dict[str, Tensor] = {}
    for spec in SPECS:
        classes = spec.kind == "classification"
        targets[spec.name] = torch.randint(spec.dim, (rows,)) if classes else torch.rand(rows, spec.dim)
    return PanelTensors(
        features=torch.randn(rows, size.features),
        context=None,
        ids=torch.randint(6, (rows, 1)),
        targets=targets,
        mask={spec.name: torch.ones(rows) for spec in SPECS},
    )


def stepper_of(size: Size) -> Stepper:
    model = model_of(size)
    criterion = Criterion(SPECS, {}, {}, CPU)
    optimizer = make_optimizer("adamw", model, learning_rate=1e-3, weight_decay=1e-2, momentum=0.9)
    return Stepper(model, criterion, optimizer, choose_precision("fp32", CPU), clip_norm=1.0)


def loader_of(size: Size, panel: PanelTensors) -> WindowLoader:
    rows = torch.arange(size.window, size.window + size.batch * size.steps)
    return WindowLoader(panel, rows, time_window=size.window, batch_size=size.batch, shuffle_seed=0)


def floor(size: Size, panel: PanelTensors) -> Callable[[], None]:
    stepper = stepper_of(size)
    batch = next(iter(loader_of(size, panel)))
    parameters = list(stepper.model.parameters())
    del stepper.optimizer.found_inf  # a bare loop has no flag for it to look at

    def epoch() -> None:
        stepper.model.train()
        for _ in range(size.steps):
            outputs = stepper.model(batch.x, batch.context, batch.ids)
            stepper.criterion(outputs, batch).total.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            stepper.optimizer.step()
            stepper.optimizer.zero_grad(set_to_none=True)

    return epoch


def ours(size: Size, panel: PanelTensors) -> Callable[[], None]:
    stepper = stepper_of(size)
    trainer = Trainer(stepper, Schedule(stepper.optimizer), [], epochs=1, device=CPU)
    loader = loader_of(size, panel)

    def epoch() -> None:
        trainer.step_in_epoch = 0  # as fit does behind an epoch
        trainer._train_epoch(loader)

    return epoch


class Windows(Dataset[dict[str, Tensor]]):
    """What a user writes first: a window per item."""

    def __init__(self, size: Size, panel: PanelTensors) -> None:
        self.size, self.panel = size, panel

    def __len__(self) -> int:
        return self.size.batch * self.size.steps

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        row, panel = index + self.size.window, self.panel
        labels = {task: values[row] for task, values in panel.targets.items()}
        return {"x": panel.features[row - self.size.window + 1 : row + 1], "ids": panel.ids[row], **labels}


def batch_of(items: dict[str, Tensor]) -> Batch:
    labels = {spec.name: items[spec.name] for spec in SPECS}
    ones = torch.ones(len(items["x"]))
    return Batch(
        x=items["x"], context=None, ids=items["ids"], targets=labels, mask=dict.fromkeys(labels, ones), row=ones
    )


def dataloader(size: Size, panel: PanelTensors) -> Callable[[], None]:
    stepper = stepper_of(size)
    loader = DataLoader(Windows(size, panel), batch_size=size.batch, shuffle=True)

    def epoch() -> None:
        stepper.model.train()
        for items in loader:
            stepper.train([batch_of(items)])

    return epoch


def lightning(size: Size, panel: PanelTensors) -> Callable[[], None]:
    import lightning as pl

    stepper = stepper_of(size)

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = stepper.model

        def training_step(self, items: dict[str, Tensor], index: int) -> Tensor:
            return stepper.forward(batch_of(items))[0].total

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return stepper.optimizer

    module, data = Module(), DataLoader(Windows(size, panel), batch_size=size.batch, shuffle=True)

    def epoch() -> None:
        quiet = {
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        }
        pl.Trainer(max_epochs=1, accelerator="cpu", gradient_clip_val=1.0, **quiet).fit(module, data)

    return epoch


def keras(size: Size, panel: PanelTensors) -> Callable[[], None]:
    import keras as k

    x = k.Input((size.window, size.features))
    ids = k.Input((1,), dtype="int32")
    h = x
    for _ in range(2):
        h = k.layers.Conv1D(size.conv, 3, padding="same")(h)
        h = k.layers.Dropout(0.2)(k.layers.Activation("gelu")(k.layers.LayerNormalization()(h)))
    h = k.layers.LSTM(size.hidden)(h)
    h = k.layers.Concatenate()([h, k.layers.Flatten()(k.layers.Embedding(6, 4)(ids))])
    h = k.layers.Dropout(0.2)(k.layers.Activation("gelu")(k.layers.LayerNormalization()(k.layers.Dense(64)(h))))
    heads = {}
    for spec in SPECS:
        activation = "softmax" if spec.kind == "classification" else ("softplus" if spec.link == "softplus" else None)
        heads[spec.name] = k.layers.Dense(spec.dim, activation=activation, name=spec.name)(h)
    model = k.Model([x, ids], heads)
    losses = {
        spec.name: "sparse_categorical_crossentropy" if spec.kind == "classification" else "huber" for spec in SPECS
    }
    model.compile(k.optimizers.AdamW(1e-3, clipnorm=1.0), losses)
    rows = np.arange(size.window, size.window + size.batch * size.steps)
    windows = panel.features.numpy()[rows[:, None] + np.arange(1 - size.window, 1)]
    labels = {task: values.numpy()[rows] for task, values in panel.targets.items()}
    inputs = [windows, panel.ids.numpy()[rows]]
    return lambda: model.fit(inputs, labels, batch_size=size.batch, shuffle=True, verbose=0) and None


LOOPS = {"floor": floor, "ours": ours, "dataloader": dataloader, "lightning": lightning, "keras": keras}
NEEDS = {"lightning": "lightning", "keras": "tensorflow"}


def measure(size: Size, threads: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of every loop in every round; the first round warms up and is not counted."""
    seed_everything(0, deterministic=True, threads=threads)
    panel = panel_of(size)
    loops = {name: make(size, panel) for name, make in LOOPS.items() if name not in NEEDS or _installed(NEEDS[name])}
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    names = list(loops)
    for number in range(rounds + 1):
        turned = number % len(names)  # who comes after whom changes: TensorFlow's threads spin on for a while
        for name in names[turned:] + names[:turned]:
            gc.collect()
            time.sleep(0.2)
            began = time.perf_counter()
            loops[name]()
            if number:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--json", type=Path, help="keep the figures for a later comparison")
    parser.add_argument("--one", nargs=2, metavar=("SIZE", "THREADS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:  # a process of its own: TensorFlow takes its number of threads once
        size, threads = SIZES[options.one[0]], int(options.one[1])
        print(json.dumps(measure(size, threads, options.rounds)))
        return
    found = []
    print(f"median of {options.rounds} rounds")
    print(f"{'size':6} {'threads':>7}  {'loop':10} {'s/epoch':>8} {'ms/step':>8} {'to floor':>9}")
    for name in options.sizes:
        for threads in options.threads:
            for loop, seconds, ratios in _one(name, threads, options.rounds):
                row = {"size": name, "threads": threads, "loop": loop, "seconds": seconds, "ratio_to_floor": ratios}
                found.append(row)
                middle = statistics.median(seconds)
                print(
                    f"{name:6} {threads:7}  {loop:10} {middle:8.3f} {1e3 * middle / SIZES[name].steps:8.2f} "
                    f"{statistics.median(ratios):9.3f}",
                    flush=True,
                )
    if options.json:
        machine = {"platform": platform.platform(), "python": platform.python_version(), "torch": torch.__version__}
        options.json.write_text(json.dumps({"machine": machine, "rows": found}, indent=2) + "\n", encoding="utf-8")


def _one(size: str, threads: int, rounds: int) -> list[tuple[str, list[float], list[float]]]:
    words = [sys.executable, __file__, "--one", size, str(threads), "--rounds", str(rounds)]
    quiet = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": "1",
        "OMP_NUM_THREADS": str(threads),
    }
    done = subprocess.run(words, env=os.environ | quiet, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    seconds: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return [
        (loop, values, [ours / base for ours, base in zip(values, seconds["floor"], strict=True)])
        for loop, values in seconds.items()
    ]


if __name__ == "__main__":
    main()
