"""Milliseconds per training step of each model family at its defaults, at one common size, with its parameters beside.

    python benchmarks/models.py [--rounds 5] [--steps 5] [--models hybrid,tcn] [--clock cpu]

A step is forward, losses of four tasks, backward, clipping and the fused optimizer, on one batch that lies in memory,
with one thread. The families take turns, in an order that turns from round to round, so that a drift of the machine
meets all alike; the ratio to the first one is the median of each round's own ratio.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict

import torch

from hybrid_trainer.config.schema import OPTIONS
from hybrid_trainer.criterion import Criterion
from hybrid_trainer.data.windows import PanelTensors, WindowLoader
from hybrid_trainer.engine.allocator import memory_kept
from hybrid_trainer.engine.device import choose_precision
from hybrid_trainer.engine.optimizers import make_optimizer
from hybrid_trainer.engine.step import Stepper
from hybrid_trainer.models import NOT_PARAMETERS, InputDims, make_model
from hybrid_trainer.seeding import seed_everything
from hybrid_trainer.types import Batch, TargetSpec

SPECS = [
    TargetSpec(name="signal", kind="classification", dim=3, horizon=5, labels=("down", "flat", "up")),
    TargetSpec(name="volatility", kind="regression", dim=1, horizon=5, labels=("v",), shift=(0.0,), scale=(1.0,)),
    TargetSpec(name="regime", kind="classification", dim=3, horizon=20, labels=("bear", "range", "bull")),
    TargetSpec(name="sl_tp", kind="regression", dim=2, horizon=10, labels=("sl", "tp"), link="softplus",
               shift=(0.0, 0.0), scale=(1.0, 1.0)),
]  # fmt: skip
INSTRUMENTS = 6
BATCH, WINDOW, FEATURES = 128, 32, 16
DIMS = InputDims(
    features=FEATURES,
    context={},
    time_window=WINDOW,
    vocabularies={"instrument": INSTRUMENTS},
    heads={spec.name: spec.dim for spec in SPECS},
)
CPU = torch.device("cpu")


def one_batch() -> Batch:
    """A batch of random windows with labels for all four tasks."""
    rows = BATCH + WINDOW
    panel = PanelTensors(
        features=torch.randn(rows, FEATURES),
        context=None,
        ids=torch.randint(INSTRUMENTS, (rows, 1)),
        targets={
            spec.name: torch.randint(spec.dim, (rows,)) if spec.kind == "classification" else torch.rand(rows, spec.dim)
            for spec in SPECS
        },
        mask={spec.name: torch.ones(rows) for spec in SPECS},
    )
    chosen = torch.arange(WINDOW - 1, WINDOW - 1 + BATCH)
    return WindowLoader(panel, chosen, time_window=WINDOW, batch_size=BATCH).gather(chosen)


def stepper_of(name: str) -> Stepper:
    """What takes the steps of a family."""
    parameters = {key: value for key, value in asdict(OPTIONS["model"][name]()).items() if key not in NOT_PARAMETERS}
    model = make_model(name, DIMS, parameters).train()
    optimizer = make_optimizer("adamw", model, learning_rate=1e-3, weight_decay=1e-2, momentum=0.9)
    return Stepper(model, Criterion(SPECS, {}, {}, CPU), optimizer, choose_precision("fp32", CPU), clip_norm=1.0)


def milliseconds(stepper: Stepper, batch: Batch, steps: int, clock: Callable[[], float]) -> float:
    """Of one step, the mean of some."""
    began = clock()
    for _ in range(steps):
        stepper.train([batch])
    return (clock() - began) * 1000 / steps


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--models", default=",".join(OPTIONS["model"]))
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: on a machine that others use")
    given = parser.parse_args()
    clock = time.perf_counter if given.clock == "wall" else time.process_time
    seed_everything(0, deterministic=True, threads=1)
    names, batch = given.models.split(","), one_batch()
    steppers = {name: stepper_of(name) for name in names}
    found: dict[str, list[float]] = {name: [] for name in names}
    with ExitStack() as stack:
        stack.enter_context(memory_kept())
        for stepper in steppers.values():  # moments, and pages from the kernel
            milliseconds(stepper, batch, 2, clock)
        for number in range(given.rounds):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                found[name].append(milliseconds(steppers[name], batch, given.steps, clock))
    print("| model | parameters | ms per step | to the first |")
    print("|---|---|---|---|")
    for name, times in found.items():
        count = sum(parameter.numel() for parameter in steppers[name].model.parameters())
        ratio = statistics.median(own / first for own, first in zip(times, found[names[0]], strict=True))
        print(f"| `{name}` | {count:,} | {statistics.median(times):.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
