"""`sweep status|resume|retry DIR`: what a sweep's ledger says, and going on with it, also after kill -9."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hybrid_trainer.arguments import Parser
from hybrid_trainer.config.overrides import prepare
from hybrid_trainer.errors import ConfigError, RunDirError
from hybrid_trainer.runs.ledger import Entry
from hybrid_trainer.sweeps import limits
from hybrid_trainer.sweeps.board import counted, told
from hybrid_trainer.sweeps.folder import Sweep, opened
from hybrid_trainer.sweeps.names import key_of

_PAUSE_S = 0.2
_PATIENCE_S = 120.0  # how long checkpoints may take
_LOST = ("failed", "killed")


def main(arguments: list[str]) -> int:
    """Look at a sweep, go on with it, or run its failed jobs again."""
    parser = Parser("sweep", main.__doc__)
    parser.add_argument(
        "what",
        choices=("status", "resume", "retry"),
        help="status: a table of its jobs; resume: go on with what has not ended; retry: run the failed jobs again",
    )
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="the sweep's folder, such as multirun/DATE/TIME-XXXXXX"
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="hydra.launcher.KEY=VALUE",
        help="resume, retry: other limits this time, such as hydra.launcher.time_limit=2h",
    )
    options = parser.parse_args(arguments)
    sweep = opened(options.folder)
    if options.what == "status":
        _status(sweep)
        return 0
    _launch_otherwise(sweep, prepare(options.words))
    return _go_on(sweep, retry=options.what == "retry")


def _launch_otherwise(sweep: Sweep, words: list[str]) -> None:
    """Let the launcher have other options, this time; a job's config stays what it is."""
    for word in words:
        if not word.startswith(("hydra.launcher.", "hydra/launcher=")):
            raise ConfigError(f"sweep: {word}: a sweep keeps its configs; only hydra.launcher and its keys can change")
    keys = {key_of(word) for word in words}
    sweep.content["overrides"] = [word for word in sweep.content["overrides"] if key_of(word) not in keys] + words


def _go_on(sweep: Sweep, *, retry: bool) -> int:
    """Carry out what is left; of failed jobs, those alone with `retry`."""
    from hybrid_trainer.sweeps.multirun import carry_out

    began = Path(sweep.content["folder"])
    if began.is_dir() and began.resolve() != Path.cwd().resolve():
        raise RunDirError(f"{sweep.path}: begun in {began}; go on from there, so that all paths mean the same")
    with sweep.locked():
        _wait_for_former(sweep)
        lost = [entry for entry in sweep.ledger.refresh().values() if entry.standing in _LOST]
        if not retry:
            return carry_out(sweep)
        if not lost:
            sys.stdout.write(f"{sweep.path}: no job has failed ({told(counted(sweep.ledger.jobs))})\n")
            return 0
        return carry_out(sweep, lost)


def _wait_for_former(sweep: Sweep) -> None:
    """Wait for jobs of a sweep that was killed: they write their checkpoints."""
    began = None
    while alive := [entry for entry in sweep.ledger.refresh().values() if entry.alive]:
        if began is None:
            sys.stdout.write(f"{len(alive)} job(s) of the former process are writing their checkpoints\n")
            sys.stdout.flush()
            began = time.monotonic()
        if time.monotonic() - began > _PATIENCE_S:  # they were told when that process went
            for entry in alive:
                limits.kill(entry.process)
        time.sleep(_PAUSE_S)


def _status(sweep: Sweep) -> None:
    jobs = sweep.ledger.refresh()
    metric = sweep.content["objectives"][0]
    width = shutil.get_terminal_size((200, 50)).columns if sys.stdout.isatty() else 250
    table = Table(title=f"{sweep.path}: {told(counted(jobs)) or 'no job yet'}", title_justify="left")
    for name in ("job", "status", "time", metric, "why"):
        table.add_column(name, overflow="fold", justify="right" if name in ("time", metric) else "left")
    for number in sorted(jobs):
        table.add_row(*map(escape, _row(jobs[number], metric)))
    Console(width=width, file=sys.stdout).print(table)
    if sweep.ledger.damaged:
        sys.stdout.write(f"{sweep.ledger.damaged} line(s) of the ledger were cut off and are passed over\n")


def _row(entry: Entry, metric: str) -> list[str]:
    status = entry.standing
    seconds = None if status == "killed" else entry.seconds
    value = entry.metrics.get(metric)
    reason = "its process is gone and left no other word" if status == "killed" else entry.reason
    return [
        entry.folder or str(entry.number),
        status,
        "" if seconds is None else f"{seconds:.1f} s",
        "" if value is None else f"{value:.4f}",
        reason,
    ]
