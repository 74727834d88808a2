"""Early stopping."""

from __future__ import annotations

import json
import math

import pytest

from hybrid_trainer.callbacks.early_stopping import EarlyStopping
from hybrid_trainer.monitor import Monitor, Quorum
from hybrid_trainer.trainer import Trainer
from tests.engine.helpers import Scripted, make_loader, make_panel, make_trainer

PANEL = make_panel()
NAN = math.nan


def fitted(monitor: Monitor, patience: int, values: list[float]) -> Trainer:
    """Train as long as the callback lets it, with the monitored number of each epoch as given."""
    callbacks = [Scripted(monitor.metric, values), EarlyStopping(monitor, patience)]
    trainer = make_trainer(epochs=len(values), callbacks=callbacks)
    trainer.fit(make_loader(PANEL, 10, 17), make_loader(PANEL, 30, 37))
    return trainer


def test_training_stops_after_patience_epochs_without_improvement_and_says_why() -> None:
    trainer = fitted(Monitor("valid/loss"), 2, [3.0, 1.25, 2.0, 1.5, 0.1, 0.1])
    assert trainer.epoch == len(trainer.history) == 4
    assert trainer.stop_reason == (
        "early stopping: valid/loss has not improved for 2 epochs; its best was 1.25 in epoch 2"
    )


@pytest.mark.parametrize(
    ("values", "mode", "min_delta", "patience", "stops_after"),
    [
        ([1.0, 2.0, 0.5, 2.0, 2.0, 9.0], "min", 0.0, 2, 5),
        ([0.1, 0.1, 0.9], "max", 0.0, 1, 2),
        ([3.0, 2.9, 2.8, 2.7], "min", 0.5, 3, 4),
        ([1.0, NAN, NAN, 0.5], "min", 0.0, 2, 3),
        ([1.0, NAN, 0.5, NAN], "min", 0.0, 2, None),
        ([3.0, 2.0, 1.0], "min", 0.0, 1, None),
    ],
)
def test_training_stops_in_the_right_epoch(
    values: list[float], mode: str, min_delta: float, patience: int, stops_after: int | None
) -> None:
    trainer = fitted(Monitor("valid/signal/macro_f1", mode, min_delta), patience, values)
    assert trainer.epoch == (stops_after or len(values))
    assert (trainer.stop_reason is None) is (stops_after is None)


def test_a_number_that_never_was_one_stops_training_and_is_named() -> None:
    trainer = fitted(Monitor("valid/range/loss"), 2, [NAN, NAN, NAN, NAN])
    assert trainer.epoch == 2
    assert trainer.stop_reason is not None and "valid/range/loss" in trainer.stop_reason


def test_the_callback_goes_on_from_its_state() -> None:
    first, second = EarlyStopping(Monitor("valid/loss"), 3), EarlyStopping(Monitor("valid/loss"), 3)
    trainer = make_trainer()
    for epoch, value in enumerate([1.0, 2.0, 2.0], start=1):
        trainer.history.append({"epoch": epoch, "valid/loss": value})
        first.epoch_end(trainer)
    assert trainer.stop_reason is None
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    trainer.history.append({"epoch": 4, "valid/loss": 1.5})
    second.epoch_end(trainer)
    assert trainer.stop_reason is not None and "in epoch 1" in trainer.stop_reason


def test_training_stops_when_no_task_has_improved_by_its_own_metric() -> None:
    """signal stalls from epoch 2 on, range from epoch 4; each has a patience of its own."""
    quorum = Quorum({"signal": Monitor("valid/signal/mcc"), "range": Monitor("valid/range/r2")}, 2, {"signal": 3})
    scripts = [
        Scripted("valid/signal/mcc", [0.5, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4]),
        Scripted("valid/range/r2", [0.1, 0.2, 0.3, 0.0, 0.0, 0.0, 0.0]),
    ]
    trainer = make_trainer(epochs=7, callbacks=[*scripts, EarlyStopping(quorum, 2)])
    trainer.fit(make_loader(PANEL, 10, 17), make_loader(PANEL, 30, 37))
    assert trainer.epoch == 5
    assert trainer.stop_reason == (
        "early stopping: 2 of 2 tasks have stalled (2 needed): "
        "valid/signal/mcc has not improved for 3 epochs; its best was 0.5 in epoch 1 | "
        "valid/range/r2 has not improved for 2 epochs; its best was 0.3 in epoch 3"
    )


def test_a_resumed_run_that_looks_at_tasks_now_begins_anew() -> None:
    one, tasks = EarlyStopping(Monitor("valid/loss"), 1), EarlyStopping(Quorum({"a": Monitor("valid/a/mcc")}, 1, {}), 1)
    one.monitor.update({"epoch": 1, "valid/loss": 1.0})
    one.monitor.update({"epoch": 2, "valid/loss": 1.0})
    tasks.load_state_dict(one.state_dict())
    trainer = make_trainer()
    tasks.fit_start(trainer)
    assert trainer.stop_reason is None
    one.fit_start(trainer)
    assert trainer.stop_reason is not None
