"""A schedule: what becomes of the learning rate, here once per epoch."""

from dataclasses import dataclass

import torch

from hybrid_trainer.extend import EpochRow, Schedule, ScheduleOptions, Steps, check_range, key, schedule


@dataclass(kw_only=True)
class HalvingOptions(ScheduleOptions):
    """Half of the learning rate every few epochs."""

    every: int = key(3, "epochs with one learning rate")

    def __post_init__(self) -> None:
        check_range("every", self.every, low=1)


@schedule("halving", HalvingOptions)
class Halving(Schedule):
    """The base class warms up and keeps the state; one that moves with each step extends Course, and gives `factor`."""

    def __init__(self, optimizer: torch.optim.Optimizer, steps: Steps, *, every: int) -> None:
        super().__init__(optimizer, warmup_steps=steps.warmup)
        self.every = every

    def epoch(self, row: EpochRow) -> None:
        """Look at a finished epoch's row."""
        if int(row["epoch"]) % self.every == 0:
            self.scale(0.5)
