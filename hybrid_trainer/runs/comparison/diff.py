"""`--diff A B`: what two runs were asked for, and what came out, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from hybrid_trainer.errors import RunDirError, did_you_mean
from hybrid_trainer.runs.comparison.keys import text
from hybrid_trainer.runs.comparison.reading import read_run
from hybrid_trainer.runs.comparison.run import Run
from hybrid_trainer.runs.directory import RECORD

_SHOWN = ("valid/", "test/")


def pick(name: str, runs: Sequence[Run]) -> Run:
    """The run that is meant: a run's folder, the name of one of these runs' folders, or the number before its name.

    Raises:
        RunDirError: there is none, or more than one.
    """
    if (Path(name) / RECORD).exists():
        return read_run(Path(name) / RECORD)
    exact = [run for run in runs if run.path.name == name]
    for found in (exact, [run for run in runs if run.path.name.startswith(f"{name}-")]):
        if len(found) > 1:
            places = ", ".join(str(run.path) for run in found[:5])
            raise RunDirError(f"--diff: '{name}' may be any of {places}; write the folder in full")
        if found:
            return found[0]
    hint = did_you_mean(name, [run.path.name for run in runs]) if runs else ""
    raise RunDirError(f"--diff: {name}: no run's folder (a run has a {RECORD}){hint}")


def config_diff(one: Run, other: Run) -> list[tuple[str, str, str]]:
    """(key, value, other value) for each key whose values differ; a key that one of them lacks is empty there."""
    keys = dict.fromkeys([*one.config, *other.config])
    pairs = [(key, *(text(run.config[key]) if key in run.config else "" for run in (one, other))) for key in keys]
    return [(key, left, right) for key, left, right in pairs if left != right]


def metric_diff(one: Run, other: Run) -> list[tuple[str, float | None, float | None]]:
    """(metric, value, other value) of validation and test; None where a run hasn't got it."""
    names = dict.fromkeys([*one.metrics, *other.metrics])
    return [(name, one.metrics.get(name), other.metrics.get(name)) for name in names if name.startswith(_SHOWN)]


def render(one: Run, other: Run) -> list[Table]:
    """Two tables: keys and metrics."""
    names = [escape(str(run.path)) for run in (one, other)]
    keys = Table("key", *names, title="config: what differs", title_justify="left")
    for row in [("status", one.status, other.status), *config_diff(one, other)]:
        keys.add_row(*map(escape, row))
    numbers = Table("metric", title="metrics", title_justify="left")
    for name in [*names, "second - first"]:
        numbers.add_column(name, justify="right")
    for name, left, right in metric_diff(one, other):
        change = "" if left is None or right is None else f"{right - left:+.4f}"
        numbers.add_row(escape(name), _number(left), _number(right), change)
    return [keys, numbers]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
