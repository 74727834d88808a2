"""`compare DIR ...`: a table of runs from their run.json alone; a damaged or killed run is listed, never fatal."""

from __future__ import annotations

import argparse
import gc
import io
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hybrid_trainer.arguments import Parser
from hybrid_trainer.errors import RunDirError
from hybrid_trainer.runs.atomic import write_text
from hybrid_trainer.runs.comparison import diff, formats
from hybrid_trainer.runs.comparison.comparing import DEFAULT_METRIC, SHOWN, Comparison, Wishes, compared
from hybrid_trainer.runs.comparison.names import common_folder
from hybrid_trainer.runs.comparison.reading import all_runs
from hybrid_trainer.runs.comparison.table import key_width, metric_width, render, render_differences
from hybrid_trainer.runs.directory import RECORD

_KEYS_SHOWN = 10
_REPLICATES = ("seed", "data.split.fold")
_STDOUT = "-"
_KEYS_FIRST = 3  # before further metrics, where there is little room
_BORDER = 3  # letters between two columns
_BESIDE = 30  # of the columns that say which run it is, and how it ended


def main(arguments: list[str]) -> int:
    """Show a table of all runs below the folders: the keys that differ, the headline metrics, the status."""
    options = _options(arguments)
    with _without_collections():
        return _compare(options)


@contextmanager
def _without_collections() -> Iterator[None]:
    """Nothing is in a circle, and looking for circles among all these dicts takes a quarter of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _compare(options: argparse.Namespace) -> int:
    runs = all_runs(options.folders)
    if options.diff:
        _print(diff.render(*(diff.pick(name, runs) for name in options.diff)))
        return 0
    if not runs:
        raise RunDirError(f"{', '.join(map(str, options.folders))}: no run below (a run has a {RECORD})")
    wishes = Wishes(
        metrics=options.metric,
        sort=options.sort,
        where=options.where,
        group_by=[name for name in options.group_by.split(",") if name],
        shown=None if options.all else SHOWN,
        intervals=not options.no_intervals,
    )
    made = compared(runs, wishes)
    written = _write(made, options)
    if _STDOUT not in (options.csv, options.json):
        _show(made, options)
        sys.stdout.write("".join(f"written: {place}\n" for place in written))
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = Parser("compare", main.__doc__)
    add = parser.add_argument
    add("folders", nargs="*", type=Path, metavar="DIR", help="folders with runs, such as outputs multirun")
    metric = f"what the runs are ordered by; default {DEFAULT_METRIC}; given more than once, also who is on the front"
    add("--metric", action="append", default=[], help=metric)
    add("--sort", metavar="NAME", help="order the rows by another metric, or by a key, run or status")
    add("--where", metavar="CONDITION", help="only these runs: 'model.lstm_units >= 64 and valid/loss < 1'")
    groups = "a row per configuration, with mean, spread and rank over these keys: seed,fold"
    add("--group-by", metavar="KEYS", default="", help=groups)
    add("--diff", nargs=2, metavar=("A", "B"), help="what differs in two runs, named by their folders")
    add("--csv", metavar="FILE", help="write the rows with all their metrics; - is the terminal")
    add("--json", metavar="FILE", help="the same as JSON")
    add("--html", metavar="FILE", help="write a page: table, curves, which keys matter")
    add("--no-intervals", action="store_true", help="don't read test rows to see which differences are noise")
    add("--all", action="store_true", help=f"show every run, not the best {SHOWN}")
    add("--keys", action="store_true", help=f"show every key that differs, not the first {_KEYS_SHOWN}")
    options = parser.parse_args(arguments)
    if not options.folders and not options.diff:
        parser.error("name a folder with runs, such as outputs")
    return options


def _write(made: Comparison, options: argparse.Namespace) -> list[str]:
    """Write the files that were asked for; returns their names."""
    texts = {}
    if options.csv is not None:
        texts[options.csv] = formats.as_csv(made.rows, made.keys, made.front, made.differences)
    if options.json is not None:
        texts[options.json] = formats.as_json(made.rows, made.keys, made.objectives, made.front, made.differences)
    for place, text in texts.items():
        if place == _STDOUT:
            sys.stdout.write(text)
        else:
            try:
                write_text(Path(place), text)
            except OSError as error:
                raise RunDirError(f"{place}: can't be written ({error.strerror})") from error
    if options.html is not None:
        from hybrid_trainer.runs.page import write_page  # scikit-learn takes a while

        write_page(Path(options.html), made.rows, made.objectives[0], made.objectives, keys=made.keys, aside=made.aside)
    return [place for place in (*texts, options.html) if place not in (None, _STDOUT)]


def _show(made: Comparison, options: argparse.Namespace) -> None:
    terminal = sys.stdout.isatty()
    root = common_folder([str(row.runs[0].path) for row in made.rows]) if terminal else ""
    columns = made.keys if options.keys else made.keys[:_KEYS_SHOWN]
    metrics = made.metrics
    if terminal and not options.keys:
        columns, metrics = _fitting(made, columns, shutil.get_terminal_size((200, 50)).columns)
    what = f"{len(made.shown)} {'configuration' if made.aside else 'run'}(s)"
    title = f"{what}, by {options.sort}" if options.sort else f"{what}, best {made.objectives[0]} first"
    title += f"; below {root}" if root else ""
    table = render(made.shown, title=title, keys=columns, metrics=metrics, best=made.best, front=made.front, root=root)
    tables = [table]
    if made.reference is not None:
        tables.append(render_differences(made.differences, made.reference, root))
    _print(tables)
    notes = [*_notes_of_differences(made), *_notes(made, len(columns), len(metrics))]
    sys.stdout.write("".join(f"{line}\n" for line in notes))


def _fitting(made: Comparison, keys: Sequence[str], width: int) -> tuple[list[str], list[str]]:
    """The keys and metrics that have room on lines of so many letters; what was asked for has it in any case."""
    widths = {("metric", name): metric_width(made.shown, name) for name in made.metrics}
    widths |= {("key", key): key_width(made.shown, key) for key in keys}
    asked = [("metric", name) for name in made.objectives]
    wished = [("key", key) for key in keys[:_KEYS_FIRST]]
    wished += [("metric", name) for name in made.metrics if name not in made.objectives]
    wished += [("key", key) for key in keys[_KEYS_FIRST:]]
    room = width - _BESIDE - sum(widths.get(one, 1) + _BORDER for one in asked)
    fit = {*asked}
    for one in wished:
        room -= widths[one] + _BORDER
        if room < 0:
            break
        fit.add(one)
    return [key for key in keys if ("key", key) in fit], [name for name in made.metrics if ("metric", name) in fit]


def _notes_of_differences(made: Comparison) -> list[str]:
    if not made.differences:
        return []
    from hybrid_trainer.runs.comparison.intervals import told

    lengths = told(made.differences)
    return [f"intervals: paired bootstrap of the test times, in blocks of {lengths}"] if lengths else []


def _notes(made: Comparison, columns: int, metrics: int) -> list[str]:
    """What the table doesn't say."""
    notes = []
    replicated = [key for key in _REPLICATES if key in made.keys]
    if replicated and not made.aside:
        names = ",".join(key.rpartition(".")[2] for key in replicated)
        notes.append(
            f"runs differ in {' and '.join(replicated)}: --group-by {names} shows mean and spread per configuration"
        )
    if len(made.shown) < len(made.rows):
        what = "configurations" if made.aside else "runs"
        notes.append(f"the best {len(made.shown)} of {len(made.rows)} {what}; --all shows the rest")
    if columns < len(made.keys):
        notes.append(f"{len(made.keys) - columns} more keys differ; --keys shows them")
    if metrics < len(made.metrics):
        notes.append(f"{len(made.metrics) - metrics} more metrics have no room here; --metric NAME asks for one")
    unranked = sum(row.complete and row.rank is None for row in made.rows) if made.aside else 0
    if unranked:
        notes.append(f"{unranked} configuration(s) have no rank: they lack seeds or folds that the others have")
    if made.incomparable:
        keys = ", ".join(made.incomparable[:_KEYS_SHOWN])
        verb = "differs" if len(made.incomparable) == 1 else "differ"
        notes.append(f"no best run is marked: {keys} {verb}, so one run's loss isn't the other's")
    elif made.objectives[0].startswith("test/"):
        notes.append("no best run is marked: a test metric is there to report, not to choose by")
    return notes


def _print(tables: Sequence[Table]) -> None:
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size((200, 50)).columns if terminal else 250
    console = Console(width=width, file=io.StringIO(), force_terminal=terminal)
    for table in tables:
        console.print(table)
    sys.stdout.write(console.file.getvalue())  # type: ignore[attr-defined]  # rich itself ends the process at a closed pipe
