"""Which way is up: the direction of a metric, and rows in the order of a metric or a key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from hybrid_trainer.runs.comparison.keys import text
from hybrid_trainer.runs.comparison.rows import Row
from hybrid_trainer.runs.comparison.run import Run
from hybrid_trainer.types import LOWER_IS_BETTER


def falling(runs: Iterable[Run]) -> frozenset[str]:
    """The metrics, by the last part of their names, that are better when they are smaller."""
    return frozenset(LOWER_IS_BETTER).union(chain.from_iterable({run.falling for run in runs}))


def sign(metric: str, smaller: frozenset[str]) -> int:
    """1 where smaller is better, -1 where larger is: what it is multiplied by has its best value at the bottom."""
    return 1 if metric.rpartition("/")[2] in smaller else -1


def sort_rows(rows: Sequence[Row], metric: str, smaller: frozenset[str]) -> list[Row]:
    """Best first by a metric; rows without it (failed, running, damaged) last."""
    up = sign(metric, smaller)
    return sorted(rows, key=lambda row: (metric not in row.metrics, up * row.metrics.get(metric, 0.0), row.name))


def sort_by_key(rows: Sequence[Row], key: str) -> list[Row]:
    """Ascending by a config key, `run` or `status`: numbers first, then texts; rows without it last."""
    return sorted(rows, key=lambda row: _place(_value(row, key)))


def _value(row: Row, key: str) -> Any:
    if key in ("run", "status"):
        return row.name if key == "run" else row.status
    return row.config.get(key)


def _place(value: Any) -> tuple[int, float, str]:
    if value is None:
        return (2, 0.0, "")
    if isinstance(value, int | float):
        return (0, float(value), "")
    return (1, 0.0, text(value))
