"""The rows that features read: prices and other columns of one stretch of a table. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVarTuple

import numpy as np

from hybrid_trainer.data.kernels import Values, lagged, rolling_mean, rolling_sum

Arguments = TypeVarTuple("Arguments")


class Bars:
    """n rows in the order of time; `bars["x"]` is any column of the table, (n,) float64, and cannot be written to."""

    def __init__(self, columns: Mapping[str, Values]) -> None:
        self._columns = columns
        self._made: dict[object, Values] = {}

    @classmethod
    def of(cls, columns: Mapping[str, Values], start: int, stop: int) -> Bars:
        """The rows [start, stop) of a table's columns."""
        return cls({name: _read_only(values[start:stop]) for name, values in columns.items()})

    def __getitem__(self, name: str) -> Values:
        return self._columns[name]

    def once(self, compute: Callable[[Bars, *Arguments], Values], *arguments: *Arguments) -> Values:
        """compute(bars, *arguments), computed the first time and remembered: for what several features share."""
        key = (compute, arguments)
        if key not in self._made:
            self._made[key] = _read_only(compute(self, *arguments))
        return self._made[key]

    @property
    def open(self) -> Values:
        """The first price of each bar."""
        return self._columns["open"]

    @property
    def high(self) -> Values:
        """The highest price of each bar."""
        return self._columns["high"]

    @property
    def low(self) -> Values:
        """The lowest price of each bar."""
        return self._columns["low"]

    @property
    def close(self) -> Values:
        """The last price of each bar."""
        return self._columns["close"]

    @property
    def volume(self) -> Values:
        """What was traded in each bar; a KeyError where the table has none."""
        return self._columns["volume"]


def log_return(close: Values, bars: int = 1) -> Values:
    """log(close_t / close_{t - bars})."""
    log = np.log(close)
    return log - lagged(log, bars)


def true_range(bars: Bars) -> Values:
    """Wilder (1978): the largest of high - low, |high - previous close|, |low - previous close|."""
    previous = lagged(bars.close, 1)
    return np.maximum(bars.high - bars.low, np.maximum(np.abs(bars.high - previous), np.abs(bars.low - previous)))


def average_true_range(bars: Bars, window: int) -> Values:
    """Mean true range of the last `window` bars (a simple mean: its lookback is finite), in price units."""
    return rolling_mean(true_range(bars), window)


def root_mean_square_return(close: Values, window: int) -> Values:
    """Standard deviation of the last `window` log returns around zero."""
    deviation: Values = np.sqrt(rolling_sum(log_return(close) ** 2, window) / window)
    return deviation


def _read_only(values: Values) -> Values:
    # Contiguous: numpy has other kernels, with other last bits, for strided input.
    view = np.ascontiguousarray(values, dtype=np.float64).view()
    view.flags.writeable = False
    return view
