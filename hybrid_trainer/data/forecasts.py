"""Forecasts: the next rows of some columns. The columns are kept once, a label is gathered from them. Imports no torch.

Shape legend: N rows, R some of them, C columns, H steps; a label's D = H * C numbers run row after row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.config.targets import FutureTarget
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.targets import TARGET_BUILDERS, Target
from hybrid_trainer.errors import TableError
from hybrid_trainer.types import TargetSpec

_CHUNK = 1 << 18


@dataclass(frozen=True, kw_only=True)
class Forecast(Target):
    """A target whose label at t is rows t + 1 to t + horizon of `values`.

    Attributes:
        values: (N, C) float32 in units, as the table has them; NaN where a cell is empty.
        complete: (N,) bool, the rows behind which all H rows of the same block are there, with no cell empty.
    """

    complete: NDArray[np.bool_]

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """(N,) bool: the rows that have a label."""
        return self.complete

    @property
    def columns(self) -> int:
        """C."""
        return int(self.values.shape[1])

    def at(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The labels of (R,) rows in units, (R, H * C); NaN in a row without one."""
        ahead = np.minimum(rows[:, None] + np.arange(1, self.spec.horizon + 1), len(self.values) - 1)  # (R, H)
        labels: NDArray[np.float32] = self.values[ahead].reshape(len(rows), -1)  # (R, H, C) -> (R, H * C)
        labels[~self.complete[rows]] = np.nan
        return labels

    def shuffled(self, generator: np.random.Generator) -> Self:
        """Put every complete row of the columns in the place of another one."""
        rows = np.flatnonzero(np.isfinite(self.values).all(axis=1))
        values = self.values.copy()
        values[rows] = self.values[generator.permutation(rows)]
        return replace(self, values=values)

    def scaled_columns(self) -> NDArray[np.float32]:
        """(N, C) float32, scaled; 0 where a cell is empty."""
        shift, scale = np.array(self.spec.shift[: self.columns]), np.array(self.spec.scale[: self.columns])
        scaled = np.empty(self.values.shape, dtype=np.float32)
        for start in range(0, len(scaled), _CHUNK):
            part = (self.values[start : start + _CHUNK] - shift) / scale
            scaled[start : start + _CHUNK] = np.where(np.isfinite(part), part, 0)
        return scaled


@TARGET_BUILDERS.register("future")
def build_forecast(name: str, table: Table, config: FutureTarget) -> Forecast:
    """The next `steps` rows of the columns; a price column is taken as it is used, adjusted."""
    prices = {column: price for price, column in table.layout.prices.items()}
    values = np.empty((len(table), len(config.columns)), dtype=np.float32)
    for index, column in enumerate(config.columns):
        whole = table.prices[prices[column]] if column in prices else table.numbers[column]
        for start in range(0, len(table), _CHUNK):
            with np.errstate(over="ignore"):
                values[start : start + _CHUNK, index] = whole[start : start + _CHUNK]
        for row in np.flatnonzero(np.isinf(values[:, index]))[:1]:
            raise TableError(
                f"{table.file}:{table.line[row]}: column '{column}': {whole[row]:g} is too large for a forecast "
                "(float32 ends at 3.4e38); scale the column"
            )
    steps = range(1, config.steps + 1)
    spec = TargetSpec(
        name=name,
        kind="forecast",
        dim=config.steps * len(config.columns),
        horizon=config.steps,
        labels=tuple(f"{column}_{step}" for step in steps for column in config.columns),
    )
    return Forecast(spec=spec, values=values, complete=_complete(values, config.steps, table.blocks))


def fit_forecast(target: Forecast, train_rows: NDArray[np.int64], time_window: int) -> Forecast:
    """Fit each column's mean and standard deviation, the same for all steps.

    They are taken over the rows [t - time_window + 1, t + horizon] of the labelled training rows t, each row once: what
    training windows and training labels read, and nothing else. Split at a date, that is the training part whole.

    Raises:
        TableError: no training row has a label.
    """
    known = train_rows[target.complete[train_rows]]
    if not len(known):
        raise TableError(f"data.targets.{target.spec.name}: no training row has a label")
    ranges = _merged(known - time_window + 1, known + target.spec.horizon + 1)
    count, total = np.zeros(target.columns), np.zeros(target.columns)
    for part in _parts(target.values, ranges):
        count += np.isfinite(part).sum(axis=0)
        total += np.nansum(part, axis=0)
    mean = total / count
    squares = np.zeros(target.columns)
    for part in _parts(target.values, ranges):
        squares += np.nansum((part - mean) ** 2, axis=0)
    deviation = np.sqrt(squares / count)
    scale = np.where(deviation > 0, deviation, 1.0)
    steps = target.spec.horizon
    spec = replace(target.spec, shift=tuple(mean.tolist()) * steps, scale=tuple(scale.tolist()) * steps)
    return replace(target, spec=spec)


def _complete(values: NDArray[np.float32], steps: int, blocks: list[tuple[int, int]]) -> NDArray[np.bool_]:
    """(N,) bool: the next `steps` rows lie in the same block and hold no NaN."""
    complete = np.zeros(len(values), dtype=bool)
    for start, stop in blocks:
        if stop - start <= steps:
            continue
        empty = ~np.isfinite(values[start:stop]).all(axis=1)
        before = np.concatenate([[0], np.cumsum(empty)])  # empty rows before each row
        complete[start : stop - steps] = before[steps + 1 :] == before[1:-steps]
    return complete


def _merged(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.int64]:
    """(S, 2): ascending ranges of one length, those that touch or overlap made one; none begins before row 0."""
    new = np.concatenate([[True], starts[1:] > stops[:-1]])
    last = np.concatenate([new[1:], [True]])
    return np.stack([np.maximum(starts[new], 0), stops[last]], axis=1)


def _parts(values: NDArray[np.float32], ranges: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    """The rows of the ranges, in pieces that fit."""
    for start, stop in ranges.tolist():
        for first in range(start, stop, _CHUNK):
            yield values[first : min(first + _CHUNK, stop)].astype(np.float64)
