"""How the learning rate changes."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_trainer.engine.schedules import Cosine, OneCycle, Plateau, Schedule, Steps, make_own
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.extend import schedule
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
    straight = sgd()
    first = plateau(straight)
    second = plateau(sgd())
    for epoch, value in enumerate(values, start=1):
        row = {"epoch": epoch, "valid/loss": value}
        first.epoch(row)
        second.epoch(row)
        state = json.loads(json.dumps(second.state_dict()))
        cut = sgd()
        second = plateau(cut)
        second.load_state_dict(state)
        assert rates(cut) == rates(straight)
    assert rates(straight)[0] < 1.0


def optimizer_at(rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)


def course(schedule: Schedule, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(schedule.optimizer.param_groups[0]["lr"])
        schedule.step()
    return found


def torchs_course(scheduler: torch.optim.lr_scheduler.LRScheduler, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.optimizer.step()
        scheduler.step()
    return found


def test_without_a_kind_the_rate_rises_over_the_warm_up_and_stays() -> None:
    assert course(Schedule(optimizer_at(1.0), warmup_steps=3), 6) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert course(Schedule(optimizer_at(0.5)), 3) == [0.5, 0.5, 0.5]


def test_cosine_is_torchs() -> None:
    ours = Cosine(optimizer_at(0.4), warmup_steps=0, total_steps=20, smallest=0.1)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer_at(0.4), T_max=20, eta_min=0.04)
    assert course(ours, 20) == pytest.approx(torchs_course(theirs, 20), rel=1e-9)


def test_cosine_after_a_warm_up_falls_over_the_steps_that_are_left() -> None:
    rates = course(Cosine(optimizer_at(1.0), warmup_steps=4, total_steps=14, smallest=0.0), 15)
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[9] == pytest.approx(0.5)
    assert rates[14] == pytest.approx(0.0)


@pytest.mark.parametrize("steps", [10, 50, 101])
def test_one_cycle_is_torchs(steps: int) -> None:
    ours = OneCycle(optimizer_at(0.4), total_steps=steps)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4, momentum=0.9), max_lr=0.4, total_steps=steps
    )
    assert course(ours, steps - 1) == pytest.approx(torchs_course(theirs, steps - 1), rel=1e-9)


@pytest.mark.parametrize("kind", ["cosine", "onecycle", "warm-up"])
def test_a_schedule_per_step_goes_on_from_its_state(kind: str) -> None:
    def make() -> Schedule:
        if kind == "cosine":
            return Cosine(optimizer_at(1.0), warmup_steps=2, total_steps=10, smallest=0.0)
        return OneCycle(optimizer_at(1.0), total_steps=10) if kind == "onecycle" else Schedule(optimizer_at(1.0), 5)

    straight = course(make(), 10)
    first, second = make(), make()
    course(first, 4)
    second.load_state_dict(first.state_dict())
    assert course(second, 6) == straight[4:]


def test_what_a_plug_in_makes_must_be_a_schedule(plugging: None) -> None:
    schedule("mine")(lambda optimizer, steps: 3)  # type: ignore[arg-type,return-value]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    steps = Steps(warmup=0, per_epoch=1, total=1)
    with pytest.raises(ConfigError, match="schedule 'mine': it made a int, which is no Schedule"):
        make_own("mine", optimizer, steps, {})
    schedule("other")(lambda optimizer, steps: Schedule(optimizer, steps.warmup))
    assert isinstance(make_own("other", optimizer, steps, {}), Schedule)
    with pytest.raises(ValueError, match="already a schedule named 'cosine'"):
        schedule("cosine")(lambda optimizer, steps: Schedule(optimizer))
