"""Runs of several processes, started as torchrun would start them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.engine.helpers import TINY_RUN
from tests.groups import environments
from tests.warm import Child, command, completed

# 273 training rows in batches of 16 and groups of three: the last group is short, and its last batch has one row, so
# that one of the two processes has none.
RUN = [*TINY_RUN, "data.path=prices.csv", "training.epochs=3", "training.batch_size=16", "training.accumulate=3"]
RUN += ["data.split.fractions=[0.75,0.125,0.125]", "training.class_weights=balanced", "training.ema_decay=0.9"]
RUN += ["model.dropout=0", "callbacks.resources.enabled=false"]


def start(
    folder: Path, *arguments: str, size: int = 2, python: str | None = None
) -> Sequence[Child | subprocess.Popen[str]]:
    """Start processes as torchrun would, warm ones but for a `python` of their own; returns them in order."""
    given = environments(size)
    if python is None:
        return [command(folder, *arguments, env=env, merged=True) for env in given]
    line = [python, "-m", "hybrid_trainer", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return [subprocess.Popen(line, cwd=folder, env=env, text=True, **pipes) for env in given]


def together(folder: Path, *arguments: str, size: int = 2, status: int = 0, python: str | None = None) -> list[str]:
    """What each of the processes has said; all of them end with the same status."""
    processes = start(folder, *arguments, size=size, python=python)
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [status] * size, said
    return said


def alone(folder: Path, *arguments: str) -> None:
    done = completed(folder, *arguments)
    assert done.returncode == 0, (done.stdout, done.stderr)


def history(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


def about(row: dict[str, float], rel: float, tolerance: float) -> dict[str, object]:
    """What equals a row of the history up to rounding; a number that there is not is not in the other either."""
    return {
        name: value if value is None else pytest.approx(value, rel=rel, abs=tolerance) for name, value in row.items()
    }
