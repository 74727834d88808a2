"""'Has it improved?': a plain object that stopping, saving and schedules share."""

from __future__ import annotations

import math
from typing import Any

from hybrid_trainer.types import LOWER_IS_BETTER, EpochRow


class Monitor:
    """Remembers the best value of one number of the epoch rows.

    Args:
        metric: the number's name, such as valid/loss.
        mode: min, max, or auto: by what the metric means.
        min_delta: a change by no more than this is no improvement.
    """

    def __init__(self, metric: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        self.metric = metric
        self.lower_is_better = metric.rpartition("/")[2] in LOWER_IS_BETTER if mode == "auto" else mode == "min"
        self.min_delta = min_delta
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.stalled = 0

    def update(self, row: EpochRow) -> bool:
        """Look at an epoch row; return whether it is the best so far. NaN never is."""
        value = row[self.metric]
        better = not math.isnan(value) and (self.best is None or self._gain(value) > self.min_delta)
        if better:
            self.best, self.best_epoch, self.stalled = value, int(row["epoch"]), 0
        else:
            self.stalled += 1
        return better

    @property
    def _of(self) -> str:
        return f"{'smallest' if self.lower_is_better else 'largest'} {self.metric}"

    def _gain(self, value: float) -> float:
        assert self.best is not None
        return self.best - value if self.lower_is_better else value - self.best

    def state_dict(self) -> dict[str, Any]:
        """All that changes, as plain types, and what it is about."""
        return {"of": self._of, "best": self.best, "best_epoch": self.best_epoch, "stalled": self.stalled}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state; the best of another metric means nothing to this one, which then begins anew."""
        if state["of"] == self._of:
            self.best, self.best_epoch, self.stalled = state["best"], state["best_epoch"], state["stalled"]
