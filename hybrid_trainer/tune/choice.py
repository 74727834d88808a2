"""Which of several ways to compute is the fastest: from measured times to a choice that noise does not make."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

C = TypeVar("C", bound=Hashable)

LEAST_GAIN = 0.02
"""Whatever is gained less by is not worth other bits than everybody's."""
_HOPELESS = 1.5


@dataclass(frozen=True)
class Ratio:
    """How many times as long as another candidate, round by round."""

    median: float
    low: float
    high: float
    rounds: int

    @property
    def faster(self) -> bool:
        """Whether the gain is larger than what lies between the best and the worst round."""
        gain = 1 - self.median
        return gain >= LEAST_GAIN and gain > self.high - self.low


def ratio(times: Sequence[float], base: Sequence[float]) -> Ratio:
    """Compare times of the same rounds; a candidate that was given up has fewer."""
    ratios = [mine / other for mine, other in zip(times, base, strict=False)]
    return Ratio(median(ratios), min(ratios), max(ratios), len(ratios))


def choose(times: Mapping[C, Sequence[float]], default: C, allowed: Callable[[C], bool]) -> C:
    """The winner: the default, unless another beats it by more than the spread of the rounds.

    Candidates come in the order of `times`, the modest first; each must beat the best before it in the same way, so
    that sixteen threads do not win over four by what may be noise. One that was given up on the way never wins.
    """
    best = default
    for candidate, its in times.items():
        whole = len(its) == len(times[default])
        if whole and allowed(candidate) and ratio(its, times[best]).faster:
            best = candidate
    return best


def race(candidates: Sequence[C], default: C, rounds: int, time_of: Callable[[C], float]) -> dict[C, list[float]]:
    """Time all candidates in rounds, each in another order, so that a drift of the machine meets all alike.

    After two rounds, whatever took more than one and a half times as long as the fastest in both is given up, but never
    the default: the others are compared with it.
    """
    times: dict[C, list[float]] = {candidate: [] for candidate in candidates}
    running = list(candidates)
    for turn in range(rounds):
        for candidate in running[turn % len(running) :] + running[: turn % len(running)]:
            times[candidate].append(time_of(candidate))
        if turn == 1:
            fastest = min(min(its) for its in times.values())
            running = [one for one in running if one == default or min(times[one]) <= _HOPELESS * fastest]
    return times
