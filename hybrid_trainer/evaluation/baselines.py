"""Naive predictions for the same rows: what a model has to beat to be worth anything.

Every constant in them is fitted on training rows alone, as the model's are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybrid_trainer.config.targets import TargetConfig, VolatilityTarget
from hybrid_trainer.data.ahead import per_instrument
from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.data.features import Bars, Values, lagged, log_return, rolling_sum
from hybrid_trainer.data.forecasts import Forecast
from hybrid_trainer.data.room import PIECE
from hybrid_trainer.data.targets import Target
from hybrid_trainer.types import TargetSpec

Rows = NDArray[np.int64]
Known = Callable[[Rows], Values]  # (R,) rows -> (R, D) numbers, NaN where nothing is known

_DECAY = 0.94  # RiskMetrics (1996), for daily data
_EWMA_BARS = 75  # 0.94 ** 75 < 1 %: while volatility is steady, the rest weighs nothing


@dataclass(frozen=True)
class Baseline:
    """A naive prediction of one task for the rows of one part.

    Attributes:
        name: what it is, in a user's words.
        raw: (R, D) log probabilities, or scaled numbers. spec: the task's, with an identity link.
    """

    name: str
    raw: Tensor
    spec: TargetSpec


def baselines(data: Dataset, target: Target, config: TargetConfig, part: str) -> list[Baseline]:
    """The baselines of a task on a part's rows: class prior or constants, and what is known to work for its target."""
    rows = data.split.rows[part]
    train = data.split.rows["train"]
    if isinstance(target, Forecast):
        return _forecast_baselines(target, rows)
    labelled = target.labelled[train]
    known = train if labelled.all() else train[labelled]
    if target.spec.kind == "classification":
        counts = np.bincount(target.values[known], minlength=target.spec.dim)
        prior = torch.from_numpy(np.log(np.maximum(counts, 1e-12) / counts.sum())).float()
        return [Baseline("class prior", prior.expand(len(rows), -1), target.spec)]
    labels = target.values[known]
    if target.spec.kind == "quantile":
        constant = np.quantile(labels[:, 0], target.spec.quantiles)
        return [_scaled("training quantiles", np.broadcast_to(constant, (len(rows), target.spec.dim)), target)]
    found = [
        _scaled(name, np.broadcast_to(constant, (len(rows), target.spec.dim)), target)
        for name, constant in (("training mean", labels.mean(axis=0)), ("training median", np.median(labels, axis=0)))
    ]
    if isinstance(config, VolatilityTarget):
        for name, forecast in VOLATILITY_FORECASTS.items():
            values = per_instrument(data.table, lambda bars, forecast=forecast: forecast(bars, config.horizon))  # type: ignore[misc]
            said = values[:, None]
            found.append(
                _scaled(name, _calibrated(lambda some, said=said: said[some], target, known, rows), target)  # type: ignore[misc]
            )
    else:
        earlier = last_known_label(data, target)
        if any(np.isfinite(earlier(piece)).any() for piece in _pieces(known)):
            each = [_calibrated(earlier, target, known, rows, d) for d in range(target.spec.dim)]
            found.append(_scaled("last known label", np.concatenate(each, axis=1), target))
    return found


def _forecast_baselines(target: Forecast, rows: NDArray[np.int64]) -> list[Baseline]:
    """The last value of each column, and its training mean, for every step; the mean stands in for an empty cell."""
    spec = replace(target.spec, link="identity")
    last = torch.from_numpy(target.scaled_columns()[rows])  # (R, C); empty is 0: the mean in scaled units
    mean = torch.zeros(1, 1).expand(len(rows), spec.dim)
    return [Baseline("last value", last.repeat(1, spec.horizon), spec), Baseline("training mean", mean, spec)]


def last_known_label(data: Dataset, target: Target) -> Known:
    """For (R,) rows the (R, D) labels of the rows `horizon` bars ago, the youngest whose interval has ended by now."""
    starts = np.array([start for start, _ in data.table.blocks], dtype=np.int64)

    def known(rows: Rows) -> Values:
        before = rows - target.spec.horizon
        first = starts[np.searchsorted(starts, rows, side="right") - 1]
        labels = np.array(target.values[np.maximum(before, 0)], dtype=np.float64)
        labels[before < first] = np.nan
        return labels

    return known


def ewma_volatility(bars: Bars, horizon: int) -> Values:
    """Log volatility over the horizon by exponentially weighted squared returns of the last bars up to t."""
    squares = log_return(bars.close) ** 2
    known = np.isfinite(squares)
    squares = np.where(known, squares, 0.0)
    total, weights = np.zeros_like(squares), np.zeros_like(squares)
    for lag in range(_EWMA_BARS):
        # A missing return, and what lies before the first bar, has no weight.
        total += np.nan_to_num(lagged(squares, lag)) * _DECAY**lag
        weights += np.nan_to_num(lagged(known.astype(float), lag)) * _DECAY**lag
    mean: Values = total / weights
    log_mean: Values = np.log(horizon * mean)
    return 0.5 * log_mean


def persistent_volatility(bars: Bars, horizon: int) -> Values:
    """Log realised volatility of the last `horizon` bars."""
    return 0.5 * np.log(rolling_sum(log_return(bars.close) ** 2, horizon))


VOLATILITY_FORECASTS: dict[str, Callable[[Bars, int], Values]] = {
    "EWMA volatility": ewma_volatility,
    "persistence": persistent_volatility,
}


def _calibrated(forecast: Known, target: Target, train: Rows, rows: Rows, number: int = 0) -> Values:
    """Label ~ a + b * forecast, fitted on training rows (Mincer and Zarnowitz, 1969): no easy win by a bias."""
    count, means, squares, products = 0, np.zeros(2), 0.0, 0.0
    for x, y in _pairs(forecast, target, train, number):
        count, means = count + len(x), means + np.array([x.sum(), y.sum()])
    means /= max(count, 1)
    for x, y in _pairs(forecast, target, train, number):
        squares += ((x - means[0]) ** 2).sum()
        products += ((x - means[0]) * (y - means[1])).sum()
    b = products / squares if squares > 0 else 0.0
    # Where nothing is known yet, or nothing has moved (log volatility -inf), the training mean stands in.
    fallback = sum(target.values[piece, number].sum() for piece in _pieces(train)) / len(train)
    values = forecast(rows)[:, number]
    fitted: Values = np.where(np.isfinite(values), means[1] + b * (values - means[0]), fallback)
    return fitted[:, None]


def _pairs(forecast: Known, target: Target, train: Rows, number: int) -> Iterator[tuple[Values, Values]]:
    """What is forecast and what came, for the training rows for which something is, piece by piece."""
    for piece in _pieces(train):
        x = forecast(piece)[:, number]
        usable = np.isfinite(x)
        yield x[usable], target.values[piece[usable], number]


def _pieces(rows: Rows) -> Iterator[Rows]:
    return (rows[start : start + PIECE] for start in range(0, len(rows), PIECE))


def _scaled(name: str, values: Values, target: Target) -> Baseline:
    spec = replace(target.spec, link="identity")
    scaled = (values - np.array(spec.shift)) / np.array(spec.scale)
    return Baseline(name, torch.from_numpy(np.ascontiguousarray(scaled)), spec)
