"""Keeping the best epoch and the last one."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from hybrid_trainer.callbacks.checkpoint import Checkpoint
from hybrid_trainer.callbacks.early_stopping import EarlyStopping
from hybrid_trainer.engine.checkpoint_store import CheckpointStore
from hybrid_trainer.monitor import Monitor
from hybrid_trainer.trainer import Trainer
from tests.engine.helpers import CPU, Recorder, Scripted, make_loader, make_panel, make_trainer, same

PANEL = make_panel()
NAN = math.nan


def fitted(folder: Path, monitor: Monitor, values: list[float]) -> tuple[Trainer, Recorder]:
    recorder = Recorder()
    callbacks = [Scripted(monitor.metric, values), recorder, Checkpoint(CheckpointStore(folder), monitor)]
    trainer = make_trainer(epochs=len(values), callbacks=callbacks)
    trainer.fit(make_loader(PANEL, 10, 25), make_loader(PANEL, 30, 37))
    return trainer, recorder


def last(folder: Path) -> dict[str, Any]:
    state = CheckpointStore(folder).load_last(CPU)
    assert state is not None
    return state


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.pt"))


@pytest.mark.parametrize(
    ("metric", "mode", "values", "best"),
    [
        ("valid/signal/macro_f1", "max", [0.1, 0.5, 0.3, 0.5], 2),
        ("valid/signal/macro_f1", "auto", [0.1, 0.2, 0.6, 0.5], 3),
        ("valid/loss", "auto", [2.0, 1.0, 1.5], 2),
        ("valid/loss", "min", [1.0, NAN, 1.5], 1),
        ("valid/range/r2", "auto", [NAN, -3.0, -4.0], 2),
        ("valid/loss", "auto", [3.0, 2.0, 1.0], 3),
    ],
)
def test_best_holds_the_best_epochs_weights_and_last_the_last_ones(
    tmp_path: Path, metric: str, mode: str, values: list[float], best: int
) -> None:
    _, recorder = fitted(tmp_path, Monitor(metric, mode), values)
    state = last(tmp_path)
    assert (state["epoch"], state["best_epoch"], len(state["history"])) == (len(values), best, len(values))
    assert same(dict(state["model"]), recorder.weights[-1])
    assert same(dict(CheckpointStore(tmp_path).load_best(best, CPU)), recorder.weights[best - 1])
    assert not same(recorder.weights[0], recorder.weights[-1])


def test_a_number_that_never_was_one_leaves_no_best(tmp_path: Path) -> None:
    fitted(tmp_path, Monitor("valid/loss"), [NAN, NAN])
    assert files(tmp_path) == ["last-0001-0000000.pt", "last-0002-0000000.pt"]
    assert last(tmp_path)["best_epoch"] is None


def test_both_files_are_there_after_every_epoch(tmp_path: Path) -> None:
    epochs: list[tuple[int, int]] = []

    class Look(Recorder):
        def epoch_end(self, trainer: Trainer) -> None:
            epochs.append((last(tmp_path)["best_epoch"], last(tmp_path)["epoch"]))

    callbacks = [
        Scripted("valid/loss", [2.0, 3.0, 1.0]),
        Checkpoint(CheckpointStore(tmp_path), Monitor("valid/loss")),
        Look(),
    ]
    make_trainer(epochs=3, callbacks=callbacks).fit(make_loader(PANEL, 10, 25), make_loader(PANEL, 30, 37))
    assert epochs == [(1, 1), (1, 2), (3, 3)]


def test_the_file_holds_the_state_of_the_callbacks_its_own_included(tmp_path: Path) -> None:
    stopping, checkpoint = (
        EarlyStopping(Monitor("valid/loss"), 9),
        Checkpoint(CheckpointStore(tmp_path), Monitor("valid/loss")),
    )
    callbacks = [Scripted("valid/loss", [1.0, 0.5, 0.75]), stopping, checkpoint]
    trainer = make_trainer(epochs=3, callbacks=callbacks)
    trainer.fit(make_loader(PANEL, 10, 25), make_loader(PANEL, 30, 37))
    assert last(tmp_path)["callbacks"] == {
        "Scripted": {},
        "EarlyStopping": stopping.state_dict(),
        "Checkpoint": checkpoint.state_dict(),
    }
    assert checkpoint.state_dict() == {"monitor": checkpoint.monitor.state_dict()}
    assert (checkpoint.monitor.best, checkpoint.monitor.best_epoch, checkpoint.monitor.stalled) == (0.5, 2, 1)


def test_a_callback_with_a_former_state_keeps_a_better_best(tmp_path: Path) -> None:
    first, _ = fitted(tmp_path, Monitor("valid/loss"), [0.5])
    second = Checkpoint(CheckpointStore(tmp_path), Monitor("valid/loss"))
    second.load_state_dict(json.loads(json.dumps(first.callbacks[-1].state_dict())))
    trainer = make_trainer(seed=1, epochs=1, callbacks=[Scripted("valid/loss", [0.75]), second])
    trainer.fit(make_loader(PANEL, 10, 25), make_loader(PANEL, 30, 37))
    assert checkpoint_files_of_best(tmp_path) == ["best-0001.pt"]
    assert same(dict(CheckpointStore(tmp_path).load_best(1, CPU)), dict(first.model.state_dict()))
    assert same(dict(last(tmp_path)["model"]), dict(trainer.model.state_dict()))


def checkpoint_files_of_best(folder: Path) -> list[str]:
    return [name for name in files(folder) if name.startswith("best")]


@pytest.mark.parametrize(
    ("every_steps", "written"),
    [(None, ["0001-0", "0002-0"]), (3, ["0000-3", "0000-6", "0001-0", "0001-3", "0001-6", "0002-0"])],
)
def test_the_state_is_written_every_so_many_steps_of_an_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every_steps: int | None, written: list[str]
) -> None:
    store, seen = CheckpointStore(tmp_path), []
    monkeypatch.setattr(store, "save_last", lambda state: seen.append(f"{state['epoch']:04}-{state['step_in_epoch']}"))
    checkpoint = Checkpoint(store, Monitor("valid/loss"), every_steps=every_steps)
    trainer = make_trainer(epochs=2, callbacks=[checkpoint])
    trainer.fit(make_loader(PANEL, 10, 22, batch_size=2), make_loader(PANEL, 30, 37))  # seven steps
    assert seen == written


def test_the_state_is_written_when_the_last_one_is_long_ago(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("hybrid_trainer.callbacks.checkpoint.time.monotonic", lambda: clock[0])

    class Minute(Recorder):
        def step_end(self, trainer: Trainer) -> None:
            clock[0] += 60.0

    store, seen = CheckpointStore(tmp_path), []
    monkeypatch.setattr(store, "save_last", lambda state: seen.append(state["step_in_epoch"]))
    checkpoint = Checkpoint(store, Monitor("valid/loss"), every_minutes=3.0)
    trainer = make_trainer(epochs=1, callbacks=[Minute(), checkpoint])
    trainer.fit(make_loader(PANEL, 10, 22, batch_size=2), make_loader(PANEL, 30, 37))
    assert seen == [3, 6, 0]


# The best epoch for each task.


def per_task(folder: Path) -> Checkpoint:
    tasks = {"signal": Monitor("valid/signal/mcc"), "range": Monitor("valid/range/r2")}
    return Checkpoint(CheckpointStore(folder), Monitor("valid/loss"), tasks=tasks)


SCRIPTS = {
    "valid/loss": [3.0, 2.0, 2.5, 2.5],
    "valid/signal/mcc": [0.1, 0.2, 0.3, 0.2],
    "valid/range/r2": [NAN, NAN, NAN, NAN],
}


def test_the_best_epoch_of_each_task_is_kept_beside_the_overall_one(tmp_path: Path) -> None:
    recorder, checkpoint = Recorder(), per_task(tmp_path)
    scripted = [Scripted(name, values) for name, values in SCRIPTS.items()]
    trainer = make_trainer(epochs=4, callbacks=[*scripted, recorder, checkpoint])
    trainer.fit(make_loader(PANEL, 10, 25), make_loader(PANEL, 30, 37))
    assert files(tmp_path) == [
        "best-0001.pt",
        "best-0002.pt",
        "best-signal-0002.pt",  # the newest two of each
        "best-signal-0003.pt",
        "last-0003-0000000.pt",
        "last-0004-0000000.pt",
    ]
    state = last(tmp_path)
    assert (state["best_epoch"], state["task_bests"]) == (2, {"signal": 3, "range": None})
    assert state["callbacks"]["Checkpoint"] == checkpoint.state_dict()
    store = CheckpointStore(tmp_path)
    assert same(dict(store.load_best(3, CPU, "signal")), recorder.weights[2])
    assert same(dict(store.load_best(2, CPU)), recorder.weights[1])


def test_the_tasks_bests_go_on_from_their_state(tmp_path: Path) -> None:
    first, second, without = (
        per_task(tmp_path),
        per_task(tmp_path),
        Checkpoint(CheckpointStore(tmp_path), Monitor("valid/loss")),
    )
    for monitor in (first.monitor, *first.tasks.values()):
        monitor.update({"epoch": 1, "valid/loss": 1.0, "valid/signal/mcc": 0.5, "valid/range/r2": NAN})
    state = json.loads(json.dumps(first.state_dict()))
    second.load_state_dict(state)
    assert second.state_dict() == first.state_dict()
    assert (second.tasks["signal"].best, second.tasks["range"].stalled) == (0.5, 1)
    without.load_state_dict(state)
    assert without.state_dict() == {"monitor": first.monitor.state_dict()}
    third = per_task(tmp_path)
    third.load_state_dict(without.state_dict())  # the tasks' bests begin anew
    assert third.monitor.best == 1.0 and third.tasks["signal"].best is None
