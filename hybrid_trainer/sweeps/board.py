"""How a sweep is going: a live table on a terminal, a line for each job that ends elsewhere."""

from __future__ import annotations

import json
import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hybrid_trainer.runs.ledger import RESULTS, Entry
from hybrid_trainer.sweeps.folder import Sweep
from hybrid_trainer.sweeps.orders import JobOrder, Outcome
from hybrid_trainer.types import LOWER_IS_BETTER

_EVERY_S = 0.5


class Board:
    """Shows jobs under way with their epochs, the best so far, and how long it will take.

    Args:
        n_jobs: how many run at a time. total: how many there will be; None: not known. console: where it is shown.
    """

    def __init__(self, sweep: Sweep, n_jobs: int, total: int | None, console: Console | None = None) -> None:
        self.sweep = sweep
        self.n_jobs = n_jobs
        self.total = total
        self.objective: str = sweep.content["objectives"][0]
        self._seconds: list[float] = []
        terminal = console is not None or sys.stdout.isatty()
        self._live = Live(console=console, auto_refresh=False, transient=True) if terminal else None
        self._shown = 0.0

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def ended(self, order: JobOrder, outcome: Outcome) -> None:
        """Tell of a job that has ended."""
        entry = self.sweep.ledger.jobs[order.number]
        if outcome.status in ("complete", "pruned") and entry.seconds is not None:
            self._seconds.append(entry.seconds)
        if outcome.status == "failed":
            self._write(f"error: job {order.number} failed: {outcome.reason} ({log_of(entry)})", failed=True)
        else:
            took = f" in {entry.seconds:.1f} s" if entry.seconds is not None else ""
            self._write(f"job {entry.folder or order.number}: {outcome.status}{took}{self._result(outcome)}")

    def again(self, order: JobOrder, outcome: Outcome) -> None:
        """Tell of a job that has failed and is tried again."""
        self._write(f"job {order.number} is tried again: {outcome.reason}")

    def show(self, running: list[int]) -> None:
        """Refresh the table, at most twice a second."""
        if self._live is None or time.monotonic() - self._shown < _EVERY_S:
            return
        self._shown = time.monotonic()
        jobs = self.sweep.ledger.jobs
        table = Table(box=None, pad_edge=False)
        for name in ("running", "epoch", self.objective, "time"):
            table.add_column(name, justify="left" if name == "running" else "right")
        for number in running:
            entry = jobs.get(number, Entry(number=number))
            epoch, value = self._last_row(entry)
            seconds = "" if entry.seconds is None else f"{entry.seconds:.0f} s"
            table.add_row(escape(entry.folder), epoch, value, seconds)
        self._live.update(Group(table, Text(self._summary(jobs))), refresh=True)

    def _summary(self, jobs: dict[int, Entry]) -> str:
        counts = counted(jobs)
        ended = sum(count for status, count in counts.items() if status not in ("queued", "running"))
        parts = [f"{ended} of {self.total if self.total is not None else '?'} jobs ended ({told(counts)})"]
        if found := best(jobs, self.objective):
            parts.append(f"best {self.objective} {found.metrics[self.objective]:.4f}: {found.folder}")
        if self._seconds and self.total is not None:
            mean = sum(self._seconds) / len(self._seconds)
            parts.append(f"about {in_words(mean * max(0, self.total - ended) / self.n_jobs)} left")
        return "; ".join(parts)

    def _last_row(self, entry: Entry) -> tuple[str, str]:
        """The last epoch of a job under way, and the objective there."""
        try:
            with (self.sweep.path / entry.folder / "history.jsonl").open("rb") as stream:
                row = json.loads(stream.read().splitlines()[-1])
        except (OSError, IndexError, ValueError):
            return "", ""
        value = row.get(self.objective)
        return str(row.get("epoch", "")), "" if value is None else f"{value:.4f}"

    def _result(self, outcome: Outcome) -> str:
        value = outcome.metrics.get(self.objective)
        if value is None:
            return f" ({outcome.reason})" if outcome.reason else ""
        return f", {self.objective} {value:.4f}"

    def _write(self, line: str, *, failed: bool = False) -> None:
        if self._live is not None:
            self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            stream = sys.stderr if failed else sys.stdout
            stream.write(f"{line}\n")
            stream.flush()


def in_words(seconds: float) -> str:
    """A length of time, roughly: 40 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def log_of(entry: Entry) -> str:
    """Where to read what a job has said."""
    return f"logs/{entry.number}.txt"


def counted(jobs: dict[int, Entry]) -> dict[str, int]:
    """How many jobs have which status."""
    counts: dict[str, int] = {}
    for entry in jobs.values():
        counts[entry.standing] = counts.get(entry.standing, 0) + 1
    return counts


def told(counts: dict[str, int]) -> str:
    """Counts in words: `15 complete, 5 failed`."""
    order = ("complete", "pruned", "duplicate", "failed", "killed", "interrupted", "running", "queued")
    return ", ".join(f"{counts[status]} {status}" for status in order if status in counts)


def best(jobs: dict[int, Entry], metric: str) -> Entry | None:
    """The job with the best result; None: there is none yet."""
    done = [entry for entry in jobs.values() if entry.status in RESULTS and metric in entry.metrics]
    falling = metric.rpartition("/")[2] in LOWER_IS_BETTER
    return min(done, key=lambda entry: entry.metrics[metric] * (1 if falling else -1), default=None)
