"""Changed tables: only what should change does, and a run could read them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.data.table import Coded, Table
from hybrid_trainer.leaks.changes import part_of, with_other_rows
from tests.data.tables import FEW_EXAMPLES, Values, price_table, random_prices


def table_of(seed: int, *lengths: int) -> Table:
    generator = np.random.default_rng(seed)
    rows = sum(lengths)
    parts = {name: random_prices(length, seed + code) for code, (name, length) in enumerate(zip("ABC", lengths))}  # noqa: B905
    x = generator.normal(size=rows)
    x[generator.uniform(size=rows) < 0.2] = np.nan
    texts = [None if number == 3 else "pqr"[number] for number in generator.integers(0, 4, rows)]
    return price_table(parts, numbers={"x": x}, labels={"y": Coded.of(texts)}, categories={"site": Coded.of(texts)})


def held(values: Values, instrument: Any, where: Any) -> Any:
    """The rows that lie in a run of equal values with a row that must stay."""
    out = np.zeros(len(values), dtype=bool)
    for row in range(len(values)):
        for step in (-1, 1):
            other = row
            while 0 <= other < len(values) and values[other] == values[row] and instrument[other] == instrument[row]:
                out[row] |= not where[other]
                other += step
    return out


@FEW_EXAMPLES
@given(seed=st.integers(0, 2**31), share=st.floats(0.05, 0.95))
def test_only_the_rows_asked_for_change_and_nothing_comes_or_goes(seed: int, share: float) -> None:
    table = table_of(seed, 40, 25)
    where = np.random.default_rng(seed).uniform(size=65) < share
    other = with_other_rows(table, where, np.random.default_rng(seed))
    for name in table.prices:
        np.testing.assert_array_equal(other.prices[name][~where], table.prices[name][~where])
        changed = other.prices[name] != table.prices[name]
        by = table.prices["volume" if name == "volume" else "close"]
        np.testing.assert_array_equal(changed, where & (table.prices[name] != 0) & ~held(by, table.instrument, where))
    assert (other.prices["low"] <= np.minimum(other.prices["open"], other.prices["close"])).all()
    assert (other.prices["high"] >= np.maximum(other.prices["open"], other.prices["close"])).all()
    np.testing.assert_array_equal(np.isnan(other.numbers["x"]), np.isnan(table.numbers["x"]))
    np.testing.assert_array_equal(other.numbers["x"][~where], table.numbers["x"][~where])
    for ours, theirs in ((table.labels["y"], other.labels["y"]), (table.categories["site"], other.categories["site"])):
        before, after = ours.texts(), theirs.texts()
        assert [text for text, moved in zip(after, where, strict=True) if not moved] == [
            text for text, moved in zip(before, where, strict=True) if not moved
        ]
        assert [text is None for text in after] == [text is None for text in before]
        assert list(theirs.names) == sorted(theirs.names)
    np.testing.assert_array_equal(table.numbers["x"], table_of(seed, 40, 25).numbers["x"])  # it is left alone
    np.testing.assert_array_equal(table.labels["y"].codes, table_of(seed, 40, 25).labels["y"].codes)


def test_a_price_that_did_not_move_does_not_move_then() -> None:
    prices = random_prices(6, 0)
    prices["close"] = np.array([1.0, 2, 2, 2, 3, 3])
    other = with_other_rows(price_table({"A": prices}), np.arange(6) > 1, np.random.default_rng(0)).prices["close"]
    np.testing.assert_array_equal(other[:4], prices["close"][:4])  # row 1 must stay, so rows 2 and 3 do
    assert other[4] == other[5] != 3


def test_a_category_that_the_table_has_not_is_among_the_new_ones() -> None:
    table = table_of(0, 60)
    other = with_other_rows(table, np.arange(60) >= 20, np.random.default_rng(0)).categories["site"]
    assert other.names == ("p", "q", "r", "r~")
    assert "r~" in other.texts()[20:] and "r~" not in other.texts()[:20]


def test_only_an_instrument_that_is_changed_whole_gets_another_name() -> None:
    table = table_of(0, 10, 10, 10)
    other = with_other_rows(table, np.arange(30) >= 15, np.random.default_rng(0))
    assert other.instruments == ("A", "B", "C~")


def test_a_part_is_made_of_whole_instruments() -> None:
    table = table_of(0, 30, 20, 10)
    assert part_of(table, 60, np.random.default_rng(0)) is table
    seen = set()
    for seed in range(20):
        part = part_of(table, 35, np.random.default_rng(seed))
        lengths = tuple(stop - start for start, stop in part.blocks)
        assert len(part) <= 35
        seen.add(tuple(said for pair in zip(part.instruments, lengths, strict=True) for said in pair))
    assert seen == {("A", 30), ("B", 20, "C", 10)}


def test_of_an_instrument_that_is_too_long_the_last_rows_are_taken() -> None:
    part = part_of(table_of(0, 30), 12, np.random.default_rng(0))
    np.testing.assert_array_equal(part.timestamp, np.arange(18, 30))
    np.testing.assert_array_equal(part.line, np.arange(20, 32))
