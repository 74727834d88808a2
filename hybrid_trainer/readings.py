"""What a monitor reads off an epoch row: one number, or several in one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from hybrid_trainer.types import LOWER_IS_BETTER, EpochRow


class Reading(Protocol):
    """What is read off an epoch row: a number with a direction.

    Attributes:
        text: what it is, in a user's words; two of the same text and direction mean the same.
    """

    text: str
    lower_is_better: bool

    def value(self, row: EpochRow) -> float:
        """The number; rows come in the order of the epochs, each once."""

    def state_dict(self) -> dict[str, Any]:
        """All that changes, as plain types."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state."""


class OneNumber:
    """A number of the epoch row itself.

    Args:
        name: such as valid/loss. mode: min, max, or auto: by what the metric means.
    """

    def __init__(self, name: str, mode: str = "auto") -> None:
        self.text = name
        self.lower_is_better = falls(name) if mode == "auto" else mode == "min"

    def value(self, row: EpochRow) -> float:
        """It."""
        return row[self.text]

    def state_dict(self) -> dict[str, Any]:
        """Nothing changes."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to take over."""


class Shares:
    """Errors as shares of their first value.

    The first value is the first one that is a number; its size counts, or 1 where it is 0. What is better when it is
    larger enters as it is: such metrics have no unit, and none is above 1.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.first: dict[str, float | None] = {name: None for name in names if falls(name)}

    def of(self, name: str, value: float) -> float:
        """A number of the epoch row as such a share; NaN before there was a first one."""
        if not falls(name):
            return value
        first = self.first[name]
        if first is None:
            if not math.isfinite(value):
                return math.nan
            first = self.first[name] = abs(value) or 1.0
        return value / first

    def state_dict(self) -> dict[str, Any]:
        """The first values."""
        return {"first": dict(self.first)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state."""
        self.first = dict(state["first"])


class WeightedSum(Shares):
    """Several numbers in one, larger is better: what is better when it is smaller enters with a minus.

    Args:
        weights: how much each number of the epoch row counts. normalise: errors enter as shares of their first value.
    """

    lower_is_better = False

    def __init__(self, weights: Mapping[str, float], *, normalise: bool = False) -> None:
        super().__init__(weights)
        self.weights = dict(weights)
        self.normalise = normalise
        terms = "".join(f" {'-' if falls(name) else '+'} {weight:g} {name}" for name, weight in self.weights.items())
        self.text = terms.removeprefix(" + ").strip() + (" (errors as shares of their first)" if normalise else "")

    def value(self, row: EpochRow) -> float:
        """The sum; NaN where one of the numbers is."""
        total = 0.0
        for name, weight in self.weights.items():
            share = self.of(name, row[name]) if self.normalise else row[name]
            total += -weight * share if falls(name) else weight * share
        return total

    def state_dict(self) -> dict[str, Any]:
        """The first values, where they matter."""
        return super().state_dict() if self.normalise else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state."""
        if self.normalise:
            super().load_state_dict(state)


class MeanLoss(Shares):
    """The mean of losses, each as a share of its first value, over those that are numbers."""

    lower_is_better = True
    text = "the mean of the tasks' validation losses, each as a share of its first"

    def __init__(self, names: list[str]) -> None:
        super().__init__(names)
        self.names = names

    def value(self, row: EpochRow) -> float:
        """The mean; NaN where none is a number: a task may have no label among the validation rows."""
        shares = [self.of(name, row[name]) for name in self.names if not math.isnan(row[name])]
        return sum(shares) / len(shares) if shares else math.nan


def falls(name: str) -> bool:
    """Whether a number of the epoch row is better when it is smaller."""
    return name.rpartition("/")[2] in LOWER_IS_BETTER
