"""The curve of a learning-rate range test (Smith, 2017): rates, smoothed losses, and what they suggest."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BETA = 0.9
DIVERGED = 4.0
_SKIPPED = 0.1  # share of the curve at its start that says little: few losses have been averaged
_BELOW_MINIMUM = 10.0


@dataclass(frozen=True)
class Suggestion:
    """Learning rates to begin with.

    Attributes:
        steepest: where the loss falls fastest. tenth: a tenth of where it is lowest.
    """

    steepest: float
    tenth: float


def rates_between(lowest: float, highest: float, steps: int) -> NDArray[np.float64]:
    """(S,) rates from the lowest to the highest, each the same multiple of the one before."""
    rates: NDArray[np.float64] = np.geomspace(lowest, highest, steps)
    return rates


class Smoother:
    """The exponential average of a loss with bias correction, as in Adam (Kingma and Ba, 2015)."""

    def __init__(self, beta: float = BETA) -> None:
        self.beta = beta
        self._sum, self._weight = 0.0, 0.0

    def add(self, loss: float) -> float:
        """The average with one more loss."""
        self._sum = self.beta * self._sum + (1 - self.beta) * loss
        self._weight = self.beta * self._weight + (1 - self.beta)
        return self._sum / self._weight


def run_test(rates: NDArray[np.float64], loss_at: Callable[[float], float]) -> NDArray[np.float64]:
    """Take a step at each rate until the smoothed loss is four times its best, or no number; returns the losses.

    The loss of a step is that before its update: it tells what the rates before have done.
    """
    losses: list[float] = []
    smoother, best = Smoother(), math.inf
    for rate in rates.tolist():
        loss = loss_at(rate)
        if not math.isfinite(loss):
            break
        losses.append(loss)
        smooth = smoother.add(loss)
        best = min(best, smooth)
        if smooth > DIVERGED * best:
            break
    return np.array(losses)


def smoothed(losses: NDArray[np.float64], beta: float = BETA) -> NDArray[np.float64]:
    """(S,) the mean of a smoothing from the left and one from the right: unlike each of them, it does not lag.

    An average of the last ten losses alone would put everything at a rate several times too high. A loss beyond the
    bound at which a test ends counts as that bound, or the last ones would hide all before them.
    """
    ahead, back = Smoother(beta), Smoother(beta)
    if len(losses):
        causal = Smoother(beta)
        losses = np.minimum(losses, DIVERGED * min(causal.add(loss) for loss in losses.tolist()))
    left = np.array([ahead.add(loss) for loss in losses.tolist()])
    right = np.array([back.add(loss) for loss in losses[::-1].tolist()])[::-1]
    middle: NDArray[np.float64] = (left + right) / 2
    return middle


def suggest(rates: NDArray[np.float64], smooth: NDArray[np.float64]) -> Suggestion | None:
    """The steepest descent and a tenth of the minimum, of (S,) rates and losses; None where the loss never falls."""
    first = int(len(smooth) * _SKIPPED)
    lowest = first + int(smooth[first:].argmin()) if len(smooth) else 0
    if lowest - first < 1:
        return None
    slopes = np.gradient(smooth, np.log(rates[: len(smooth)]))
    steepest = first + int(slopes[first : lowest + 1].argmin())
    return Suggestion(float(rates[steepest]), float(rates[lowest]) / _BELOW_MINIMUM)
