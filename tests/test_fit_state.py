"""A state that another kind of trainer takes over: what a resumed run may change."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hybrid_trainer.engine.schedules import Cosine, OneCycle, Plateau
from hybrid_trainer.fit_state import misfit
from hybrid_trainer.monitor import Monitor
from tests.engine.helpers import make_loader, make_panel, make_trainer, same, weights

State = dict[str, Any]
PANEL = make_panel()


def state_after_an_epoch(**options: Any) -> State:
    """Of a trainer that has taken four steps."""
    trainer = make_trainer(epochs=1, **options)
    trainer.fit(make_loader(PANEL, 10, 37), make_loader(PANEL, 45, 54))
    return trainer.state_dict()


def test_a_run_may_go_on_in_float16_that_began_in_float32_and_the_other_way_round() -> None:
    scaled = make_trainer(1, precision="fp16")
    scale = scaled.stepper.scaler.get_scale()
    state = state_after_an_epoch()
    scaled.load_state_dict(state)
    assert scaled.stepper.scaler.get_scale() == scale
    assert same(weights(scaled.model), dict(state["model"]))
    plain = make_trainer(1)
    plain.load_state_dict(state_after_an_epoch(precision="fp16"))
    assert plain.epoch == 1


def test_sgd_that_had_no_momentum_begins_it_at_zero() -> None:
    trainer = make_trainer(1, optimizer="sgd", momentum=0.5)
    trainer.load_state_dict(state_after_an_epoch(optimizer="sgd", momentum=0.0))
    moments = [entry["momentum_buffer"] for entry in trainer.stepper.optimizer.state.values()]
    assert len(moments) == len(list(trainer.model.parameters()))
    assert not any(moment.any() for moment in moments)


def test_a_plateau_schedule_begins_anew_behind_another_one() -> None:
    trainer = make_trainer(1, plateau=True)
    trainer.load_state_dict(state_after_an_epoch())
    assert isinstance(trainer.schedule, Plateau)
    assert (trainer.schedule.monitor.best, trainer.schedule.steps) == (None, 4)


@pytest.mark.parametrize("now", [2, 8, 4, 0])
def test_a_course_is_at_the_same_place_where_an_epoch_has_another_number_of_steps(now: int) -> None:
    """A quarter of the course is done; nobody knows of a change where the new number is 0."""
    state = state_after_an_epoch()
    assert state["steps_per_epoch"] == 4
    trainer = make_trainer(1)
    trainer.steps_per_epoch = now
    optimizer = trainer.stepper.optimizer
    trainer.schedule = Cosine(optimizer, warmup_steps=0, total_steps=4 * (now or 4), smallest=0.0)
    trainer.load_state_dict(state)
    assert trainer.schedule.steps == (now or 4)
    assert trainer.learning_rate == pytest.approx(0.01 * (1 + 0.5**0.5) / 2)


def test_only_a_course_is_measured_in_epochs() -> None:
    state = state_after_an_epoch()
    made = []
    for course in (True, False):
        trainer = make_trainer(1)
        trainer.steps_per_epoch = 8
        if course:
            trainer.schedule = OneCycle(trainer.stepper.optimizer, total_steps=32)
        trainer.load_state_dict(state)
        made.append(trainer.schedule.steps)
    assert made == [8, 4]


def test_the_best_of_another_metric_means_nothing() -> None:
    monitor = Monitor("valid/loss")
    monitor.update({"epoch": 1, "valid/loss": 0.3})
    for other in (Monitor("valid/signal/macro_f1"), Monitor("valid/loss", "max")):
        other.load_state_dict(monitor.state_dict())
        assert (other.best, other.best_epoch, other.stalled) == (None, None, 0)
    more_patient = Monitor("valid/loss", "min", min_delta=0.1)
    more_patient.load_state_dict(monitor.state_dict())
    assert (more_patient.best, more_patient.best_epoch) == (0.3, 1)


def test_weights_of_another_make_are_told_by_name_and_shape() -> None:
    trainer = make_trainer()
    own = trainer.state_dict()
    assert misfit(trainer, own) is None
    name = "side.embedding.tables.0.weight"
    assert name in own["model"]
    grown = {"model": {**own["model"], name: torch.zeros(4, 2)}}
    assert misfit(trainer, grown) == f"{name} was 4 x 2 and would be 3 x 2"
    less = {"model": {key: value for key, value in own["model"].items() if key != name}}
    assert misfit(trainer, less) == f"{name} was not there and would be 3 x 2"
    assert misfit(trainer, {"model": {**own["model"], "more": torch.zeros(())}}) == (
        "more was one number and would be not there"
    )
