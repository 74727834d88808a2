"""Tables that differ from the user's in some rows only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.data.table import Coded, Table

_LARGEST_FACTOR = 2.0
_NEW = "~"  # behind the last category: a category that the table has not

Flags = NDArray[np.bool_]
Values = NDArray[np.float64]


def with_other_rows(table: Table, where: Flags, generator: np.random.Generator, *, rename: bool = True) -> Table:
    """The same rows and times, but other prices, numbers, labels and categories where `where` (N,) is true.

    What is missing stays missing, a bar stays a bar, and what is equal to the row beside it stays so (unchanged, where
    that row must stay): no label or feature comes or goes for want of a move, so that the same rows can be decided. An
    instrument all of whose rows are changed gets another name, unless `rename` is false.
    """
    untouched = np.unique(table.instrument[~where])
    names = [
        name if code in untouched or not rename else f"{name}{_NEW}" for code, name in enumerate(table.instruments)
    ]
    prices = {}
    if table.prices:
        factor = _factors(table.prices["close"], table.instrument, where, generator)
        prices = {name: values * factor for name, values in table.prices.items() if name != "volume"}
    if "volume" in table.prices:
        volume = table.prices["volume"]
        prices["volume"] = volume * _factors(volume, table.instrument, where, generator)
    return replace(
        table,
        key="",
        instruments=tuple(names),
        prices={name: prices[name] for name in table.prices},
        numbers={
            name: values * _factors(values, table.instrument, where, generator)
            for name, values in table.numbers.items()
        },
        labels={name: _drawn(column, where, generator) for name, column in table.labels.items()},
        categories={
            # What says which part a row belongs to is no input: with other parts, other rows would train.
            name: column if name == table.layout.split else _drawn(_with_new(column), where, generator)
            for name, column in table.categories.items()
        },
    )


def _factors(values: Values, instrument: NDArray[np.int64], where: Flags, generator: np.random.Generator) -> Values:
    """(N,): a random factor for each run of equal values; 1 for a run with a row that must stay."""
    begins = np.ones(len(values), dtype=bool)
    begins[1:] = (values[1:] != values[:-1]) | (instrument[1:] != instrument[:-1])
    run = np.cumsum(begins) - 1
    factors = generator.uniform(1 / _LARGEST_FACTOR, _LARGEST_FACTOR, int(begins.sum()))
    factors[run[~where]] = 1.0
    each: Values = factors[run]
    return each


def _drawn(column: Coded, where: Flags, generator: np.random.Generator) -> Coded:
    """Another category, drawn, in every row of `where` that has one."""
    rows = np.flatnonzero(where & (column.codes >= 0))
    codes = np.array(column.codes)
    codes[rows] = generator.integers(0, max(len(column.names), 1), len(rows))
    return Coded(codes, column.names)


def _with_new(column: Coded) -> Coded:
    """The same column with one more category to draw from, which comes last in the alphabet."""
    return Coded(column.codes, (*column.names, f"{max(column.names, default='')}{_NEW}"))


def part_of(table: Table, most: int, generator: np.random.Generator) -> Table:
    """At most `most` rows of a table: whole instruments, drawn at random, the first of them cut off at its start."""
    if len(table) <= most:
        return table
    chosen: list[tuple[int, int]] = []
    room = most
    blocks = table.instrument_blocks
    for index in generator.permutation(len(blocks)).tolist():
        start, stop = blocks[index]
        if chosen and stop - start > room:
            continue
        chosen.append((max(start, stop - room), stop))
        room -= chosen[-1][1] - chosen[-1][0]
    part = table.take(np.concatenate([np.arange(start, stop) for start, stop in sorted(chosen)]))
    present, instrument = np.unique(part.instrument, return_inverse=True)
    return replace(part, instrument=instrument, instruments=tuple(table.instruments[code] for code in present))
