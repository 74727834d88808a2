"""A text column becomes numbers, block by block, and its names are put in order in the end. Imports no torch."""

from __future__ import annotations

import re

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hybrid_trainer.data.columns import Column, blocks_of

_LONG = 8  # rows that a text stands in on end, on average, for it to be looked up once for all of them
_WHOLE = re.compile(r"-?(0|[1-9]\d*)(\.0+)?")


class Coder:
    """Numbers texts in the order in which they come; tickers such as NA, TRUE and 007 stay text.

    Args:
        classes: whole numbers are one class however they are written: 1 and 1.0 are both '1'. 007 stays as it is.
    """

    def __init__(self, *, classes: bool = False) -> None:
        self._classes = classes
        self._floats = False
        self._known = pl.Categories.random()  # a dictionary of its own
        self._alive = pl.Series([], dtype=pl.Categorical(self._known))  # polars forgets it when no column uses it

    def encode(self, column: pl.Series) -> NDArray[np.int32]:
        """(N,) numbers of the texts, -1 where missing."""
        if column.dtype.is_float():
            self._floats = True
            column = column.fill_nan(None)
        texts = column.cast(pl.String).rechunk()
        begins = _runs(texts)
        if _LONG * len(begins) > len(texts):
            return self._numbers(texts)
        return np.repeat(self._numbers(texts.gather(begins)), np.diff(begins, append=len(texts)))

    def _numbers(self, texts: pl.Series) -> NDArray[np.int32]:
        numbers = texts.cast(pl.Categorical(self._known)).to_physical().cast(pl.Int32)
        return (numbers.fill_null(-1) if numbers.null_count() else numbers).to_numpy()

    def finish(self, codes: Column) -> tuple[str, ...]:
        """Renumber all codes, in place, so that the names are in alphabetical order; returns these."""
        seen = [text or "" for text in self._known.to_series().to_list()]  # a number may be reserved and never used
        used = self._used(codes, len(seen))
        whole = self._classes and self._all_whole([text for text, is_used in zip(seen, used, strict=True) if is_used])
        texts = [self._plain(text) if whole and is_used else text for text, is_used in zip(seen, used, strict=True)]
        names = sorted({text for text, is_used in zip(texts, used, strict=True) if is_used})
        number = {name: index for index, name in enumerate(names)}
        new = np.array([number.get(text, -1) for text in texts] + [-1], dtype=codes.dtype)  # code -1 takes the last
        if not np.array_equal(new[:-1], np.arange(len(seen))):
            for start, stop in blocks_of(len(codes)):
                codes[start:stop] = new[codes[start:stop]]
        return tuple(names)

    def _used(self, codes: Column, count: int) -> NDArray[np.bool_]:
        """Which texts still have a row: rows may have been dropped."""
        used = np.zeros(count + 1, dtype=bool)
        for start, stop in blocks_of(len(codes)):
            used[codes[start:stop]] = True  # -1 marks the last one
        return used[:-1]

    def _all_whole(self, texts: list[str]) -> bool:
        if self._floats:  # beyond 2**53 neighbours would become one class
            return all(float(text).is_integer() and abs(float(text)) < 2**53 for text in texts)
        return all(_WHOLE.fullmatch(text) for text in texts)

    def _plain(self, text: str) -> str:
        return str(int(float(text))) if self._floats else text.partition(".")[0]


def _runs(texts: pl.Series) -> NDArray[np.int64]:
    """The rows in which another text begins, the first one among them."""
    changes = texts.slice(1).ne_missing(texts.slice(0, max(len(texts) - 1, 0)))
    return np.flatnonzero(np.append(len(texts) > 0, changes.to_numpy()))
