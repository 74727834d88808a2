"""A fit whose steps go bad: it stops, leaves them out, or goes back; and the average of the weights in a fit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hybrid_trainer.callbacks.base import Callback
from hybrid_trainer.callbacks.checkpoint import Checkpoint
from hybrid_trainer.data.windows import PanelTensors, WindowLoader
from hybrid_trainer.engine import watch
from hybrid_trainer.engine.checkpoint_store import CheckpointStore
from hybrid_trainer.engine.schedules import Cosine, Schedule
from hybrid_trainer.engine.watch import NonFiniteError
from hybrid_trainer.errors import TrainingError
from hybrid_trainer.monitor import Monitor
from hybrid_trainer.trainer import Trainer
from hybrid_trainer.types import EpochRow
from tests.engine.helpers import CPU, WINDOW, make_loader, make_panel, make_trainer, same, weights

BAD_ROW = 10 + 8 + 8 + 2  # in the third of the four batches of an epoch in order


def spoilt(*rows: int) -> PanelTensors:
    """A panel whose second task has no number as its label in these rows."""
    panel = make_panel()
    for row in rows:
        panel.targets["range"][row] = math.nan
    return panel


def fit(trainer: Trainer, panel: PanelTensors) -> list[EpochRow]:
    """Train on 28 windows in order, in batches of 8, 8, 8 and 4; validate on 10."""
    return trainer.fit(make_loader(panel, 10, 37), make_loader(panel, 45, 54))


class Steps(Callback):
    """Remembers the weights after each step."""

    def __init__(self) -> None:
        self.weights: list[dict[str, Tensor]] = []

    def step_end(self, trainer: Trainer) -> None:
        self.weights.append(weights(trainer.model))


class SpoilAfter(Callback):
    """Takes a label away when an epoch has ended."""

    def __init__(self, panel: PanelTensors, epoch: int) -> None:
        self.panel, self.epoch = panel, epoch

    def epoch_end(self, trainer: Trainer) -> None:
        if trainer.epoch == self.epoch:
            self.panel.targets["range"][BAD_ROW] = math.nan


# stop


@pytest.fixture
def never_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host looks at the end of an epoch and before a checkpoint alone."""
    monkeypatch.setattr(watch, "_LOOK_EVERY_S", math.inf)


@pytest.mark.usefixtures("never_looks")
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_behind_a_bad_step_the_weights_stay_the_last_good_ones(precision: str) -> None:
    steps = Steps()
    trainer = make_trainer(callbacks=[steps], precision=precision)
    scaler = trainer.stepper.scaler
    scaler.load_state_dict(scaler.state_dict() | {"scale": 256.0})  # no good step overflows
    with pytest.raises(TrainingError, match=r"^epoch 1: the training loss of task 'range' is not finite from step 3 "):
        fit(trainer, spoilt(BAD_ROW))
    assert len(steps.weights) == 4
    assert same(weights(trainer.model), steps.weights[1])
    assert same(steps.weights[3], steps.weights[1]) and not same(steps.weights[0], steps.weights[1])


@pytest.mark.usefixtures("never_looks")
def test_no_checkpoint_is_written_behind_a_bad_step(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    panel, steps = make_panel(), Steps()
    callbacks = [steps, SpoilAfter(panel, 1), Checkpoint(store, Monitor("valid/loss"), every_steps=1)]
    with pytest.raises(
        TrainingError, match=r"^epoch 2: .*'range' is not finite from step 3 on; the checkpoints .*intact"
    ):
        fit(make_trainer(epochs=3, callbacks=callbacks), panel)
    state = store.load_last(CPU)
    assert state is not None and (state["epoch"], state["step_in_epoch"]) == (1, 2)
    assert same(dict(state["model"]), steps.weights[5])  # the second step of the second epoch


@pytest.mark.usefixtures("never_looks")
def test_an_interrupted_run_saves_no_state_behind_a_bad_step(tmp_path: Path) -> None:
    class Interrupt(Callback):
        def step_end(self, trainer: Trainer) -> None:
            if trainer.step_in_epoch == 4:
                trainer.interruption.requested = 15

    callbacks = [Interrupt(), Checkpoint(CheckpointStore(tmp_path), Monitor("valid/loss"))]
    with pytest.raises(NonFiniteError):
        fit(make_trainer(callbacks=callbacks), spoilt(BAD_ROW))
    assert list(tmp_path.iterdir()) == []


def test_the_host_sees_a_bad_step_before_the_epoch_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_LOOK_EVERY_S", 0.0)
    steps = Steps()
    with pytest.raises(NonFiniteError, match="from step 3 on"):
        fit(make_trainer(callbacks=[steps]), spoilt(BAD_ROW))
    assert len(steps.weights) == 2  # the callbacks aren't told of the third


# skip


def without(panel: PanelTensors) -> WindowLoader:
    """The batches of `fit`, without the third."""
    rows = torch.cat([torch.arange(10, 26), torch.arange(34, 38)])
    return WindowLoader(panel, rows, time_window=WINDOW, batch_size=8)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("spoilt_rows", [(BAD_ROW,), (26, 30, 33)])
def test_leaving_a_step_out_is_training_without_its_batch(optimizer: str, spoilt_rows: tuple[int, ...]) -> None:
    panel = spoilt(*spoilt_rows)
    made = [make_trainer(epochs=2, optimizer=optimizer, skip_bad=True, ema_decay=0.8) for _ in range(2)]
    for trainer in made:
        trainer.schedule = Cosine(trainer.stepper.optimizer, warmup_steps=2, total_steps=9, smallest=0.1)
    ours = fit(made[0], panel)
    theirs = made[1].fit(without(panel), make_loader(panel, 45, 54))
    assert [row.pop("train/skipped") for row in ours] == [1.0, 1.0]
    assert [row.pop("train/skipped") for row in theirs] == [0.0, 0.0]
    assert ours == theirs and all(map(math.isfinite, ours[-1].values()))
    states = [trainer.state_dict() for trainer in made]
    for part in ("model", "optimizer", "schedule", "ema"):
        assert same(dict(states[0][part]), dict(states[1][part])), part
    assert made[0].schedule.steps == 6


def test_steps_that_are_left_out_are_told(caplog: pytest.LogCaptureFixture) -> None:
    fit(make_trainer(epochs=1, skip_bad=True), spoilt(BAD_ROW))
    assert "epoch 1: 1 of 4 step(s) left out; the first: loss of task 'range', step 3" in caplog.messages


def test_an_epoch_of_which_every_step_is_left_out_fails() -> None:
    with pytest.raises(TrainingError, match=r"^epoch 1: none of its 4 steps was finite"):
        fit(make_trainer(skip_bad=True), spoilt(10, 18, 26, 34))


def test_an_accumulated_step_is_left_out_whole() -> None:
    trainer = make_trainer(epochs=1, skip_bad=True)
    trainer.accumulate = 2
    assert fit(trainer, spoilt(BAD_ROW))[0]["train/skipped"] == 1.0
    assert trainer.schedule.steps == 1


def test_a_validation_loss_that_is_not_finite_ends_the_run_all_the_same() -> None:
    with pytest.raises(TrainingError, match=r"^epoch 1: the valid loss of task 'range' is not finite from step 2 on"):
        fit(make_trainer(skip_bad=True), spoilt(53))


# rollback


class MendAfter(Callback):
    """Puts the label back once training has gone back so often, and remembers where each attempt began."""

    def __init__(self, panel: PanelTensors, rollbacks: int) -> None:
        self.panel, self.rollbacks = panel, rollbacks
        self.begun: list[tuple[int, float]] = []

    def step_end(self, trainer: Trainer) -> None:
        if trainer.step_in_epoch == 1:
            self.begun.append((trainer.epoch, trainer.learning_rate))
        if trainer.rollbacks == self.rollbacks:
            self.panel.targets["range"][BAD_ROW] = 0.0


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_going_back_is_beginning_the_epoch_again_with_half_the_learning_rate(tmp_path: Path, precision: str) -> None:
    """Wherever checkpoints are: here one is written behind each step."""
    panel = make_panel()
    store = Checkpoint(CheckpointStore(tmp_path), Monitor("valid/loss"), every_steps=1)
    callbacks = [SpoilAfter(panel, 2), MendAfter(panel, 1), store]
    options: dict[str, Any] = {"precision": precision, "dropout": 0.2}
    trainer = make_trainer(epochs=4, max_rollbacks=3, callbacks=callbacks, **options)
    history = fit(trainer, panel)
    assert [row["train/rollbacks"] for row in history] == [0, 0, 1, 1]
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    assert [row["lr"] for row in history] == [0.01, 0.01, 0.005, 0.005]

    panel = make_panel()
    second = make_trainer(epochs=2, **options)
    fit(second, panel)
    panel.targets["range"][BAD_ROW] = 0.0
    state, third = second.state_dict(), make_trainer(1, epochs=4, **options)
    third.load_state_dict(state)
    third.schedule.scale(0.5)
    fit(third, panel)
    assert same(weights(trainer.model), weights(third.model))


def test_each_rollback_halves_once_more_and_after_the_last_the_run_fails(caplog: pytest.LogCaptureFixture) -> None:
    panel = make_panel()
    mend = MendAfter(panel, 9)
    trainer = make_trainer(epochs=4, max_rollbacks=3, callbacks=[SpoilAfter(panel, 2), mend])
    with pytest.raises(
        NonFiniteError, match=r"^epoch 3: .*'range' is not finite from step 3 on; .* target \(after 3 rollback\(s\)\)$"
    ):
        fit(trainer, panel)
    assert mend.begun == [(0, 0.01), (1, 0.01), (2, 0.01), (2, 0.005), (2, 0.0025), (2, 0.00125)]
    assert trainer.learning_rate == 0.00125 and len(trainer.history) == 2
    told = [message for message in caplog.messages if "Rollback" in message]
    assert len(told) == 3
    assert told[1].endswith("Rollback 2 of 3: epoch 3 begins again, with half the learning rate")


@pytest.mark.parametrize("cut", [1, 2])
def test_a_run_that_is_resumed_in_the_middle_of_an_epoch_goes_back_to_where_the_epoch_began(cut: int) -> None:
    kept: list[dict[str, Any]] = []

    class Keep(Callback):
        def step_end(self, trainer: Trainer) -> None:
            if (trainer.step_in_epoch, trainer.rollbacks, kept) == (cut, 0, []):
                kept.append(clone(trainer.state_dict()))

    panel = spoilt(BAD_ROW)
    options: dict[str, Any] = {"epochs": 2, "max_rollbacks": 1, "dropout": 0.2}
    straight = make_trainer(callbacks=[Keep(), MendAfter(panel, 1)], **options)
    history = fit(straight, panel)
    panel = spoilt(BAD_ROW)
    second = make_trainer(7, callbacks=[MendAfter(panel, 1)], **options)
    second.load_state_dict(kept[0])
    assert same(fit(second, panel), history)
    assert same(weights(second.model), weights(straight.model))


def test_checkpoints_of_what_training_has_gone_back_from_are_removed(tmp_path: Path) -> None:
    panel = spoilt(BAD_ROW)
    store = CheckpointStore(tmp_path)
    places: list[list[str]] = []

    class Look(Callback):
        def step_end(self, trainer: Trainer) -> None:
            places.append(sorted(path.stem for path in tmp_path.glob("last-*.pt")))

    steps = Checkpoint(store, Monitor("valid/loss"), every_steps=1)
    fit(make_trainer(epochs=1, max_rollbacks=1, callbacks=[MendAfter(panel, 1), steps, Look()]), panel)
    assert places[1] == ["last-0000-0000001", "last-0000-0000002"]
    assert places[-4:-2] == [["last-0000-0000001"], ["last-0000-0000001", "last-0000-0000002"]]


def test_without_a_checkpoint_training_goes_back_to_where_it_began() -> None:
    panel = spoilt(BAD_ROW)
    trainer = make_trainer(epochs=2, max_rollbacks=2)
    begun = weights(trainer.model)
    seen: list[dict[str, Tensor]] = []

    class Look(Callback):
        def step_end(self, trainer: Trainer) -> None:
            if trainer.step_in_epoch == 1 and trainer.rollbacks == 2:
                panel.targets["range"][BAD_ROW] = 0.0
                seen.append(weights(trainer.model))

    trainer.callbacks.append(Look())
    history = fit(trainer, panel)
    assert [row["lr"] for row in history] == [0.0025, 0.0025]
    fresh = make_trainer(epochs=1, learning_rate=0.0025, callbacks=[steps := Steps()])
    fit(fresh, make_panel())
    assert same(seen[0], steps.weights[0]) and not same(seen[0], begun)


def test_a_rollback_keeps_its_learning_rate_over_a_resume(tmp_path: Path) -> None:
    trainer = make_trainer(epochs=1, max_rollbacks=3)
    trainer.rollback(trainer.state_dict())
    second = make_trainer(1, epochs=1, max_rollbacks=3)
    second.load_state_dict(trainer.state_dict())
    assert (second.rollbacks, second.learning_rate) == (1, 0.005)


# The average of the weights.


def test_validation_and_the_best_checkpoint_use_the_average_and_training_goes_on_without_it(tmp_path: Path) -> None:
    store, panel = CheckpointStore(tmp_path), make_panel()
    plain = make_trainer(epochs=3, dropout=0.2)
    fit(plain, panel)
    monitor = Monitor("train/loss")  # which falls
    averaged = make_trainer(epochs=3, dropout=0.2, ema_decay=0.7, callbacks=[Checkpoint(store, monitor)])
    fit(averaged, panel)
    assert same(weights(averaged.model), weights(plain.model))
    ema = averaged.stepper.ema
    assert ema is not None and monitor.best_epoch == 3
    assert same(dict(store.load_best(3, CPU)), weights(ema.model))
    loaded = make_trainer(9)
    loaded.model.load_state_dict(store.load_best(3, CPU))
    row = loaded.evaluate(make_loader(panel, 45, 54), "valid")
    assert row == {name: averaged.history[-1][name] for name in row}
    assert row["valid/loss"] != plain.history[-1]["valid/loss"]
    for name in ("train/loss", "train/signal/accuracy"):
        assert averaged.history[-1][name] == plain.history[-1][name]


@pytest.mark.parametrize("cut", [2, 3, 5])
@pytest.mark.parametrize("options", [{"ema_decay": 0.7, "skip_bad": True}, {"ema_decay": 0.7}], ids=["skip", "stop"])
def test_a_state_between_steps_holds_the_average_and_what_was_left_out(options: dict[str, Any], cut: int) -> None:
    panel = spoilt(BAD_ROW) if "skip_bad" in options else make_panel()
    kept: list[dict[str, Any]] = []

    class Keep(Callback):
        def step_end(self, trainer: Trainer) -> None:
            if 4 * trainer.epoch + trainer.step_in_epoch == cut:
                kept.append(trainer.state_dict())
                for key in ("model", "ema", "optimizer"):
                    kept[0][key] = clone(kept[0][key])

    straight = make_trainer(epochs=2, dropout=0.2, **options)
    straight.callbacks.append(Keep())
    history = fit(straight, panel)
    second = make_trainer(7, epochs=2, dropout=0.2, **options)
    second.load_state_dict(kept[0])
    assert same(fit(second, panel), history)
    straight.callbacks.clear()
    assert same(second.state_dict(), straight.state_dict())


def clone(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.clone()
    if isinstance(state, dict):
        return {key: clone(value) for key, value in state.items()}
    return [clone(value) for value in state] if isinstance(state, list) else state


def test_an_average_that_a_resumed_run_asks_for_anew_begins_at_the_loaded_weights() -> None:
    first = make_trainer(epochs=1)
    fit(first, make_panel())
    second = make_trainer(1, ema_decay=0.9)
    second.load_state_dict(first.state_dict())
    assert second.stepper.ema is not None
    assert same(weights(second.stepper.ema.model), weights(first.model))


def test_a_schedule_says_whether_the_next_step_moves_it() -> None:
    optimizer = make_trainer().stepper.optimizer
    assert not Schedule(optimizer).moves
    warm = Schedule(optimizer, warmup_steps=1)
    assert warm.moves
    warm.step()
    assert not warm.moves
    assert Cosine(optimizer, warmup_steps=0, total_steps=5, smallest=0.0).moves
