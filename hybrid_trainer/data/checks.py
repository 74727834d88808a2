"""What is wrong with a table, said as file:row:column; every fault found in one pass. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.errors import TableError

_SHOWN = 3


@dataclass
class _Fault:
    """One kind of fault: how many rows have it, and the first of them in words."""

    kind: str
    column: str | None
    rows: int = 0
    shown: list[str] = field(default_factory=list)
    mendable: bool = True


class Problems:
    """The faults of a table, collected block by block; each kind of fault shows its first places and a count.

    `file` is the file that is being read: the name in front of each place.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self._whole: list[str] = []
        self._faults: dict[tuple[str | None, str], _Fault] = {}
        self._bad: dict[str | None, NDArray[np.bool_]] = {}

    def begin_block(self, file: str) -> None:
        """From here on, the rows of another block are judged."""
        self.file = file
        self._bad = {}

    def take_over(self, others: Problems) -> None:
        """Record what was found elsewhere in the same block, behind what was found here."""
        self._whole += others._whole
        for key, found in others._faults.items():
            fault = self._faults.setdefault(key, _Fault(found.kind, found.column))
            fault.rows += found.rows
            fault.shown += found.shown[: _SHOWN - len(fault.shown)]
            fault.mendable = found.mendable
        for column, bad in others._bad.items():
            self._bad[column] = self._bad.get(column, False) | bad

    def add(self, text: str, *, first: bool = False) -> None:
        """Record a fault of a whole file; dropping rows doesn't mend it."""
        self._whole.insert(0 if first else len(self._whole), text)

    def add_where(
        self,
        column: str | None,
        bad: NDArray[np.bool_],
        line: NDArray[np.int64],
        text: str,
        values: NDArray[np.float64] | NDArray[np.int64] | Sequence[str | None] | None = None,
        *,
        mendable: bool = True,
    ) -> None:
        """Record that rows where `bad` is true are wrong; `text` says what is, and may hold {value}.

        Args:
            column: none where the whole row is wrong. mendable: whether dropping these rows mends the table.
        """
        where = np.flatnonzero(bad)
        if not len(where):
            return
        self._bad[column] = self._bad.get(column, False) | bad
        lines = line[where[:_SHOWN]].tolist()
        shown = [None] * len(lines) if values is None else [values[index] for index in where[:_SHOWN]]
        self.count(column, len(where), lines, text, shown)
        self._faults[column, text].mendable = mendable

    def count(self, column: str | None, rows: int, line: list[int], text: str, values: Sequence[Any]) -> None:
        """Record that `rows` rows are wrong, the first ones of them in these lines and with these values."""
        fault = self._faults.setdefault((column, text), _Fault(text, column))
        fault.rows += rows
        for number, value in list(zip(line, values, strict=True))[: _SHOWN - len(fault.shown)]:
            said = text.format(value=f"{value:g}" if isinstance(value, float) else str(value))
            where = f"{self.file}:{number}: "
            fault.shown.append(f"{where}{said}" if column is None else f"{where}column '{column}': {said}")

    def rows_with_a_fault_in(self, column: str | None, rows: int) -> NDArray[np.bool_]:
        """(rows,) bool: where something was recorded about a column of this block."""
        return self._bad.get(column, np.zeros(rows, dtype=bool))

    def bad_rows(self, rows: int) -> NDArray[np.bool_]:
        """(rows,) bool: where something was recorded about any column of this block."""
        bad = np.zeros(rows, dtype=bool)
        for mask in self._bad.values():
            bad |= mask
        return bad

    def broken_rows(self) -> int:
        """How many rows are wrong as a whole: they could not be taken apart into columns."""
        return sum(fault.rows for (column, _), fault in self._faults.items() if column is None)

    def is_told(self, column: str, besides: str) -> bool:
        """Whether a column has a fault of another kind than `besides`."""
        return any(name == column and text != besides for name, text in self._faults)

    def forgive(self, column: str, text: str) -> None:
        """Take one kind of fault back: something said elsewhere covers it."""
        self._faults.pop((column, text), None)

    @property
    def whole_file(self) -> bool:
        """Whether anything is wrong that dropping rows doesn't mend."""
        return bool(self._whole) or not all(fault.mendable for fault in self._faults.values())

    @property
    def lines(self) -> list[str]:
        """Every fault in words: those of whole files, then those of rows, in the order in which they were found."""
        said = list(self._whole)
        for fault in self._faults.values():
            more = fault.rows - len(fault.shown)
            said += [*fault.shown[:-1], fault.shown[-1] + (f" (and {more} more such rows)" if more else "")]
        return said

    def as_report(self) -> list[dict[str, Any]]:
        """What is wrong with rows, for `data_report.json`: kind, column, number of rows, first places."""
        return [
            {"fault": fault.kind, "column": fault.column, "rows": fault.rows, "first": fault.shown}
            for fault in self._faults.values()
        ]

    def raise_if_any(self) -> None:
        """Raise one TableError with every fault."""
        if self._whole or self._faults:
            raise TableError("\n".join(self.lines))


class Spreads:
    """Smallest and largest value of each column, over all blocks: which columns say nothing."""

    def __init__(self) -> None:
        self._spreads: dict[str, tuple[float, float]] = {}

    def see(self, numbers: Mapping[str, NDArray[np.float64]], ends: Ends) -> None:
        """Take a block of columns and their `ends_of` into account; NaN is no value."""
        for name, values in numbers.items():
            low, high = ends[name]
            if np.isnan(low) or np.isnan(high):
                low = float(np.fmin.reduce(values, initial=np.inf))
                high = float(np.fmax.reduce(values, initial=-np.inf))
            before = self._spreads.get(name, (np.inf, -np.inf))
            self._spreads[name] = min(before[0], low), max(before[1], high)

    def tell_empty(self, file: str, problems: Problems, but: set[str]) -> None:
        """A column without any value is a fault of the table, and one line says so instead of one for each row."""
        for name, (low, high) in self._spreads.items():
            if low > high and name not in but and not problems.is_told(name, besides=MISSING):
                problems.add(f"{file}: column '{name}' holds no value in any row; leave it out, or fill it")
                problems.forgive(name, MISSING)

    def notes_on_constants(self, file: str, names: list[str]) -> list[str]:
        """Say which of some columns hold one value in every row."""
        return [
            f"{file}: column '{name}' holds {low:g} in every row; a constant tells a model nothing"
            for name, (low, high) in self._spreads.items()
            if name in names and low == high
        ]


MISSING = "a value is missing; fill it, or train with data.missing=gap so that no window crosses the row"


Ends = Mapping[str, tuple[float, float]]


def ends_of(numbers: Mapping[str, NDArray[np.float64]]) -> Ends:
    """Smallest and largest value of each column; NaN where one is missing. What they rule out needs no closer look."""
    return {
        name: (float(values.min()), float(values.max())) if len(values) else (np.inf, -np.inf)
        for name, values in numbers.items()
    }


def check_numbers(
    numbers: Mapping[str, NDArray[np.float64]],
    ends: Ends,
    line: NDArray[np.int64],
    problems: Problems,
    may_be_missing: tuple[str, ...],
) -> None:
    """Infinity is wrong anywhere; a missing value is wrong where it isn't allowed."""
    for name, values in numbers.items():
        if np.isfinite(ends[name]).all():
            continue
        problems.add_where(name, np.isinf(values), line, "{value} is not a finite number", values)
        if name not in may_be_missing:
            bad = np.isnan(values) & ~problems.rows_with_a_fault_in(name, len(values))
            problems.add_where(name, bad, line, MISSING)


def check_whole(
    numbers: Mapping[str, NDArray[np.float64]], columns: tuple[str, ...], line: NDArray[np.int64], problems: Problems
) -> None:
    """A context column in which a missing value is wrong (data.context_missing=error)."""
    text = "a value is missing; fill it, or train with data.context_missing=fallback: a learned vector stands in"
    for name in columns:
        problems.add_where(name, np.isnan(numbers[name]), line, text)


def check_prices(
    columns: Mapping[str, NDArray[np.float64]],
    ends: Ends,
    names: Mapping[str, str],
    line: NDArray[np.int64],
    problems: Problems,
) -> None:
    """Prices are positive, volume isn't negative, the low isn't above the high; infinity is told by `check_numbers`."""
    for name, column in names.items():
        values = columns[column]
        lowest = ends[column][0]
        if name == "volume" and not lowest >= 0:
            bad = (values < 0) & (values > -np.inf)
            problems.add_where(column, bad, line, "{value} is negative; a volume is 0 or more", values)
        elif name != "volume" and not lowest > 0:
            bad = (values <= 0) & (values > -np.inf)
            problems.add_where(column, bad, line, "{value} is not positive; a price is above 0", values)
    if "high" in names and "low" in names:
        low, high = columns[names["low"]], columns[names["high"]]
        bad = high < low
        if bad.any():
            bad &= (high > -np.inf) & (low < np.inf)
            problems.add_where(names["high"], bad, line, "the high {value} is below the low", high)


def duplicate_text(timestamp_column: str, instrument: str | None) -> tuple[str, str]:
    """Column and text of the fault 'two rows have one key'; {value} says which row was first."""
    each = "one row per instrument and time" if instrument else "one row per time"
    return timestamp_column, f"{{value}}; keep {each}"
