"""Jobs as they are asked for and as they end: what a launcher and whoever picks configurations say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class JobOrder:
    """A job that is to be started.

    Attributes:
        number: of the job within its sweep. overrides: all of them, made ready for Hydra.
    """

    number: int
    overrides: list[str]


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        status: complete, failed, pruned, duplicate or interrupted. metrics: of its run, flat. reason: a line; may be "".
    """

    status: str
    metrics: dict[str, float]
    reason: str


class JobSource(Protocol):
    """Where jobs come from.

    Attributes:
        exhausted: whether nothing will come any more.
    """

    exhausted: bool

    def next(self) -> JobOrder | None:
        """The next job; None where there is none now: ask again when a job has ended, unless `exhausted`."""

    def ended(self, order: JobOrder, outcome: Outcome) -> None:
        """Hear how a job ended."""
