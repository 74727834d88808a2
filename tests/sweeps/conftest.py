"""Sweeps inside this process: one fork server serves all tests of a worker, where each command line would begin one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hybrid_trainer.__main__ import run
from tests.sweeps.helpers import prepare

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugging: None) -> Path:
    """A folder with a table and the plug-in that makes trouble; signal handlers are as before afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("signal.signal", lambda number, handler: handler)
    return prepare(tmp_path)


@pytest.fixture
def command(here: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Carries out a command line there: exit status, output, errors."""

    def carry_out(*words: str) -> tuple[int, str, str]:
        status = run(list(words))
        out, error = capsys.readouterr()
        return status, out, error

    return carry_out
