"""Categories to numbers: the categories of the training rows, and `<unk>` for every other. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hybrid_trainer.data.room import IN_MEMORY, PIECE, Room
from hybrid_trainer.data.table import Table
from hybrid_trainer.errors import TableError

UNKNOWN = "<unk>"
INSTRUMENT = "instrument"
_LARGEST_DEFAULT = 16

Codes = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Vocabulary:
    """The known categories in alphabetical order; the first has number 1, since 0 is `<unk>`."""

    names: tuple[str, ...]

    @classmethod
    def fit(cls, codes: Codes, categories: tuple[str, ...]) -> Vocabulary:
        """The categories that occur among the training rows' codes; a negative code or an empty text is 'missing'."""
        seen = np.zeros(len(categories) + 1, dtype=bool)  # no sorting: there may be millions of rows
        seen[codes] = True  # -1 marks the last one
        return cls(tuple(sorted(categories[code] for code in np.flatnonzero(seen[:-1]) if categories[code])))

    def __len__(self) -> int:
        return len(self.names) + 1

    @property
    def vector_size(self) -> int:
        """The length of a category's vector where the config says none: the root of their number, at most 16."""
        return min(_LARGEST_DEFAULT, int(np.ceil(np.sqrt(len(self)))))

    def encode(self, codes: Codes, categories: tuple[str, ...]) -> NDArray[np.int32]:
        """(N,) codes into `categories`, -1 where missing -> (N,) numbers of this vocabulary."""
        numbers = {name: number for number, name in enumerate(self.names, start=1)}
        table = np.array([*(numbers.get(name, 0) for name in categories), 0], dtype=np.int32)
        return np.asarray(table[codes])  # code -1 takes the last entry


def category_texts(column: pl.Series) -> pl.Series:
    """Categories as text: 1 and 1.0 are both '1', 007 stays as it is, a missing one is None.

    Each value is read by itself: a file to predict on may hold others beside it, and must give the same text.
    """
    if column.dtype.is_float():
        column = column.fill_nan(None)
    return column.cast(pl.String).str.replace(r"^(-?(?:0|[1-9]\d*))\.0+$", "$1")


def fit_vocabularies(table: Table, rows: NDArray[np.int64]) -> dict[str, Vocabulary]:
    """A vocabulary of each categorical input, `instrument` first, from the training decision rows.

    An input is read at the decision row, so a category that only look-back rows have would never be trained.

    Raises:
        TableError: a column holds no category in any of the rows.
    """
    made = {}
    for name, (codes, categories) in _inputs(table).items():
        made[name] = Vocabulary.fit(codes[rows], categories)
        if not made[name].names:
            raise TableError(
                f"{table.file}: column '{name}' (data.categories) is empty in every training row; there is nothing to "
                "learn from it: remove it"
            )
    return made


def encode_inputs(table: Table, vocabularies: dict[str, Vocabulary], room: Room = IN_MEMORY) -> NDArray[np.int32]:
    """(N, K): each row's numbers in the K vocabularies; `room` makes the array."""
    inputs = _inputs(table)
    ids = room.empty((len(table), len(vocabularies)), np.int32)
    for column, (name, vocabulary) in enumerate(vocabularies.items()):
        codes, categories = inputs[name]
        for start in range(0, len(table), PIECE):
            ids[start : start + PIECE, column] = vocabulary.encode(codes[start : start + PIECE], categories)
    return ids


def _inputs(table: Table) -> dict[str, tuple[Codes, tuple[str, ...]]]:
    own = {name: (table.categories[name].codes, table.categories[name].names) for name in table.layout.categories}
    return {INSTRUMENT: (table.instrument, table.instruments), **own}
