"""Means over all instruments at one time, against polars; and that no row tells of a later one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from hybrid_trainer.data.features import Values
from hybrid_trainer.data.panel import Panel, build_panel
from hybrid_trainer.data.table import Table
from tests.data.tables import price_table, random_prices

HOUR = 3600 * 10**9
RETURN = "col('close').log().diff()"


def market_table() -> Table:
    """A from hour 0, B from hour 10, C from hour 3 without the hours 20 to 29 (a gap)."""
    parts = {name: random_prices(rows, seed) for seed, (name, rows) in enumerate({"A": 60, "B": 50, "C": 47}.items())}
    hours = [np.arange(60), np.arange(10, 60), np.setdiff1d(np.arange(3, 60), np.arange(20, 30))]
    return price_table(parts, timestamp=np.concatenate(hours) * HOUR, breaks=np.array([110 + 17]))


def computed(table: Table, **expressions: str) -> Panel:
    return build_panel(table, feature_set="none", features=[], context={}, expressions=expressions)


def frame_of(table: Table) -> pl.DataFrame:
    block = np.zeros(len(table))
    for number, (start, stop) in enumerate(table.blocks):
        block[start:stop] = number
    return pl.DataFrame(table.prices | {"time": table.timestamp, "block": block})


def test_it_is_the_mean_of_those_that_have_a_number_at_that_time() -> None:
    table = market_table()
    frame = frame_of(table).with_columns(r=pl.col("close").log().diff().over("block"))
    frame = frame.with_columns(plain=pl.col("r").mean().over("time"), square=(pl.col("r") ** 2).mean().over("time"))
    frame = frame.with_columns(
        rolled=pl.col("square").rolling_mean(4).over("block").log(), beyond=pl.col("r") - pl.col("plain")
    )
    frame = frame.with_columns(scattered=(pl.col("beyond") ** 2).mean().over("time").sqrt())
    panel = computed(
        table,
        plain=f"{RETURN}.market_mean()",
        rolled=f"({RETURN} ** 2).market_mean().rolling_mean(4).log()",
        beyond=f"{RETURN} - {RETURN}.market_mean()",
        scattered=f"(({RETURN} - {RETURN}.market_mean()) ** 2).market_mean().sqrt()",
    )
    for index, name in enumerate(panel.feature_names):
        wanted = frame[name].fill_null(np.nan).to_numpy().copy()
        for start, _ in table.blocks:
            wanted[start : start + (4 if name == "rolled" else 1)] = np.nan  # its own lookback must be full as well
        np.testing.assert_allclose(panel.features[:, index], wanted, rtol=2e-6, atol=1e-7, err_msg=name)


def changed(table: Table, later: NDArray[np.bool_]) -> Table:
    prices: dict[str, Values] = {name: np.where(later, 1.5 * values, values) for name, values in table.prices.items()}
    return replace(table, prices=prices)


@pytest.mark.parametrize("hour", [15, 31, 59])
def test_other_and_fewer_rows_later_on_leave_the_same_bits(hour: int) -> None:
    table = market_table()
    text = f"({RETURN} ** 2).market_mean().rolling_mean(4)"
    whole = computed(table, f=text).features
    upto = table.timestamp <= hour * HOUR
    assert np.isfinite(whole[upto]).any()
    cut = computed(table.take(np.flatnonzero(upto)), f=text).features
    np.testing.assert_array_equal(cut, whole[upto])
    np.testing.assert_array_equal(computed(changed(table, ~upto), f=text).features[upto], whole[upto])


def test_another_instrument_at_the_same_time_does_count() -> None:
    table = market_table()
    other = changed(table, (table.instrument == 1) & (table.timestamp == 40 * HOUR))
    text = f"{RETURN}.market_mean()"
    differs = (computed(table, f=text).features != computed(other, f=text).features)[:, 0]
    whole = np.isfinite(computed(table, f=text).features[:, 0])
    assert sorted(set(table.timestamp[differs & whole].tolist())) == [40 * HOUR, 41 * HOUR]
    assert (differs & whole).sum() == 6
