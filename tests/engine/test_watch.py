"""What is not finite: seen when, and told how."""

from __future__ import annotations

import logging
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_trainer.engine import watch as module
from hybrid_trainer.engine.watch import NonFiniteError, Watch
from hybrid_trainer.errors import TrainingError
from tests.engine.helpers import CPU, same

INF, NAN = math.inf, math.nan


def watched(steps: list[tuple[float, ...]], *, sticky: bool = True) -> tuple[Watch, list[float]]:
    """A watch over signal, range and the gradient that has seen these steps, and its flag after each."""
    watch = Watch(["signal", "range"], CPU, sticky=sticky)
    flags = []
    for values in steps:
        watch.add(torch.tensor(values, dtype=torch.float32))
        flags.append(watch.flag.item())
    return watch, flags


@pytest.mark.parametrize(
    ("steps", "what", "step"),
    [
        ([(INF, 1, 1)], "loss of task 'signal'", 1),
        ([(1, 1, 1), (1, NAN, NAN)], "loss of task 'range'", 2),
        ([(1, 1, 1), (1, 1, 1), (1, INF, 1), (NAN, NAN, 1)], "loss of task 'range'", 3),
        ([(1, 1, 1), (NAN, 1, 1), (NAN, NAN, 1), (1, 1, 1)], "loss of task 'signal'", 2),
        ([(1, 1, 1), (-INF, INF, 1)], "loss of task 'signal'", 2),
        ([(1, 1, 1), (1, 1, INF), (INF, 1, 1)], "the gradient", 2),
    ],
)
@pytest.mark.parametrize("sticky", [True, False])
def test_the_first_that_went_bad_is_known_with_its_step(
    steps: list[tuple[float, ...]], what: str, step: int, sticky: bool
) -> None:
    watch, flags = watched(steps, sticky=sticky)
    assert watch.first(len(steps)) == (what, step)
    assert flags[: step - 1] == [0.0] * (step - 1) and flags[step - 1] == 1.0


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(width=32)] * 3), min_size=1, max_size=8),
    st.booleans(),
)
def test_the_flag_is_exactly_0_or_1_and_says_what_isfinite_says(steps: list[tuple[float, ...]], sticky: bool) -> None:
    watch, flags = watched(steps, sticky=sticky)
    bad = [not all(map(math.isfinite, values)) for values in steps]
    assert flags == [float(any(bad[: place + 1]) if sticky else bad[place]) for place in range(len(steps))]
    assert watch.skipped.item() == (0 if sticky else sum(bad))
    first = watch.first(len(steps))
    assert (first is None) == (not any(bad))
    if first is not None:
        assert first[1] == bad.index(True) + 1


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([(1, 1, 1), (1, INF, 1)], r"^epoch 7: the training loss of task 'range' is not finite from step 2 on; "),
        ([(1, 1, INF)], r"^epoch 7: the gradient is not finite from step 1 on; .*Lower training\.learning_rate"),
    ],
)
def test_the_error_names_task_epoch_and_step(steps: list[tuple[float, ...]], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        watched(steps)[0].judge(7, len(steps))


def test_finite_steps_raise_nothing() -> None:
    watched([(1, 2, 3), (3e38, -3e38, 0)])[0].judge(1, 2)


def test_a_step_that_is_left_out_is_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    watch, _ = watched([(1, 1, 1), (1, NAN, 1), (1, 1, 1), (INF, 1, 1)], sticky=False)
    watch.judge(3, 4)  # raises nothing
    with caplog.at_level(logging.WARNING):
        assert watch.row(3, 4) == {"train/skipped": 2.0}
    assert caplog.messages == ["epoch 3: 2 of 4 step(s) left out; the first: loss of task 'range', step 2"]


def test_without_a_bad_step_the_row_says_none_and_the_log_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert watched([(1, 1, 1)], sticky=False)[0].row(1, 1) == {"train/skipped": 0.0}
    assert watched([(1, 1, 1)])[0].row(1, 1) == {}
    assert caplog.messages == []


def test_an_epoch_of_bad_steps_alone_fails() -> None:
    watch, _ = watched([(NAN, 1, 1), (1, 1, INF)], sticky=False)
    with pytest.raises(NonFiniteError, match=r"^epoch 4: none of its 2 steps was finite\."):
        watch.row(4, 2)


def test_the_host_looks_at_most_twice_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    watch, _ = watched([(1, 1, 1)])
    looks: list[int] = []
    monkeypatch.setattr(watch, "judge", lambda epoch, steps: looks.append(steps))
    for step in range(1, 12):
        watch.look(1, step)
        now[0] += 0.2
    assert looks == [1, 4, 7, 10]


def test_it_goes_on_from_its_state_and_forgets_in_the_same_memory() -> None:
    steps = [(1.0, 1.0, 1.0), (1.0, INF, 1.0), (1.0, 1.0, 1.0)]
    straight, _ = watched(steps, sticky=False)
    first, _ = watched(steps[:2], sticky=False)
    second, _ = watched([], sticky=False)
    flag = second.flag
    second.load_state_dict(first.state_dict())
    second.add(torch.tensor(steps[2]))
    assert same(second.state_dict(), straight.state_dict())
    assert second.first(3) == ("loss of task 'range'", 2)
    second.reset()
    assert second.flag is flag and second.first(3) is None
    assert same(second.state_dict(), watched([])[0].state_dict())
