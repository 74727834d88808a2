"""Which order is begun next, and what its process is told: a job that has given its result is not run again."""

from __future__ import annotations

from hybrid_trainer.runs.ledger import RESULTS
from hybrid_trainer.sweeps.folder import Sweep
from hybrid_trainer.sweeps.job import NUMBER
from hybrid_trainer.sweeps.names import folder_name, key_of
from hybrid_trainer.sweeps.orders import JobOrder, JobSource, Outcome

_LEFT = (*RESULTS, "failed")


def enter(sweep: Sweep, orders: list[JobOrder]) -> None:
    """Write orders into the ledger that it doesn't know."""
    known = sweep.ledger.refresh()
    fixed = sweep.content["fixed"]
    sweep.ledger.queue(
        (order.number, order.overrides, folder_name(order.number, order.overrides, fixed))
        for order in orders
        if order.number not in known
    )
    sweep.ledger.refresh()


def next_to_start(sweep: Sweep, source: JobSource) -> JobOrder | None:
    """The source's next order that is to be begun; of one that has ended before it is told at once."""
    while (order := source.next()) is not None:
        enter(sweep, [order])
        entry = sweep.ledger.jobs[order.number]
        if entry.status not in _LEFT:
            return order
        source.ended(order, Outcome(entry.status, entry.metrics, entry.reason))
    return None


def words_for(sweep: Sweep, order: JobOrder) -> list[str]:
    """What a job is composed from: its overrides, its number, and its folder where the user names none."""
    words = [*order.overrides, f"+hydra.job.env_set.{NUMBER}='{order.number}'"]
    if not any(key_of(word) == "hydra.sweep.subdir" for word in sweep.content["overrides"]):
        words.append(f"hydra.sweep.subdir='{sweep.ledger.jobs[order.number].folder}'")
    return words
