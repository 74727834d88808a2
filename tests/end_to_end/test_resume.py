"""A fit that goes on after any cut ends in the same bits, and would not if any piece of its state were dropped."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hybrid_trainer.callbacks.base import Callback
from hybrid_trainer.trainer import Trainer
from tests.end_to_end.resuming import FITS, Cut, Fit, State, cosine, plateau, read
from tests.engine.helpers import same

Path = tuple[Any, ...]

PLACED = [
    *(("fp16", number) for number in (1, 6, 13)),
    *(("plateau", number) for number in (4, 19, 28, 35)),
    *(("not finite", number) for number in (4, 12)),
    *(("went back", number) for number in (10,)),
]
"""Ten cuts: what is dropped from a state must show behind one of them."""

ELSEWHERE = {
    "balancing.": [("uncertainty", 7), ("dwa", 14), ("gradnorm", 8)],
    "sums.probe.": [("uncertainty", 7)],
    "callbacks.Checkpoint.monitor.first.": [("per task", 10), ("per task", 49)],
    "callbacks.Checkpoint.tasks.": [("per task", 10), ("per task", 49)],
    "callbacks.EarlyStopping.monitor.tasks.": [("per task", 10), ("per task", 49)],
}
"""Where pieces must show that only fits with these have, by how their names begin."""

NOT_NOTICED = {
    "optimizer.param_groups": "rates and decays are those of the config; see tests/test_trainer.py",
    "schedule.base": "the rate of the config, to notice that it has changed; see tests/engine/test_schedules.py",
    "schedule.monitor.of": "what the monitor looks at is the config's; see tests/test_monitor.py",
    "callbacks.EarlyStopping.monitor.of": "the same",
    "callbacks.Checkpoint.monitor.of": "the same",
    "steps_per_epoch": "as long as the epochs are; see tests/test_fit_state.py",
    "schedule.monitor.best_epoch": "a schedule asks for the best value alone",
    "callbacks.Checkpoint.monitor.stalled": "a checkpoint asks for the best epoch alone",
    **{f"callbacks.Checkpoint.tasks.{task}.stalled": "the same" for task in ("signal", "range")},
    **{
        f"callbacks.{name}.{task}.of": "what a monitor looks at is the config's"
        for name in ("Checkpoint.tasks", "EarlyStopping.monitor.tasks")
        for task in ("signal", "range")
    },
    "scaler.growth_factor": "a constant",
    "scaler.backoff_factor": "a constant",
    "scaler.growth_interval": "a constant",
    "ema": "where there is no average; each tensor of one is a piece of its own",
    "sums.watch.flag": "the last step's",
    "sums.watch._seen": "for the log's line of the first step that was left out",
    "sums.watch._since": "for the log's line of the first step that was left out",
    "balancing.generator": "two tasks have one order; see tests/balancing/test_pcgrad.py",
    "generators.python": "see the test of the global generators",
    "generators.numpy": "see the test of the global generators",
}
"""Pieces that nothing in these fits reads, and why."""


@pytest.fixture(autouse=True)
def some_batches_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics add up two or three of these small batches at a time: of an epoch, some are summed and some wait."""
    monkeypatch.setattr("hybrid_trainer.metrics.streaming.AT_ONCE", 40)


@cache
def straight(name: str) -> tuple[State, list[State]]:
    """The outcome of an undisturbed fit, and its state at each place where it could be cut."""
    trainer = FITS[name].trainer()
    return FITS[name].outcome(trainer), [read(cut) for cut in trainer.cuts]


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_fit_that_goes_on_after_any_cut_ends_in_the_same_bits(precision: str, dropout: float) -> None:
    """Behind each step, each validation batch and each epoch."""
    schedule = cosine if precision == "fp16" else plateau
    fit = Fit(step={"precision": precision, "dropout": dropout}, schedule=schedule, epochs=2)
    trainer = fit.trainer()
    whole = fit.outcome(trainer)
    assert len(trainer.cuts) == 2 * (3 + 2 + 1)  # two epochs of three steps and two batches
    for number, cut in enumerate(trainer.cuts):
        assert same(fit.resumed(read(cut)), whole), f"cut {number}"


def test_a_fit_with_frozen_parts_and_an_average_goes_on_in_the_same_bits() -> None:
    step = {"frozen": ["convolution"], "ema_decay": 0.8, "dropout": 0.3}
    fit = Fit(step=step, schedule=cosine, epochs=2)
    trainer = fit.trainer()
    whole = fit.outcome(trainer)
    for number in (1, 4, 8):
        assert same(fit.resumed(read(trainer.cuts[number])), whole), f"cut {number}"


def test_the_fits_do_what_makes_their_state_matter() -> None:
    """One stops early, one's scale of the gradients moves, one's rate is lowered, one skips steps, one goes back.

    One keeps the best for each task, and stops when both have stalled.
    """
    names = ("fp16", "plateau", "per task", "not finite", "went back")
    (fp16, cuts), (lowered, rates), (tasks, _), (bad, _), (back, _) = map(straight, names)
    assert "2 of 2 tasks have stalled" in tasks["stop_reason"] and tasks["task_bests"]["signal"] != tasks["best_epoch"]
    assert len({state["scaler"]["scale"] for state in cuts}) > 1
    assert len({tuple(state["schedule"]["full"]) for state in rates}) > 1
    assert any("early stopping" in (outcome["stop_reason"] or "") for outcome in (fp16, lowered))
    assert [row["train/skipped"] for row in bad["history"]] == [1.0, 1.0]
    assert [row["train/rollbacks"] for row in back["history"]] == [1.0, 2.0]


def leaves(state: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that is neither a mapping nor a list of mappings, one per process, with its path.

    The state that a rollback goes back to is one value.
    """
    for name, value in state.items() if isinstance(state, dict) else enumerate(state):
        per_process = (
            isinstance(value, list) and value and isinstance(value[0], dict) and name in ("tally", "generators")
        )
        if (isinstance(value, dict) and name != "epoch_start") or per_process:
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value


def piece(path: Path) -> str:
    """What a path is a part of: a moment of all parameters is one piece."""
    return ".".join(str(name) for name in path if not isinstance(name, int))


def dropped(state: State, name: str, fresh: Cut) -> State:
    """The state as if loading had ignored a piece: it stays what it is in a fresh trainer."""
    fresh._begin_sums()
    fresh.step_in_epoch = 1
    own = fresh.state_dict() | {"step_in_epoch": 0}
    changed = copy.deepcopy(state)
    for path, value in list(leaves(changed)):
        if piece(path) != name:
            continue
        inner, other = changed, own
        for part in path[:-1]:
            inner, other = inner[part], _entry(other, part, {})
        nothing = torch.zeros_like(value) if isinstance(value, Tensor) else None  # the moments of no step
        inner[path[-1]] = _entry(other, path[-1], nothing)
    return changed


def _entry(inner: Any, name: Any, otherwise: Any) -> Any:
    try:
        return inner[name]
    except (KeyError, TypeError):
        return otherwise


def noticed(name: str) -> bool:
    """Whether the outcome tells, behind one of the cuts, that a piece was dropped."""
    for fit, number in next((cuts for start, cuts in ELSEWHERE.items() if name.startswith(start)), PLACED):
        whole, cuts = straight(fit)
        if name not in {piece(path) for path, _ in leaves(cuts[number])}:
            continue
        state = dropped(cuts[number], name, FITS[fit].trainer(seed=99))
        if not same(FITS[fit].resumed(state), whole):
            return True
    return False


@pytest.mark.parametrize("kind", ["uncertainty", "dwa", "gradnorm", "pcgrad"])
def test_weights_of_tasks_go_on_where_they_were(kind: str) -> None:
    """Behind steps, validation batches and epochs, each once."""
    whole, cuts = straight(kind)
    assert [len(whole["history"]), len(cuts)] == [4, 4 * (3 + 2 + 1)]
    for number in range(2, len(cuts), 5):
        assert same(FITS[kind].resumed(copy.deepcopy(cuts[number])), whole), f"cut {number}"


def test_each_piece_of_state_that_is_dropped_shows_behind_one_of_the_cuts() -> None:
    """All that any fit saves in the middle of an epoch; a piece that nobody needs to be restored stands in the list."""
    saved = {piece(path) for name in FITS for path, _ in leaves(straight(name)[1][2])}
    assert {name for name in saved if not noticed(name)} == set(NOT_NOTICED)


class Draws(Callback):
    """Moves a weight by what python's and numpy's global generators give."""

    def step_end(self, trainer: Trainer) -> None:
        with torch.no_grad():
            next(trainer.model.parameters()).add_(1e-3 * random.random() + 1e-3 * float(np.random.random()))


@pytest.mark.parametrize("generator", ["python", "numpy"])
def test_the_global_generators_go_on_where_they_were(generator: str) -> None:
    fit = Fit(step={}, schedule=cosine, epochs=2, callbacks=lambda: [Draws()])
    trainer = fit.trainer()
    whole = fit.outcome(trainer)
    state = read(trainer.cuts[3])
    assert same(fit.resumed(state), whole)
    random.seed(5)
    np.random.seed(5)
    other = dropped(state, f"generators.{generator}", fit.trainer(seed=99))
    assert not same(fit.resumed(other), whole)
