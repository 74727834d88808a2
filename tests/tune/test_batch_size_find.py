"""batch-size-find: with trials that the test makes up, and once for real, with little memory."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hybrid_trainer.config.schema import Config
from hybrid_trainer.errors import ConfigError, TrainingError
from hybrid_trainer.tune import batch_size_find
from hybrid_trainer.tune.batch_trial import Trials
from tests.test_command_line import cli, files_below
from tests.tune.test_trial import SMALL


@pytest.fixture
def border(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The size up to which batches fit, of 500 training windows."""
    at = {"border": 0}

    def made(self: Trials, config: Config, seconds: float, free: int | None = None) -> None:
        self.rows, self.device, self.free, self.speeds = 500, "cpu", 2**30, {}

    def fits(self: Trials, size: int) -> bool:
        self.speeds[size] = 1e6 / abs(size - 70) if size <= at["border"] else None
        return size <= at["border"]

    monkeypatch.setattr(Trials, "__init__", made)
    monkeypatch.setattr(Trials, "fits", fits)
    return at


@pytest.mark.parametrize(
    ("fit", "arguments", "best", "why"),
    [
        (205, [], 200, "1,024 MiB were free"),
        (9999, [], 500, "those are all training windows"),
        (9999, ["--most", "300"], 300, "that is --most"),
        (205, ["--most", "300"], 200, "1,024 MiB were free"),
    ],
)
def test_the_largest_is_found_and_the_fastest_told(
    fit: int, arguments: list[str], best: int, why: str, border: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    border["border"] = fit
    assert batch_size_find.main([*SMALL, *arguments]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == f"training.batch_size={best}"
    assert why in said
    assert re.search(rf"{best} .*largest", said) and re.search(r"64 .* 166,667 .*fastest", said)
    assert ("does not fit" in said) == (fit < 300)


def test_nothing_fits(border: dict[str, int]) -> None:
    with pytest.raises(TrainingError, match="not even 8 windows fit"):
        batch_size_find.main(SMALL)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--most", "7"], "--most: 7 must be at least 8"),
        (["--seconds", "-1"], "--seconds: -1.0 must be above 0"),
        (["--memory-mib", "0"], "--memory-mib: 0 must be at least 1"),
    ],
)
def test_wrong_input_is_told(arguments: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        batch_size_find.main([*SMALL, *arguments])


def test_for_real_with_little_memory(tmp_path: Path) -> None:
    wide = ("model.lstm_units=64", "model.time_window=60", "training.device=cpu")
    limits = ("--memory-mib", "60", "--seconds", "0.01")
    done = cli(tmp_path, "batch-size-find", *SMALL, *wide, *limits)
    assert (done.returncode, done.stderr) == (0, "")
    best = int(done.stdout.splitlines()[-1].removeprefix("training.batch_size="))
    sizes = {int(size): rest for size, rest in re.findall(r"^│ +(\d+) │(.*)$", done.stdout, re.M)}
    failed = [size for size, rest in sizes.items() if "does not fit" in rest]
    assert "largest" in sizes[best]
    assert best % 8 == 0 and min(failed) == best + 8
    assert "60 MiB were free" in done.stdout
    assert files_below(tmp_path) == []


def test_a_limit_is_what_a_process_may_take_more() -> None:
    lines = """
import torch
from hybrid_trainer import memory
from hybrid_trainer.tune.batch_trial import limit_memory
limit_memory(100 << 20)
torch.ones(60 << 18)
try:
    torch.ones(120 << 18)
except RuntimeError as error:
    said = memory.explained(error)
assert str(said).startswith("out of memory (0.12 GiB more were asked for): lower training.batch_size"), said
"""
    subprocess.run([sys.executable, "-c", lines], check=True)
