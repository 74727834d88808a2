"""The columns of numbers of a block of rows: read, judged, and prices made from them. Imports no torch."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hybrid_trainer.data import checks
from hybrid_trainer.data.chunks import Chunk
from hybrid_trainer.data.layout import Layout

_NOT_A_NUMBER = "'{value}' is not a number"

Columns = dict[str, NDArray[np.float64]]


class Numbers:
    """What a layout asks of its columns of numbers; one block after the other, in any thread.

    Args:
        missing: 'error' refuses a missing feature value, 'gap' keeps it as NaN.

    Attributes:
        spreads: the smallest and largest values of all blocks so far.
    """

    def __init__(self, layout: Layout, missing: str) -> None:
        self.spreads = checks.Spreads()
        self._layout = layout
        self._may_be_missing = layout.optional if missing == "error" else tuple(layout.number_columns)

    def judged(self, chunk: Chunk) -> tuple[Columns, checks.Problems]:
        """A block's columns of numbers, and what is wrong with them."""
        line, problems = chunk.line, checks.Problems(chunk.file)
        numbers = {name: _read(chunk.frame[name], line, problems) for name in self._layout.number_columns}
        ends = checks.ends_of(numbers)
        judged = {name: values for name, values in numbers.items() if name not in chunk.told}
        checks.check_numbers(judged, ends, line, problems, may_be_missing=self._may_be_missing)
        whole = tuple(name for name in self._layout.whole if name in judged)
        checks.check_whole(judged, whole, line, problems)
        adjusted = {"adjusted close": self._layout.adjusted_close} if self._layout.adjusted_close else {}
        checks.check_prices(numbers, ends, {**self._layout.prices, **adjusted}, line, problems)
        self.spreads.see(judged, ends)
        return numbers, problems

    def prices(self, numbers: Columns) -> Columns:
        """Open, high, low, close and volume, adjusted where a column says how."""
        prices = {name: numbers[column] for name, column in self._layout.prices.items()}
        if self._layout.adjusted_close is None:
            return prices
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # in rows that are refused
            factor = numbers[self._layout.adjusted_close] / prices["close"]
            return {name: values / factor if name == "volume" else values * factor for name, values in prices.items()}


def _read(column: pl.Series, line: NDArray[np.int64], problems: checks.Problems) -> NDArray[np.float64]:
    """(N,) float64, NaN where missing; text that is no number is told."""
    if column.dtype != pl.String:
        return column.cast(pl.Float64, strict=False).to_numpy()
    texts = column.str.strip_chars()
    numbers = texts.cast(pl.Float64, strict=False)
    if numbers.null_count() > texts.null_count():
        bad = (numbers.is_null() & texts.is_not_null() & (texts != "")).to_numpy()
        problems.add_where(column.name, bad, line, _NOT_A_NUMBER, column.to_list())
    return numbers.to_numpy()
