"""A row of the comparison: one run, or the runs of one configuration with their means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hybrid_trainer.runs.comparison.configs import Config
from hybrid_trainer.runs.comparison.run import COMPLETE, Run


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a table, a file and the intervals know of one run, or of one configuration's runs.

    Attributes:
        name: the run's path; of several, the first one's and how many more.
        config: flat; of several runs, the first one's.
        metrics: of several runs their means. spread, count: sample standard deviations, and of how many values.
        rank: of a configuration: its mean rank over the seeds and folds that it shares with the others.
    """

    name: str
    status: str
    reason: str
    runs: tuple[Run, ...]
    config: Config
    metrics: Mapping[str, float]
    spread: dict[str, float] = field(default_factory=dict)
    count: dict[str, int] = field(default_factory=dict)
    rank: float | None = None

    @property
    def complete(self) -> bool:
        """Whether any of its runs is complete."""
        return any(run.status == COMPLETE for run in self.runs)


def row_of(run: Run) -> Row:
    """One run as a row."""
    return Row(
        name=str(run.path),
        status=run.status,
        reason=run.reason,
        runs=(run,),
        config=run.config,
        metrics=run.metrics,
    )
