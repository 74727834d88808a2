"""Keeping a launcher busy with the jobs of a source: the local one streams, all others are given batches."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from hybrid_trainer.errors import RunDirError
from hybrid_trainer.runs.directory import read_record
from hybrid_trainer.sweeps.orders import JobOrder, JobSource, Outcome


@runtime_checkable
class Streaming(Protocol):
    """A launcher that starts the next job as soon as one has ended."""

    def work(self, source: JobSource) -> None:
        """Start jobs until the source is exhausted."""


def work(launcher: Launcher | Streaming, source: JobSource, at_once: int) -> None:
    """Run all jobs of a source.

    Args:
        at_once: jobs in a batch, for a launcher that doesn't stream.
    """
    if isinstance(launcher, Streaming):
        launcher.work(source)
        return
    waiting: JobOrder | None = None
    while True:
        batch = [] if waiting is None else [waiting]
        waiting = None
        while len(batch) < at_once and (order := source.next()) is not None:
            if batch and order.number != batch[-1].number + 1:  # launchers count on by themselves
                waiting = order
                break
            batch.append(order)
        if not batch:
            return
        returns = launcher.launch([order.overrides for order in batch], initial_job_idx=batch[0].number)
        for order, returned in zip(batch, returns, strict=True):
            source.ended(order, outcome_of(returned))


def outcome_of(returned: JobReturn) -> Outcome:
    """How a job ended, as Hydra's launchers tell it; the run's own record knows whether it was given up."""
    value = returned._return_value
    if returned.status != JobStatus.COMPLETED:
        return Outcome("failed", {}, str(value) or type(value).__name__)
    status, reason = "complete", ""
    if returned.hydra_cfg is not None:
        try:
            record = read_record(Path(returned.hydra_cfg.hydra.runtime.output_dir))
        except RunDirError:
            pass  # a job that is no run, or another job's twin
        else:
            status, reason = record["status"], record.get("stop_reason") or ""
    return Outcome(status, dict(value or {}), reason)
