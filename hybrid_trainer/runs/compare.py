"""`compare DIR ...`: a table of runs from their run.json alone; a damaged or killed run is listed, never fatal."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hybrid_trainer.arguments import Parser
from hybrid_trainer.errors import RunDirError, did_you_mean
from hybrid_trainer.runs.directory import RECORD
from hybrid_trainer.runs.provenance import is_alive
from hybrid_trainer.types import LOWER_IS_BETTER

SHOWN = 50
_DEFAULT_METRIC = "valid/loss"
_KEYS_SHOWN = 10
_HEADLINES = ("macro_f1", "r2")
_NOT_COMPARED = ("paths.", "run.")


@dataclass(frozen=True, kw_only=True)
class Run:
    """What compare knows of one run: its folder, how it ended, its flat config and its metrics.

    Attributes:
        falling: of the metrics of plug-ins, those that are better when they are smaller.
    """

    path: Path
    status: str
    reason: str
    config: dict[str, Any]
    metrics: dict[str, float]
    falling: frozenset[str] = frozenset()


def main(arguments: list[str]) -> int:
    """Show a table of all runs below the folders: the keys that differ, the headline metrics, the status."""
    parser = Parser("compare", main.__doc__)
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="DIR", help="folders with runs, such as outputs multirun"
    )
    parser.add_argument(
        "--metric", default=_DEFAULT_METRIC, help=f"what the runs are ordered by; default {_DEFAULT_METRIC}"
    )
    parser.add_argument("--all", action="store_true", help=f"show every run, not the best {SHOWN}")
    parser.add_argument("--keys", action="store_true", help=f"show every key that differs, not the first {_KEYS_SHOWN}")
    options = parser.parse_args(arguments)
    found = {run.path.resolve(): run for folder in options.folders for run in find_runs(folder)}
    runs = list(found.values())  # folders may lie in one another
    if not runs:
        raise RunDirError(f"{', '.join(map(str, options.folders))}: no run below (a run has a {RECORD})")
    known = sorted({name for run in runs for name in run.metrics})
    if known and options.metric not in known:
        raise RunDirError(f"--metric: no run has '{options.metric}'{did_you_mean(options.metric, known)}")
    ordered = sort_runs(runs, options.metric)
    shown = ordered if options.all else ordered[:SHOWN]
    width = shutil.get_terminal_size((200, 50)).columns if sys.stdout.isatty() else 250
    console = Console(width=width, file=io.StringIO(), force_terminal=sys.stdout.isatty())
    keys = differing_keys(ordered)
    columns = keys if options.keys else keys[:_KEYS_SHOWN]
    alike = comparable(ordered)
    console.print(render(shown, options.metric, columns, mark_best=alike))
    sys.stdout.write(console.file.getvalue())  # type: ignore[attr-defined]  # rich itself ends the process at a closed pipe
    if len(shown) < len(ordered):
        sys.stdout.write(f"the best {len(shown)} of {len(ordered)} runs; --all shows the rest\n")
    if len(columns) < len(keys):
        sys.stdout.write(f"{len(keys) - len(columns)} more keys differ; --keys shows them\n")
    if not alike:
        sys.stdout.write("no best run is marked: data, heads, window or losses differ, so one loss isn't the other\n")
    return 0


def find_runs(folder: Path) -> Iterator[Run]:
    """Every run below a folder, in the order of their paths.

    Raises:
        RunDirError: the folder does not exist.
    """
    if not folder.is_dir():
        raise RunDirError(f"{folder}: there is no such folder")
    for path in sorted(folder.rglob(RECORD)):
        yield read_run(path)


def read_run(path: Path) -> Run:
    """Read one run.json; whatever is wrong with it becomes the run's status."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        status, reason = record["status"], record["stop_reason"] or ""
        if status == "running" and is_alive(record["process"]) is False:
            status, reason = "killed", "the process is gone and left no other word"
        metrics = {str(name): float(value) for name, value in record["metrics"].items() if value is not None}
        return Run(
            path=path.parent,
            status=str(status),
            reason=str(reason),
            config=dict(flat(record["config"])),
            metrics=metrics,
            falling=frozenset(map(str, record.get("smaller_is_better", []))),
        )
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        what = f"the entry {error} is missing" if isinstance(error, KeyError) else error
        return Run(path=path.parent, status="damaged", reason=f"{RECORD}: {what}", config={}, metrics={})


def flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) for each leaf of a config."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def sort_runs(runs: list[Run], metric: str) -> list[Run]:
    """Best first by a metric; runs without it (failed, running, damaged) last."""
    falling = LOWER_IS_BETTER.union(*(run.falling for run in runs))
    sign = 1 if metric.rpartition("/")[2] in falling else -1
    return sorted(runs, key=lambda run: (metric not in run.metrics, sign * run.metrics.get(metric, 0.0), str(run.path)))


def differing_keys(runs: list[Run]) -> list[str]:
    """The config keys that don't have one value in all runs, paths and names aside."""
    readable = [run.config for run in runs if run.config]
    complete = [run.config for run in runs if run.config and run.status == "complete"]
    configs = complete or readable  # what only failed runs tried explains no result
    keys = dict.fromkeys(key for config in configs for key in config)
    return [key for key in keys if not key.startswith(_NOT_COMPARED) and _differs(key, configs)]


def _differs(key: str, configs: list[dict[str, Any]]) -> bool:
    """Whether a key differs between configs of one option: another data set has other columns, which says nothing."""
    name = f"{key.partition('.')[0]}.name"
    options: dict[str, set[str]] = {}
    for config in configs:
        option = "" if key in (name, "data.path") else json.dumps(config.get(name))
        options.setdefault(option, set()).add(json.dumps(config.get(key)))
    return any(len(values) > 1 for values in options.values())


def comparable(runs: list[Run]) -> bool:
    """Whether one total loss means the same in all complete runs: the same data, heads, window and weights."""
    what = ("data.", "model.heads", "model.time_window", "training.loss_weights", "training.losses")
    marks = {
        json.dumps({key: value for key, value in run.config.items() if key.startswith(what)}, sort_keys=True)
        for run in runs
        if run.status == "complete"
    }
    return len(marks) <= 1


def headline_metrics(runs: list[Run], metric: str) -> list[str]:
    """The columns: the ordering metric, then one telling test metric per task."""
    names = dict.fromkeys(name for run in runs for name in run.metrics)
    tests = [name for name in names if name.startswith("test/") and name.rpartition("/")[2] in _HEADLINES]
    return [metric, *(name for name in tests if name != metric)]


def render(runs: list[Run], metric: str, keys: list[str], *, mark_best: bool) -> Table:
    """The table: run, status, some keys, metrics; * marks the best run by the ordering metric, never by a test."""
    metrics = headline_metrics(runs, metric)
    table = Table(title=f"{len(runs)} run(s), best {metric} first", title_justify="left")
    table.add_column("run", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for key in keys:
        table.add_column(key, overflow="fold")
    for name in metrics:
        table.add_column(name, justify="right", overflow="fold")
    if any(run.status != "complete" for run in runs):
        table.add_column("why", overflow="fold")
    best = sort_runs([run for run in runs if metric in run.metrics], metric)[:1] if mark_best else []
    for run in runs:
        numbers = [_number(run, name, best if name == metric else []) for name in metrics]
        values = [_text(run.config[key]) if key in run.config else "" for key in keys]
        why = [] if run.status == "complete" else [run.reason.splitlines()[0] if run.reason else ""]
        table.add_row(*map(escape, [str(run.path), run.status, *values, *numbers, *why]))  # [16] is no markup
    return table


def _number(run: Run, name: str, best: list[Run]) -> str:
    if name not in run.metrics:
        return "-"
    return f"{run.metrics[name]:.4f}{'*' if best and best[0] is run else ''}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
