"""hydra/launcher=local: jobs side by side on this machine; and `work`, which lets any launcher carry out orders."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hybrid_trainer.config.axes import cores
from hybrid_trainer.config.launchers import LocalLauncherConfig
from hybrid_trainer.errors import ConfigError, TrainingError
from hybrid_trainer.sweeps.board import Board
from hybrid_trainer.sweeps.crew import Crew
from hybrid_trainer.sweeps.folder import Sweep, opened
from hybrid_trainer.sweeps.gpus import GpuPlaces, visible_gpus
from hybrid_trainer.sweeps.limits import Limits
from hybrid_trainer.sweeps.orders import JobOrder, JobSource, Listed, Outcome
from hybrid_trainer.sweeps.queue import next_to_start, words_for


class LocalLauncher(Launcher):
    """One process for each job, as many at a time as the cores have room for.

    Args:
        options: those of `LocalLauncherConfig`.
    """

    def __init__(self, **options: Any) -> None:
        self.options = LocalLauncherConfig(**options)
        self.config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take over the sweep's config; each job is composed in its own process."""
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run jobs, as any sweeper of Hydra's asks for it."""
        orders = [JobOrder(initial_job_idx + index, list(words)) for index, words in enumerate(job_overrides)]
        source = Listed(orders)
        self.work(source)
        return [_returned(order, source.outcomes.get(order.number, Outcome("queued"))) for order in orders]

    def work(self, source: JobSource) -> None:
        """Carry out a source's orders, each as soon as there is room.

        Raises:
            KeyboardInterrupt: a signal came; jobs under way have written a checkpoint.
        """
        assert self.config is not None
        sweep = opened(Path(str(self.config.hydra.sweep.dir)))
        places = GpuPlaces(*self._gpus())
        n_jobs = self._n_jobs(sweep, places)
        crew = Crew(
            sweep.path, sweep.ledger, n_jobs, places, Limits(self.options.seconds, self.options.memory_limit_mib)
        )
        board = Board(sweep, n_jobs, source.total)
        try:
            with board:
                self._go_through(sweep, source, crew, board)
        except KeyboardInterrupt:
            crew.stop()
            raise
        finally:
            crew.close()

    def _go_through(self, sweep: Sweep, source: JobSource, crew: Crew, board: Board) -> None:
        tries: dict[int, int] = {}
        stopping = False
        while True:
            while crew.room and not stopping and (order := next_to_start(sweep, source)):
                crew.start(order, words_for(sweep, order))
            board.show([work.order.number for work in crew.works])
            for order, outcome in crew.look():
                tries[order.number] = tries.get(order.number, 0) + 1
                if outcome.status == "failed" and tries[order.number] <= self.options.retries:
                    board.again(order, outcome)
                    sweep.ledger.append(order.number, "queued")
                    crew.start(order, words_for(sweep, order))
                    continue
                board.ended(order, outcome)
                source.ended(order, outcome)
                stopping = stopping or (outcome.status == "failed" and self.options.on_failure == "stop")
            if not crew.works and (stopping or source.exhausted):
                return

    def _gpus(self) -> tuple[list[str], float]:
        """The GPUs, and how many each job gets."""
        assert self.config is not None
        per_job = self.options.gpus_per_job
        if per_job == 0 or (per_job is None and self.config.training.device == "cpu"):
            return [], 0.0
        gpus = visible_gpus()
        if per_job is None:
            return gpus, 1.0 if gpus else 0.0
        if len(gpus) < per_job:
            raise ConfigError(f"hydra.launcher.gpus_per_job: {per_job:g}, but there are {len(gpus)} GPU(s) here")
        return gpus, per_job

    def _n_jobs(self, sweep: Sweep, places: GpuPlaces) -> int:
        threads = int(sweep.content["threads"])
        n_jobs = self.options.n_jobs or max(1, cores() // threads)
        if places.given:
            n_jobs = min(n_jobs, places.total)
        if n_jobs * threads > cores():
            sys.stdout.write(
                f"{n_jobs} jobs at a time with training.threads={threads} each, but {cores()} core(s) here: they will "
                "wait for each other; lower hydra.launcher.n_jobs or training.threads\n"
            )
        return n_jobs


def work(launcher: Launcher, source: JobSource, batch: int | None = None) -> None:
    """Let a launcher carry out all orders of a source.

    Args:
        batch: how many orders a launcher other than ours gets at a time; None: all that there are.
    """
    if isinstance(launcher, LocalLauncher):
        launcher.work(source)
        return
    config: DictConfig = launcher.config  # type: ignore[attr-defined]  # every launcher of Hydra's has it
    sweep = opened(Path(str(config.hydra.sweep.dir)))
    while True:
        orders: list[JobOrder] = []
        while (batch is None or len(orders) < batch) and (order := next_to_start(sweep, source)):
            orders.append(order)
        if not orders:
            return
        returned = launcher.launch([words_for(sweep, order) for order in orders], initial_job_idx=orders[0].number)
        for order, job in zip(orders, returned, strict=True):
            outcome = _known(sweep, order, job)
            if outcome.status == "failed":
                sys.stderr.write(f"error: job {order.number} failed: {outcome.reason}\n")
            source.ended(order, outcome)


def _known(sweep: Sweep, order: JobOrder, job: JobReturn) -> Outcome:
    """What the ledger says of a job that a launcher has brought back; else what it has brought."""
    entry = sweep.ledger.refresh().get(order.number)
    if entry is None or entry.status in ("queued", "running"):
        error = job._return_value
        lost = job.status != JobStatus.COMPLETED
        sweep.ledger.append(order.number, "failed", reason=f"its launcher says: {error}" if lost else "it left no word")
        entry = sweep.ledger.refresh()[order.number]
    return Outcome(entry.status, entry.metrics, entry.reason)


def _returned(order: JobOrder, outcome: Outcome) -> JobReturn:
    returned = JobReturn(overrides=order.overrides)
    failed = outcome.status not in ("complete", "pruned", "duplicate")
    returned.status = JobStatus.FAILED if failed else JobStatus.COMPLETED
    returned.return_value = TrainingError(f"job {order.number}: {outcome.reason}") if failed else outcome.metrics
    return returned
