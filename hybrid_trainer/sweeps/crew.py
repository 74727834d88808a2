"""The processes of the local launcher: each takes one job, and however that ends it is known why."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool

from hybrid_trainer.runs.ledger import ENDED, Entry, Ledger
from hybrid_trainer.sweeps import limits
from hybrid_trainer.sweeps.gpus import GpuPlaces
from hybrid_trainer.sweeps.limits import Limits
from hybrid_trainer.sweeps.orders import JobOrder, Outcome

_PRELOAD = "hybrid_trainer.sweeps.preload"
_GRACE_S = 5.0  # between being told to stop and being killed
_PATIENCE_S = 120.0  # the same where a signal has ended the sweep: large checkpoints take their time
_LOOK_S = 0.1
_GONE_S = 2.0  # how long the pool may take to notice that a process has ended


@dataclass
class Work:
    """A job under way.

    Attributes:
        doom: why it is being ended; empty: it isn't. told: when it was asked to stop.
        gone: when its process was missed.
    """

    order: JobOrder
    future: Future[None]
    place: str | None
    doom: str = ""
    told: float | None = None
    gone: float | None = None


class Crew:
    """A pool of processes, forked from a server that has imported what a run needs; one job each.

    Args:
        folder: the sweep's. n_jobs: at a time. places: the GPUs. limit: what a job may take.
    """

    def __init__(self, folder: Path, ledger: Ledger, n_jobs: int, places: GpuPlaces, limit: Limits) -> None:
        self.folder = folder
        self.ledger = ledger
        self.n_jobs = n_jobs
        self.places = places
        self.limit = limit
        self.works: list[Work] = []
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([_PRELOAD])
        # One more than work at a time: it is there when a job ends, and nobody waits for a fork.
        self._pool = ProcessPool(max_workers=n_jobs + 1, max_tasks=1, context=context)

    @property
    def room(self) -> bool:
        """Whether another job may begin."""
        return len(self.works) < self.n_jobs and self.places.room

    def start(self, order: JobOrder, words: list[str]) -> None:
        """Begin with a job; `words` is what its process is to compose."""
        from hybrid_trainer.sweeps.worker import Surroundings, carry_out

        place = self.places.take()
        around = Surroundings(Path.cwd(), dict(os.environ), place)
        future = self._pool.schedule(carry_out, args=(self.folder, order.number, words, around))
        self.works.append(Work(order, future, place))

    def look(self) -> list[tuple[JobOrder, Outcome]]:
        """Wait a moment; returns the jobs that have ended since the last look."""
        if not self.works:
            time.sleep(_LOOK_S)
        wait([work.future for work in self.works], timeout=_LOOK_S, return_when="FIRST_COMPLETED")
        entries = self.ledger.refresh()
        ended = []
        for work in list(self.works):
            entry = entries.get(work.order.number, Entry(number=work.order.number))
            if not work.future.done() and not self._is_gone(work, entry):
                self._limit(work, entry)
                continue
            self.works.remove(work)
            self.places.give_back(work.place)
            ended.append((work.order, self._outcome(work, entry)))
        return ended

    def stop(self) -> None:
        """Have all jobs write a checkpoint and end; a second signal meanwhile kills them."""
        try:
            for work in self.works:
                work.doom = work.doom or "interrupted"
            while self.works:
                self._tell_all()
                self.look()
        except KeyboardInterrupt:
            for work in self.works:
                limits.kill(self.ledger.jobs[work.order.number].process)
            raise

    def close(self) -> None:
        """Let the processes go that wait for a job."""
        self._pool.stop()  # type: ignore[no-untyped-call]
        with suppress(RuntimeError):
            self._pool.join()

    def _tell_all(self) -> None:
        """Tell those that have begun by now; one that hasn't is told at the next look."""
        for work in self.works:
            entry = self.ledger.refresh().get(work.order.number)
            if entry is None or entry.status != "running":
                continue
            if work.told is None:
                work.told = time.monotonic()
                limits.tell(entry.process)
            elif time.monotonic() - work.told > _PATIENCE_S:
                limits.kill(entry.process)

    def _is_gone(self, work: Work, entry: Entry) -> bool:
        """Whether a process has ended without the pool's noticing, as after os._exit(0)."""
        if entry.status != "running" or entry.alive is not False:
            return False
        work.gone = work.gone or time.monotonic()
        return time.monotonic() - work.gone > _GONE_S

    def _limit(self, work: Work, entry: Entry) -> None:
        if entry.status != "running":
            return
        if not work.doom:
            work.doom = self.limit.broken(entry)
        if not work.doom or work.doom == "interrupted":
            return
        if work.told is None and "memory" not in work.doom:
            work.told = time.monotonic()
            limits.tell(entry.process)
        elif work.told is None or time.monotonic() - work.told > _GRACE_S:
            limits.kill(entry.process)

    def _outcome(self, work: Work, entry: Entry) -> Outcome:
        """What became of a job; where its process has left no word, the ledger is told here."""
        entry = self.ledger.refresh().get(work.order.number, entry)
        if work.doom and work.doom != "interrupted" and entry.status not in ("complete", "pruned", "duplicate"):
            self.ledger.append(work.order.number, "failed", reason=work.doom)
        elif entry.status not in ENDED:
            status = "interrupted" if work.doom else "failed"
            self.ledger.append(work.order.number, status, reason=_how_it_died(work.future))
        entry = self.ledger.refresh()[work.order.number]
        return Outcome(entry.status, entry.metrics, entry.reason)


def _how_it_died(future: Future[Any]) -> str:
    if not future.done():
        return "its process ended without a word (os._exit?)"
    error = None if future.cancelled() else future.exception()
    if isinstance(error, ProcessExpired):
        code = int(error.exitcode)
        if code < 0:
            more = ", as the system does where memory runs out" if -code == signal.SIGKILL else ""
            return f"its process was killed by {signal.Signals(-code).name}{more}"
        return f"its process ended with status {code}"
    return f"its process ended without a word ({error})" if error else "its process ended without a word"
