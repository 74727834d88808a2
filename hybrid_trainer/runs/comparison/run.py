"""A run as compare knows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    config: dict[str, Any]
    metrics: dict[str, float]
    falling: frozenset[str] = frozenset()
