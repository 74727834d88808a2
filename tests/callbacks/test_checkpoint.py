"""Keeping the best epoch and the last one."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from hybrid_trainer.callbacks.checkpoint import Checkpoint
from hybrid_trainer.callbacks.early_stopping import EarlyStopping
from hybrid_trainer.engine.checkpoint_file import load_checkpoint
from hybrid_trainer.monitor import Monitor
from hybrid_trainer.trainer import Trainer
from tests.engine.helpers import CPU, Recorder, Scripted, make_loader, make_panel, make_trainer, same

PANEL = make_panel()
NAN = math.nan


def fitted(folder: Path, monitor: Monitor, values: list[float]) -> tuple[Trainer, Recorder]:
    recorder = Recorder()
    callbacks = [Scripted(monitor.metric, values), recorder, Checkpoint(folder, monitor)]
    trainer = make_trainer(epochs=len(values), callbacks=callbacks)
    trainer.fit(make_loader(PANEL, 10, 25), make_loader(PANEL, 30, 37))
    return trainer, recorder


def saved(folder: Path, name: str) -> dict[str, Any]:
    return load_checkpoint(folder / f"{name}.pt", CPU)


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
    for name, epoch in (("best", best), ("last", len(values))):
        state = saved(tmp_path, name)
        assert state["epoch"] == epoch == len(state["history"])
        assert same(dict(state["model"]), recorder.weights[epoch - 1])
    assert not same(recorder.weights[0], recorder.weights[-1])


def test_a_number_that_never_was_one_leaves_no_best(tmp_path: Path) -> None:
    fitted(tmp_path, Monitor("valid/loss"), [NAN, NAN])
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_both_files_are_there_after_every_epoch(tmp_path: Path) -> None:
    epochs: list[tuple[int, int]] = []

    class Look(Recorder):
        def epoch_end(self, trainer: Trainer) -> None:
            epochs.append((saved(tmp_path, "best")["epoch"], saved(tmp_path, "last")["epoch"]))

    callbacks = [Scripted("valid/loss", [2.0, 3.0, 1.0]), Checkpoint(tmp_path, Monitor("valid/loss")), Look()]
    make_trainer(epochs=3, callbacks=callbacks).fit(make_loader(PANEL, 10, 25), make_loader(PANEL, 30, 37))
    assert epochs == [(1, 1), (1, 2), (3, 3)]


def test_the_file_holds_the_state_of_the_callbacks_its_own_included(tmp_path: Path) -> None:
    stopping, checkpoint = EarlyStopping(Monitor("valid/loss"), 9), Checkpoint(tmp_path, Monitor("valid/loss"))
    callbacks = [Scripted("valid/loss", [1.0, 0.5, 0.75]), stopping, checkpoint]
    trainer = make_trainer(epochs=3, callbacks=callbacks)
    trainer.fit(make_loader(PANEL, 10, 25), make_loader(PANEL, 30, 37))
    assert saved(tmp_path, "last")["callbacks"] == [{}, stopping.state_dict(), checkpoint.state_dict()]
    assert checkpoint.state_dict() == {"monitor": {"best": 0.5, "best_epoch": 2, "stalled": 1}}


def test_a_callback_with_a_former_state_keeps_a_better_best(tmp_path: Path) -> None:
    first, _ = fitted(tmp_path, Monitor("valid/loss"), [0.5])
    second = Checkpoint(tmp_path, Monitor("valid/loss"))
    second.load_state_dict(json.loads(json.dumps(first.callbacks[-1].state_dict())))
    trainer = make_trainer(seed=1, epochs=1, callbacks=[Scripted("valid/loss", [0.75]), second])
    trainer.fit(make_loader(PANEL, 10, 25), make_loader(PANEL, 30, 37))
    assert same(dict(saved(tmp_path, "best")["model"]), dict(first.model.state_dict()))
    assert same(dict(saved(tmp_path, "last")["model"]), dict(trainer.model.state_dict()))


def test_the_best_path_is_where_the_best_is(tmp_path: Path) -> None:
    trainer, _ = fitted(tmp_path, Monitor("valid/loss"), [1.0])
    checkpoint = trainer.callbacks[-1]
    assert isinstance(checkpoint, Checkpoint)
    assert checkpoint.best_path.is_file()
