"""The training loop's laws."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor
from torch.nn import functional as F

from hybrid_trainer.callbacks.base import Callback
from hybrid_trainer.callbacks.checkpoint import Checkpoint
from hybrid_trainer.callbacks.early_stopping import EarlyStopping
from hybrid_trainer.callbacks.history import HistoryFile
from hybrid_trainer.engine.checkpoint_store import CheckpointStore
from hybrid_trainer.errors import TrainingError
from hybrid_trainer.links import to_units
from hybrid_trainer.monitor import Monitor
from hybrid_trainer.trainer import Trainer
from hybrid_trainer.types import METRICS, EpochRow
from tests.engine.helpers import (
    CPU,
    RANGE,
    Recorder,
    Scripted,
    make_loader,
    make_panel,
    make_trainer,
    same,
    weights,
    whole_batch,
)

PANEL = make_panel(unlabelled=0.2)


def fit(trainer: Trainer, *, shuffle_seed: int | None = 0, panel: Any = PANEL) -> list[EpochRow]:
    """Train on 28 windows in batches of 8, validate on 10."""
    return trainer.fit(make_loader(panel, 10, 37, shuffle_seed=shuffle_seed), make_loader(panel, 45, 54))


class During(Callback):
    """Does something at the end of each epoch or step."""

    def __init__(
        self, *, epoch: Callable[[Trainer], Any] | None = None, step: Callable[[Trainer], Any] | None = None
    ) -> None:
        self._epoch, self._step = epoch, step

    def epoch_end(self, trainer: Trainer) -> None:
        if self._epoch:
            self._epoch(trainer)

    def step_end(self, trainer: Trainer) -> None:
        if self._step:
            self._step(trainer)


# The order of things.


def test_callbacks_are_told_each_moment_in_its_turn() -> None:
    recorder = Recorder()
    fit(make_trainer(epochs=2, callbacks=[recorder]))
    steps = [f"step_end {step}/4" for step in (1, 2, 3, 4)]
    assert recorder.moments == ["fit_start", *steps, "epoch_end 1", *steps, "epoch_end 2", "fit_end"]


def test_callbacks_are_told_in_their_order() -> None:
    told: list[str] = []
    callbacks = [During(epoch=lambda trainer, name=name: told.append(name)) for name in "abc"]
    fit(make_trainer(epochs=1, callbacks=[*callbacks]))
    assert told == ["a", "b", "c"]


def test_a_bare_callback_looks_on_and_has_no_state() -> None:
    bare = Callback()
    with_it, without = make_trainer(epochs=1, callbacks=[bare]), make_trainer(epochs=1)
    assert fit(with_it) == fit(without)
    assert bare.state_dict() == {}


def test_a_row_has_epoch_losses_and_metrics_of_both_parts_and_the_learning_rate() -> None:
    history = fit(make_trainer(epochs=3))
    numbers = ["loss", "signal/loss", "range/loss"]
    numbers += [f"signal/{name}" for name in METRICS["classification"]]
    numbers += [f"range/{name}" for name in METRICS["regression"]]
    whole = [f"signal/{name}" for name in ("auroc", "ece", "recall_down", "recall_flat", "recall_up")]
    whole += ["range/spearman"]  # without times there are no dates
    named = [*(f"train/{name}" for name in numbers), *(f"valid/{name}" for name in (*numbers, *whole))]
    assert [row["epoch"] for row in history] == [1, 2, 3]
    for row in history:
        assert list(row) == ["epoch", *named, "lr"]
        assert all(type(value) in (int, float) for value in row.values())
    assert json.loads(json.dumps(history)) == history


def test_the_model_is_in_training_mode_in_every_training_step() -> None:
    modes: list[bool] = []
    fit(make_trainer(epochs=2, callbacks=[During(step=lambda trainer: modes.append(trainer.model.training))]))
    assert modes == [True] * 8


def test_every_epoch_has_its_own_order_of_the_rows_and_every_row_once() -> None:
    trainer = make_trainer(epochs=2)
    seen: list[Tensor] = []
    step = trainer.stepper.train
    trainer.stepper.train = lambda group, look: (seen.append(group[0].row), step(group, look))[1]  # type: ignore[method-assign]
    fit(trainer, shuffle_seed=3)
    epochs = [torch.cat(seen[:4]), torch.cat(seen[4:])]
    assert all(rows.sort().values.tolist() == list(range(10, 38)) for rows in epochs)
    assert not torch.equal(*epochs)
    again = make_loader(PANEL, 10, 37, shuffle_seed=3)
    again.epoch = 1
    assert torch.equal(torch.cat([batch.row for batch in again]), epochs[1])


def test_the_learning_rate_in_a_row_is_the_one_that_the_epoch_was_trained_with() -> None:
    used: list[float] = []
    trainer = make_trainer(
        epochs=6,
        plateau=True,
        learning_rate=0.5,
        callbacks=[During(step=lambda trainer: used.append(trainer.stepper.optimizer.param_groups[1]["lr"]))],
    )
    history = fit(trainer)
    assert [row["lr"] for row in history] == used[::4]
    assert len({row["lr"] for row in history}) > 1


def test_training_ends_when_a_callback_asks_and_not_before_the_epoch_is_told() -> None:
    def stop(trainer: Trainer) -> None:
        if trainer.epoch == 2:
            trainer.stop_reason = "enough"

    recorder = Recorder()
    trainer = make_trainer(epochs=5, callbacks=[During(epoch=stop), recorder])
    fit(trainer)
    assert (trainer.epoch, len(trainer.history), trainer.stop_reason) == (2, 2, "enough")
    assert recorder.moments[-2:] == ["epoch_end 2", "fit_end"]


@pytest.mark.parametrize("error", [RuntimeError("planted"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_fit_end_is_told_however_training_ends(error: BaseException) -> None:
    def fail(trainer: Trainer) -> None:
        raise error

    recorder = Recorder()
    with pytest.raises(type(error)):
        fit(make_trainer(callbacks=[recorder, During(step=fail)]))
    assert recorder.moments == ["fit_start", "step_end 1/4", "fit_end"]


def test_fit_end_reaches_every_callback_even_where_one_of_them_fails() -> None:
    class Fail(Callback):
        def fit_end(self, trainer: Trainer) -> None:
            raise OSError("the disk is full")

    recorder = Recorder()
    with pytest.raises(OSError, match="disk is full"):
        fit(make_trainer(epochs=1, callbacks=[Fail(), recorder]))
    assert recorder.moments[-1] == "fit_end"


# What the numbers are.


def test_the_validation_numbers_are_those_of_the_epochs_model_on_the_whole_part() -> None:
    trainer = make_trainer(epochs=2, dropout=0.3)
    row = fit(trainer)[-1]
    batch = whole_batch(PANEL, 45, 54)
    with torch.no_grad():
        outputs = trainer.model.eval()(batch.x, batch.context, batch.ids)
    kept = {task: mask > 0 for task, mask in batch.mask.items()}
    raw = {task: value[kept[task]] for task, value in outputs.items()}
    label = {task: value[kept[task]] for task, value in batch.targets.items()}
    assert 0 < len(label["signal"]) < 10 and 0 < len(label["range"]) < 10
    signal = F.cross_entropy(raw["signal"], label["signal"]).item()
    numbers = F.huber_loss(raw["range"], label["range"]).item()
    assert row["valid/signal/loss"] == pytest.approx(signal, rel=1e-5)
    assert row["valid/range/loss"] == pytest.approx(numbers, rel=1e-5)
    assert row["valid/loss"] == pytest.approx(signal + numbers, rel=1e-5)
    assert row["valid/signal/accuracy"] == sk.accuracy_score(label["signal"], raw["signal"].argmax(dim=1))
    assert row["valid/range/mae"] == pytest.approx(
        sk.mean_absolute_error(to_units(label["range"], RANGE), to_units(raw["range"], RANGE)), rel=1e-5
    )


@pytest.mark.parametrize("batch_size", [3, 8, 28])
def test_without_learning_the_training_numbers_are_those_of_an_evaluation(batch_size: int) -> None:
    trainer = make_trainer(epochs=1, optimizer="sgd", learning_rate=0.0)
    rows = make_loader(PANEL, 10, 37, batch_size=batch_size, shuffle_seed=0)
    row = trainer.fit(rows, make_loader(PANEL, 10, 37, batch_size=10))[0]
    train = {name.removeprefix("train/"): value for name, value in row.items() if name.startswith("train/")}
    valid = {name.removeprefix("valid/"): value for name, value in row.items() if name.startswith("valid/")}
    assert train == pytest.approx({name: valid[name] for name in train}, rel=1e-5, abs=1e-6)


def test_a_model_learns_a_few_windows_by_heart() -> None:
    trainer = make_trainer(epochs=80, learning_rate=0.03, weight_decay=0.0)
    batch = make_loader(make_panel(), 10, 17)
    history = trainer.fit(batch, make_loader(make_panel(), 20, 21))
    assert history[0]["train/signal/loss"] > 0.9
    assert history[-1]["train/signal/loss"] < 0.02
    assert history[-1]["train/signal/accuracy"] == 1.0
    assert history[-1]["train/range/loss"] < 0.1 * history[0]["train/range/loss"]


# The same again.


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_the_same_seed_gives_the_same_history_and_weights_bit_for_bit(optimizer: str) -> None:
    first = make_trainer(seed=5, epochs=3, optimizer=optimizer, dropout=0.2)
    history = fit(first)
    second = make_trainer(seed=5, epochs=3, optimizer=optimizer, dropout=0.2)
    assert same(fit(second), history)
    assert same(weights(second.model), weights(first.model))


@pytest.mark.parametrize(("seed", "shuffle_seed"), [(6, 0), (5, 1)], ids=["model", "shuffling"])
def test_another_seed_gives_other_weights(seed: int, shuffle_seed: int) -> None:
    first = make_trainer(seed=5)
    fit(first)
    second = make_trainer(seed=seed)
    history = fit(second, shuffle_seed=shuffle_seed)
    assert not same(weights(second.model), weights(first.model))
    assert history != first.history


@pytest.mark.parametrize(("last", "batch_size"), [(45, 8), (50, 1), (59, 3)])
def test_what_is_validated_does_not_change_what_is_learned(last: int, batch_size: int) -> None:
    first = make_trainer(epochs=3, dropout=0.2)
    fit(first)
    second = make_trainer(epochs=3, dropout=0.2)
    second.fit(make_loader(PANEL, 10, 37, shuffle_seed=0), make_loader(PANEL, 45, last, batch_size=batch_size))
    assert same(weights(second.model), weights(first.model))
    assert [row["train/loss"] for row in second.history] == [row["train/loss"] for row in first.history]


def test_more_evaluations_do_not_change_what_is_learned() -> None:
    first = make_trainer(epochs=3, dropout=0.2)
    fit(first)
    extra = During(epoch=lambda trainer: trainer.evaluate(make_loader(PANEL, 40, 59, batch_size=4), "test"))
    second = make_trainer(epochs=3, dropout=0.2, callbacks=[extra])
    assert same(fit(second), first.history)
    assert same(weights(second.model), weights(first.model))


def test_an_evaluation_keeps_no_gradients() -> None:
    trainer = make_trainer()
    kept: list[bool] = []
    forward = trainer.stepper.forward
    trainer.stepper.forward = lambda batch, *rest: (kept.append(torch.is_grad_enabled()), forward(batch))[1]  # type: ignore
    trainer.evaluate(make_loader(PANEL, 45, 54), "valid")
    assert kept == [False, False]


def test_labels_under_the_mask_change_nothing() -> None:
    generator = torch.Generator().manual_seed(9)
    hidden = {task: mask == 0 for task, mask in PANEL.mask.items()}
    others = {
        "signal": torch.where(hidden["signal"], (PANEL.targets["signal"] + 1) % 3, PANEL.targets["signal"]),
        "range": torch.where(
            hidden["range"][:, None], 1e6 * torch.randn(60, 2, generator=generator), PANEL.targets["range"]
        ),
    }
    assert all(rows[10:38].any() and rows[45:55].any() for rows in hidden.values())
    first, second = make_trainer(epochs=3), make_trainer(epochs=3)
    assert same(fit(second, panel=replace(PANEL, targets=others)), fit(first))
    assert same(weights(second.model), weights(first.model))


# Going on. What is saved, and that each piece of it matters, is in tests/end_to_end/test_resume.py.


def test_a_callback_that_had_stopped_training_stops_it_again() -> None:
    def make(patience: int) -> Trainer:
        scripted = Scripted("valid/loss", [1.0, 2.0, 3.0, 4.0, 5.0])
        return make_trainer(epochs=5, callbacks=[scripted, EarlyStopping(Monitor("valid/loss"), patience)])

    first, second, longer = make(2), make(2), make(3)
    fit(first)
    for other in (second, longer):
        other.load_state_dict(first.state_dict())
        fit(other)
    assert (first.epoch, second.epoch, longer.epoch) == (3, 3, 4)
    assert second.stop_reason == first.stop_reason != longer.stop_reason
    assert same(second.history, first.history)


def test_rates_and_decays_are_those_of_the_trainer_that_goes_on() -> None:
    first, second = make_trainer(epochs=1), make_trainer(epochs=1, learning_rate=0.5, weight_decay=0.25)
    fit(first)
    second.load_state_dict(first.state_dict())
    groups = second.stepper.optimizer.param_groups
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(0.5, 0.25), (0.5, 0.0)]
    assert same(second.stepper.optimizer.state_dict()["state"], first.stepper.optimizer.state_dict()["state"])


@pytest.mark.parametrize(("where", "moments"), [("step", ["step_end 1/4"]), ("epoch", ["step_end 4/4", "epoch_end 1"])])
def test_a_request_to_stop_is_carried_out_behind_the_step_or_the_epoch(where: str, moments: list[str]) -> None:
    recorder = Recorder()
    asking = During(**{where: lambda trainer: setattr(trainer.interruption, "requested", 2)})
    with pytest.raises(KeyboardInterrupt):
        fit(make_trainer(epochs=3, callbacks=[asking, recorder]))
    assert recorder.moments[-len(moments) - 2 :] == [*moments, "interrupted", "fit_end"]


def test_a_request_to_stop_in_a_validation_is_carried_out_behind_its_batch() -> None:
    recorder = Recorder()
    trainer = make_trainer(epochs=3, callbacks=[recorder])
    forward, seen = trainer.stepper.forward, []

    def ask(batch: Any, *rest: Any) -> Any:
        if not trainer.model.training:
            seen.append(len(batch.row))
            trainer.interruption.requested = 15
        return forward(batch, *rest)

    trainer.stepper.forward = ask  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        fit(trainer)
    assert seen == [8]  # of two batches
    assert recorder.moments[-3:] == ["step_end 4/4", "interrupted", "fit_end"]
    assert (trainer.epoch, trainer.step_in_epoch, trainer.history) == (0, 4, [])


# When it goes wrong.


def plant(value: float, epoch: int, row: int) -> tuple[Any, During]:
    """A panel, and a callback that puts a value into the second task's label of a row behind an epoch."""
    panel = make_panel()

    def put(trainer: Trainer) -> None:
        if trainer.epoch == epoch:
            panel.targets["range"][row] = value

    return panel, During(epoch=put)


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_loss_that_is_not_finite_names_task_epoch_and_step(tmp_path: Path, value: float) -> None:
    panel, planter = plant(value, epoch=1, row=10 + 8 + 8 + 2)  # rows are in order: the third batch of the epoch
    recorder = Recorder()
    callbacks = [
        recorder,
        HistoryFile(tmp_path / "history.jsonl"),
        Checkpoint(CheckpointStore(tmp_path), Monitor("valid/loss")),
    ]
    trainer = make_trainer(epochs=5, callbacks=[*callbacks, planter])
    message = r"^epoch 2: the training loss of task 'range' is not finite from step 3 on"
    with pytest.raises(TrainingError, match=message):
        fit(trainer, panel=panel, shuffle_seed=None)
    assert [row["epoch"] for row in trainer.history] == [1]
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 1
    assert recorder.moments[-1] == "fit_end"
    state = CheckpointStore(tmp_path).load_last(CPU)
    assert state is not None and (state["epoch"], state["best_epoch"]) == (1, 1)
    assert same(dict(state["model"]), recorder.weights[0])


def test_a_validation_loss_that_is_not_finite_is_told_as_such() -> None:
    panel, planter = plant(math.inf, epoch=1, row=53)  # the second of the two validation batches
    trainer = make_trainer(epochs=5, callbacks=[planter])
    with pytest.raises(TrainingError, match=r"^epoch 2: the valid loss of task 'range' is not finite from step 2 on"):
        fit(trainer, panel=panel)
    assert len(trainer.history) == 1


def test_a_masked_label_that_is_infinite_stops_nothing() -> None:
    panel = make_panel()
    panel.targets["range"][20] = math.inf
    panel.mask["range"][20] = 0
    history = fit(make_trainer(epochs=2), panel=panel)
    assert all(math.isfinite(row["train/loss"]) for row in history)


def test_a_task_without_any_label_in_validation_leaves_the_total_a_number() -> None:
    panel = make_panel()
    panel.mask["range"][45:] = 0
    row = fit(make_trainer(epochs=1), panel=panel)[0]
    assert row["valid/loss"] == row["valid/signal/loss"]
    assert all(math.isnan(row[f"valid/range/{name}"]) for name in ("loss", *METRICS["regression"]))
