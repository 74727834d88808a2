"""How the learning rate changes."""

from __future__ import annotations

import json
import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_trainer.engine.schedules import Constant, Plateau
from hybrid_trainer.monitor import Monitor


def sgd(learning_rate: float = 1.0) -> torch.optim.Optimizer:
    """Two groups, as in training."""
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    return torch.optim.SGD([{"params": [p]} for p in parameters], lr=learning_rate)


def rates(optimizer: torch.optim.Optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


def plateau(
    optimizer: torch.optim.Optimizer, mode: str = "min", patience: int = 1, min_learning_rate: float = 0.0
) -> Plateau:
    monitor = Monitor("valid/loss", mode)
    return Plateau(optimizer, monitor, factor=0.5, patience=patience, min_learning_rate=min_learning_rate)


def torchs(
    optimizer: torch.optim.Optimizer, mode: str, patience: int, min_learning_rate: float
) -> torch.optim.lr_scheduler.ReduceLROnPlateau:
    return torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode=mode, factor=0.5, patience=patience, threshold=0.0, min_lr=min_learning_rate, eps=0.0
    )


@settings(max_examples=50, deadline=None)
@given(
    values=st.lists(st.sampled_from([1.0, 2.0, 3.0, 4.0, math.nan]), min_size=1, max_size=20),
    mode=st.sampled_from(["min", "max"]),
    patience=st.integers(0, 3),
    min_learning_rate=st.sampled_from([0.0, 0.1, 0.25]),
)
def test_plateau_equals_torchs_reduce_on_plateau(
    values: list[float], mode: str, patience: int, min_learning_rate: float
) -> None:
    ours, theirs = sgd(), sgd()
    our_schedule = plateau(ours, mode, patience, min_learning_rate)
    their_schedule = torchs(theirs, mode, patience, min_learning_rate)
    for epoch, value in enumerate(values, start=1):
        our_schedule.epoch({"epoch": epoch, "valid/loss": value})
        their_schedule.step(value)
        assert rates(ours) == rates(theirs)


def test_plateau_halves_after_more_than_patience_stalled_epochs() -> None:
    optimizer = sgd()
    schedule = plateau(optimizer, patience=1)
    seen = []
    for epoch, value in enumerate([3.0, 3.0, 3.0, 3.0, 3.0, 2.0, 2.5], start=1):
        schedule.epoch({"epoch": epoch, "valid/loss": value})
        seen.append(rates(optimizer)[0])
    assert seen == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25]


def test_plateau_never_goes_below_the_smallest_rate() -> None:
    optimizer = sgd()
    schedule = plateau(optimizer, patience=0, min_learning_rate=0.3)
    for epoch in range(1, 6):
        schedule.epoch({"epoch": epoch, "valid/loss": 1.0})
    assert rates(optimizer) == [0.3, 0.3]


def test_plateau_never_raises_a_rate_that_began_below_the_smallest() -> None:
    optimizer, reference = sgd(1e-6), sgd(1e-6)
    schedule, torch_schedule = plateau(optimizer, "min", 0, 1e-5), torchs(reference, "min", 0, 1e-5)
    for epoch in range(1, 4):
        schedule.epoch({"epoch": epoch, "valid/loss": 1.0})
        torch_schedule.step(1.0)
    assert rates(optimizer) == rates(reference) == [1e-6, 1e-6]


def test_plateau_goes_on_from_its_state() -> None:
    values = [3.0, 3.5, 3.5, 3.0, 2.0, 2.0, 2.0]
    straight, cut = sgd(), sgd()
    first = plateau(straight)
    second = plateau(cut)
    for epoch, value in enumerate(values, start=1):
        row = {"epoch": epoch, "valid/loss": value}
        first.epoch(row)
        second.epoch(row)
        state = json.loads(json.dumps(second.state_dict()))
        second = plateau(cut)
        second.load_state_dict(state)
        assert rates(cut) == rates(straight)
    assert rates(straight)[0] < 1.0


def test_constant_keeps_the_rate_and_has_no_state() -> None:
    schedule = Constant()
    schedule.epoch({"epoch": 1, "valid/loss": 1.0})
    assert schedule.state_dict() == {}
    schedule.load_state_dict({})
