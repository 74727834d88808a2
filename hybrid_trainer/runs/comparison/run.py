"""A run as compare knows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hybrid_trainer.runs.comparison.configs import Config
from hybrid_trainer.runs.comparison.named import Named

COMPLETE = "complete"
PREDICTIONS = Path("report", "predictions.parquet")


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What compare knows of one run: its folder, how it ended, its flat config and its metrics.

    Attributes:
        falling: of the metrics of plug-ins, those that are better when they are smaller.
    """

    path: Path
    status: str
    reason: str
    config: Config
    metrics: Named[float]
    falling: frozenset[str] = frozenset()
