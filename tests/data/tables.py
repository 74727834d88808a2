"""Small tables for the tests of this package, made without a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from hybrid_trainer.data.checks import Problems
from hybrid_trainer.data.features import Bars
from hybrid_trainer.data.layout import Layout
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.timestamps import Clock

Values = NDArray[np.float64]

# A busy machine is no failure.
FEW_EXAMPLES = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SOME_EXAMPLES = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])

PRICES = ("open", "high", "low", "close", "volume")


def random_prices(rows: int, seed: int) -> dict[str, Values]:
    """Random bars in which high and low enclose open and close."""
    generator = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(generator.normal(0, 0.03, rows)))
    open_ = close * np.exp(generator.normal(0, 0.02, rows))
    spread = np.exp(generator.uniform(0, 0.02, (2, rows)))
    return {
        "open": open_,
        "high": np.maximum(open_, close) * spread[0],
        "low": np.minimum(open_, close) / spread[1],
        "close": close,
        "volume": generator.integers(0, 10_000, rows).astype(float),
    }


def bars_of(prices: dict[str, Values]) -> Bars:
    return Bars.of(prices, 0, len(prices["close"]))


def price_table(parts: Mapping[str, dict[str, Values]], **fields: Any) -> Table:
    """A table of the instruments' bars, in alphabetical order, one bar per time unit."""
    names = sorted(parts)
    lengths = [len(parts[name]["close"]) for name in names]
    columns = parts[names[0]]
    total = sum(lengths)
    given: dict[str, Any] = {
        "file": "t.csv",
        "sha256": "",
        "layout": Layout(timestamp="timestamp", instrument="instrument", prices={name: name for name in columns}),
        "timestamp": np.concatenate([np.arange(length) for length in lengths]).astype(np.int64),
        "instrument": np.repeat(np.arange(len(names)), lengths).astype(np.int64),
        "instruments": tuple(names),
        "line": np.arange(2, 2 + total, dtype=np.int64),
        "prices": {name: np.concatenate([parts[part][name] for part in names]) for name in columns},
        "numbers": {},
        "labels": {},
    }
    return Table(**(given | fields))


def closes_table(*closes: list[float], **fields: Any) -> Table:
    """Instruments A, B, ... with these closes; open is the close, the bar reaches 1 up and 1 down."""
    parts = {}
    for name, values in zip("ABCDEF", closes, strict=False):
        close = np.array(values, dtype=float)
        parts[name] = {"open": close, "high": close + 1, "low": close - 1, "close": close}
    return price_table(parts, **fields)


def parse_timestamps(column: pl.Series, line: NDArray[np.int64], problems: Problems) -> NDArray[np.int64]:
    """Read a whole column of times as one block."""
    clock = Clock()
    values = clock.read(column, line, problems)
    wrong = clock.finish(values)
    if wrong:
        problems.add(f"{problems.file}: column '{column.name}': {wrong}")
    return values
