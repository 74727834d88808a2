"""Early stopping."""

from __future__ import annotations

import json
import math

import pytest

from hybrid_trainer.callbacks.early_stopping import EarlyStopping
from hybrid_trainer.monitor import Monitor
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
