"""What is wrong with a table, said as file:row:column; every fault found in one pass. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.errors import TableError

_SHOWN = 3


class Problems:
    """The faults of one file, collected; each kind of fault shows its first places and a count."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: list[str] = []
        self._bad: dict[str, NDArray[np.bool_]] = {}

    def add_where(
        self,
        column: str,
        bad: NDArray[np.bool_],
        line: NDArray[np.int64],
        text: str,
        values: NDArray[np.float64] | list[str] | None = None,
    ) -> None:
        """Record that rows where `bad` is true are wrong; `text` says what is, and may hold {value}."""
        where = np.flatnonzero(bad)
        self._bad[column] = self._bad.get(column, False) | bad
        for index in where[:_SHOWN]:
            value = "" if values is None else values[index]
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            self.lines.append(f"{self.file}:{line[index]}: column '{column}': {text.format(value=shown)}")
        if len(where) > _SHOWN:
            self.lines[-1] += f" (and {len(where) - _SHOWN} more such rows)"

    def rows_with_a_fault_in(self, column: str, rows: int) -> NDArray[np.bool_]:
        """(rows,) bool: where something was recorded about a column."""
        return self._bad.get(column, np.zeros(rows, dtype=bool))

    def raise_if_any(self) -> None:
        """Raise one TableError with every fault."""
        if self.lines:
            raise TableError("\n".join(self.lines))


def check_numbers(
    numbers: Mapping[str, NDArray[np.float64]],
    line: NDArray[np.int64],
    problems: Problems,
    may_be_missing: tuple[str, ...],
) -> None:
    """Infinity is wrong anywhere; a missing value is wrong where it isn't allowed."""
    for name, values in numbers.items():
        problems.add_where(name, np.isinf(values), line, "{value} is not a finite number", values)
        if name not in may_be_missing:
            problems.add_where(
                name,
                np.isnan(values),
                line,
                "a value is missing; fill it, or train with data.missing=gap so that no window crosses the row",
            )


def check_whole(
    numbers: Mapping[str, NDArray[np.float64]], columns: tuple[str, ...], line: NDArray[np.int64], problems: Problems
) -> None:
    """A context column in which a missing value is wrong (data.context_missing=error)."""
    text = "a value is missing; fill it, or train with data.context_missing=fallback: a learned vector stands in"
    for name in columns:
        problems.add_where(name, np.isnan(numbers[name]), line, text)


def check_prices(
    columns: Mapping[str, NDArray[np.float64]], names: Mapping[str, str], line: NDArray[np.int64], problems: Problems
) -> None:
    """Prices are positive, volume isn't negative, the low isn't above the high."""
    for name, column in names.items():
        values = columns[column]
        if name == "volume":
            problems.add_where(column, values < 0, line, "{value} is negative; a volume is 0 or more", values)
        else:
            problems.add_where(column, values <= 0, line, "{value} is not positive; a price is above 0", values)
    if "high" in names and "low" in names:
        low, high = columns[names["low"]], columns[names["high"]]
        problems.add_where(names["high"], high < low, line, "the high {value} is below the low", high)


def check_keys(
    timestamp: NDArray[np.int64],
    instrument: NDArray[np.int64],
    instruments: tuple[str, ...],
    line: NDArray[np.int64],
    problems: Problems,
    *,
    column: str = "timestamp",
    readable: NDArray[np.bool_] | None = None,
) -> None:
    """One row per instrument and time.

    Args:
        instruments: the names behind the (N,) numbers; none where the table has one instrument without a name.
        column: what the file calls the time. readable: rows whose key could be read; the others are told elsewhere.
    """
    order = np.lexsort((line, timestamp, instrument))
    if readable is not None:
        order = order[readable[order]]
    same = (np.diff(timestamp[order]) == 0) & (np.diff(instrument[order]) == 0)
    again = np.zeros(len(timestamp), dtype=bool)
    again[order[1:][same]] = True
    first = dict(zip(order[1:][same].tolist(), line[order[:-1][same]].tolist(), strict=True))
    texts = [""] * len(timestamp)
    for row, earlier in first.items():
        whose = f"instrument '{instruments[instrument[row]]}' has this time" if instruments else "this time stands"
        texts[row] = f"{whose} already in row {earlier}"
    each = "one row per instrument and time" if instruments else "one row per time"
    problems.add_where(column, again, line, f"{{value}}; keep {each}", texts)
