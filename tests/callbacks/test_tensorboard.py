"""Epoch rows as TensorBoard scalars, read back with TensorBoard itself."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hybrid_trainer.callbacks.tensorboard import EventFile, TensorBoard, _tag
from tests.engine.helpers import Scripted, make_loader, make_panel, make_trainer

PANEL = make_panel()


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """{tag: {step: value}}."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: {event.step: event.value for event in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def test_every_number_of_the_history_is_in_the_event_file(tmp_path: Path) -> None:
    trainer = make_trainer(epochs=3, callbacks=[TensorBoard(tmp_path)], plateau=True, learning_rate=0.5)
    history = trainer.fit(make_loader(PANEL, 10, 25), make_loader(PANEL, 30, 37))
    found = scalars(tmp_path)
    assert set(found) == {_tag(name) for name in history[0] if name != "epoch"}
    for row in history:
        for name, value in row.items():
            if name != "epoch":
                assert found[_tag(name)][int(row["epoch"])] == pytest.approx(value, rel=1e-6)


def test_train_and_valid_of_one_metric_share_a_chart(tmp_path: Path) -> None:
    trainer = make_trainer(epochs=1, callbacks=[TensorBoard(tmp_path)])
    row = trainer.fit(make_loader(PANEL, 10, 25), make_loader(PANEL, 30, 37))[0]
    found = scalars(tmp_path)
    expected = {
        "loss/train": "train/loss",
        "loss/valid": "valid/loss",
        "signal/macro_f1/valid": "valid/signal/macro_f1",
        "range/rmse/train": "train/range/rmse",
        "lr": "lr",
    }
    for tag, name in expected.items():
        assert found[tag] == {1: pytest.approx(row[name], rel=1e-6)}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_cannot_be_drawn_is_left_out(tmp_path: Path, value: float) -> None:
    callbacks = [Scripted("valid/range/r2", [0.5, value, 0.25]), TensorBoard(tmp_path)]
    make_trainer(epochs=3, callbacks=callbacks).fit(make_loader(PANEL, 10, 25), make_loader(PANEL, 30, 37))
    assert scalars(tmp_path)["range/r2/valid"] == {1: 0.5, 3: 0.25}


def test_an_epoch_can_be_seen_before_training_ends(tmp_path: Path) -> None:
    seen: list[int] = []

    class Look(Scripted):
        def epoch_end(self, trainer: object) -> None:
            seen.append(len(scalars(tmp_path)["lr"]))

    callbacks = [TensorBoard(tmp_path), Look("", [])]
    make_trainer(epochs=2, callbacks=callbacks).fit(make_loader(PANEL, 10, 25), make_loader(PANEL, 30, 37))
    assert seen == [1, 2]


def test_no_two_numbers_have_one_tag() -> None:
    names = [
        "train/loss",
        "valid/loss",
        "train/loss/loss",
        "train/total/loss",
        "valid/total/loss",
        "train/signal/loss",
        "lr",
    ]
    assert len({_tag(name) for name in names}) == len(names)


def test_no_tensorflow_is_imported_where_it_is_installed(tmp_path: Path) -> None:
    """A module of that name that cannot be imported without a noise stands for it."""
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("raise SystemExit('tensorflow was imported')\n")
    program = (
        "from pathlib import Path\n"
        "from hybrid_trainer.callbacks.tensorboard import TensorBoard\n"
        "board = TensorBoard(Path('board'))\n"
        "board.fit_start(None)\n"
        "board.write({'a': 1.0}, 1)\n"
        "board.fit_end(None)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert scalars(tmp_path / "board") == {"a": {1: 1.0}}


@pytest.mark.parametrize("seconds", [1_800_000_000.5, 1_700_000_000.0], ids=["the same second", "a clock set back"])
def test_a_file_that_goes_on_hides_what_is_drawn_again_however_soon_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """The process numbers are such that the names alone would put the second file first."""
    for pid, clock, epochs in ((9, 1_800_000_000.25, 3), (10, seconds, 2)):
        monkeypatch.setattr("hybrid_trainer.callbacks.tensorboard.os.getpid", lambda pid=pid: pid)
        monkeypatch.setattr("hybrid_trainer.callbacks.tensorboard.time.time", lambda clock=clock: clock)
        file = EventFile(tmp_path, purge=None if pid == 9 else 2)
        for epoch in range(1 if pid == 9 else 2, epochs + 1):
            file.write({"a": float(pid)}, epoch)
    assert scalars(tmp_path) == {"a": {1: 9.0, 2: 10.0}}
