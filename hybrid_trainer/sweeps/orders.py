"""What a sweeper and a launcher say to each other: an order for a job, what became of it, and who gives orders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class JobOrder:
    """One job of a sweep.

    Attributes:
        number: which one; the ledger and the job's folder begin with it. overrides: made ready for Hydra.
    """

    number: int
    overrides: list[str]


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        status: complete, failed, pruned, duplicate or interrupted.
        metrics: the run's, by name; a duplicate has those of the job that it repeats.
        reason: why it ended as it did, in one line.
    """

    status: str
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str = ""


class JobSource(Protocol):
    """Gives orders, one at a time, and learns what became of them."""

    @property
    def exhausted(self) -> bool:
        """Whether there will be no further order, whatever becomes of those that are under way."""
        ...

    @property
    def total(self) -> int | None:
        """How many orders there will have been in the end; None: not known."""
        ...

    def next(self) -> JobOrder | None:
        """The next job; None: there is none now, ask again when a job has ended."""
        ...

    def ended(self, order: JobOrder, outcome: Outcome) -> None:
        """Learn what became of an order."""
        ...


class Listed:
    """Orders that are all known from the beginning."""

    def __init__(self, orders: Iterable[JobOrder]) -> None:
        self.orders = list(orders)
        self.outcomes: dict[int, Outcome] = {}
        self._given = 0

    @property
    def exhausted(self) -> bool:
        """Whether all have been given."""
        return self._given == len(self.orders)

    @property
    def total(self) -> int:
        """How many there are."""
        return len(self.orders)

    def next(self) -> JobOrder | None:
        """The next one of the list."""
        if self.exhausted:
            return None
        self._given += 1
        return self.orders[self._given - 1]

    def ended(self, order: JobOrder, outcome: Outcome) -> None:
        """Keep what became of it."""
        self.outcomes[order.number] = outcome
