"""What is shown of how far training is."""

from __future__ import annotations

import io
import logging
import re
import sys
from itertools import pairwise
from types import SimpleNamespace

import pytest

from hybrid_trainer.callbacks import progress
from hybrid_trainer.callbacks.progress import ProgressReport
from hybrid_trainer.trainer import Trainer
from tests.engine.helpers import Recorder, make_loader, make_panel, make_trainer

PANEL = make_panel()
LOGGER = "hybrid_trainer.callbacks.progress"


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def fit(trainer: Trainer) -> None:
    trainer.fit(make_loader(PANEL, 10, 25), make_loader(PANEL, 30, 37))


def test_off_a_terminal_each_epoch_is_one_plain_line(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    trainer = make_trainer(epochs=3, callbacks=[ProgressReport()])
    with caplog.at_level(logging.INFO, logger=LOGGER):
        fit(trainer)
    lines = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert len(lines) == 3
    for row, line in zip(trainer.history, lines, strict=True):
        expected = (
            f"epoch {row['epoch']}/3  train/loss {row['train/loss']:.4f}  valid/loss {row['valid/loss']:.4f}  "
            f"(valid by task: signal {row['valid/signal/loss']:.4f}  range {row['valid/range/loss']:.4f})  lr 0.01  "
        )
        assert line.startswith(expected)
        assert re.fullmatch(r"\d+\.\d s", line.removeprefix(expected))
    assert "".join(capfd.readouterr()) == ""  # the log alone writes; no bar, no control characters


def test_epoch_numbers_are_aligned(caplog: pytest.LogCaptureFixture) -> None:
    trainer = make_trainer(epochs=10, callbacks=[ProgressReport()])
    trainer.epoch = 8
    with caplog.at_level(logging.INFO, logger=LOGGER):
        fit(trainer)
    assert [record.getMessage()[:11] for record in caplog.records] == ["epoch  9/10", "epoch 10/10"]


def test_on_a_terminal_there_are_bars_and_lines_above_them(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "_LOOK_EVERY_S", 0.0)
    report = ProgressReport()
    seen: list[tuple[float, float]] = []

    class Look(Recorder):
        def step_end(self, trainer: Trainer) -> None:
            assert report._bars is not None
            epochs, batches = report._bars.tasks
            seen.append((epochs.completed, batches.completed))
            assert (epochs.total, batches.total) == (2, 2)

    with caplog.at_level(logging.INFO, logger=LOGGER):
        fit(make_trainer(epochs=2, callbacks=[report, Look()]))
    assert seen == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert len(caplog.records) == 2
    assert "epochs" in screen.getvalue() and "batches" in screen.getvalue()
    assert sys.stdout is screen  # rich puts a stand-in there while bars are shown


def test_the_bars_are_taken_away_when_training_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm")

    class Fail(Recorder):
        def step_end(self, trainer: Trainer) -> None:
            raise RuntimeError("planted")

    report = ProgressReport()
    with pytest.raises(RuntimeError, match="planted"):
        fit(make_trainer(callbacks=[report, Fail()]))
    assert sys.stdout is screen
    assert report._bars is None


def test_the_running_loss_is_read_at_most_twice_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Screen())
    monkeypatch.setenv("TERM", "xterm")
    clock = iter(range(10_000))
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: next(clock) * 0.1))  # 0.1 s per look
    reads: list[int] = []

    class Count(Recorder):
        def fit_start(self, trainer: Trainer) -> None:
            self.trainer = trainer

    def counted(tally: object) -> float:
        reads.append(counter.trainer.step_in_epoch)
        return 1.0

    counter = Count()
    trainer = make_trainer(epochs=1, callbacks=[counter, ProgressReport()])
    monkeypatch.setattr("hybrid_trainer.engine.tally.LossTally.running_loss", counted)
    trainer.fit(make_loader(PANEL, 10, 41, batch_size=2), make_loader(PANEL, 42, 49))
    steps = [step for step in reads if step < 16]  # the epoch's own figures come after step 16
    assert 2 <= len(steps) <= 4
    assert min(b - a for a, b in pairwise(steps)) >= 5
