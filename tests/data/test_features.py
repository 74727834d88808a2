"""Causal indicators: hand-computed values, and the proof that none looks ahead or further back than it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hybrid_trainer.data.features import (
    CORE,
    average_true_range,
    compute_core,
    lagged,
    log_return,
    rolling_sum,
    root_mean_square_return,
    true_range,
)
from tests.data.tables import FEW_EXAMPLES, PRICES, bars_of, random_prices

SEEDS = st.integers(0, 2**32 - 1)


def compute(name: str, prices: dict[str, np.ndarray]) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return CORE[name].compute(bars_of(prices))


def bits(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.float64).view(np.int64)


def test_the_names_their_order_and_their_lookbacks_are_a_contract_with_saved_models() -> None:
    assert {name: entry.lookback for name, entry in CORE.items()} == {
        "return_1": 2,
        "return_5": 6,
        "return_20": 21,
        "overnight_return": 2,
        "intraday_return": 1,
        "range": 1,
        "close_in_range": 1,
        "log_volatility_5": 6,
        "log_volatility_20": 21,
        "log_volatility_60": 61,
        "log_range_10": 10,
        "distance_20": 20,
        "relative_volume_1": 20,
        "relative_volume_5": 60,
    }
    names = compute_core(random_prices(80, 0), [(0, 80)])[1]
    assert names == tuple(CORE)
    assert [name for name, entry in CORE.items() if entry.needs_volume] == ["relative_volume_1", "relative_volume_5"]


@pytest.mark.parametrize("name", CORE)
@FEW_EXAMPLES
@given(seed=SEEDS, after=st.integers(0, 40), before=st.integers(0, 40))
def test_a_value_depends_on_its_own_lookback_alone_bit_for_bit(name: str, seed: int, after: int, before: int) -> None:
    lookback = CORE[name].lookback
    t = before + lookback - 1
    prices = random_prices(t + 1 + after, seed)
    value = bits(compute(name, prices)[t])
    assert np.isfinite(compute(name, prices)[t])

    cut_off = {column: values[: t + 1] for column, values in prices.items()}
    assert bits(compute(name, cut_off)[-1]) == value

    lookback_alone = {column: values[t - lookback + 1 : t + 1] for column, values in prices.items()}
    assert bits(compute(name, lookback_alone)[-1]) == value

    other = random_prices(t + 1 + after, seed + 1)
    outside = np.ones(t + 1 + after, dtype=bool)
    outside[t - lookback + 1 : t + 1] = False
    changed = {column: np.where(outside, other[column], values) for column, values in prices.items()}
    assert bits(compute(name, changed)[t]) == value


@pytest.mark.parametrize("name", CORE)
def test_the_oldest_row_of_a_lookback_and_the_decision_row_count(name: str) -> None:
    lookback = CORE[name].lookback
    prices = random_prices(lookback + 5, seed=3)
    t = lookback + 2
    value = compute(name, prices)[t]
    for row in (t - lookback + 1, t):
        changed = {column: values.copy() for column, values in prices.items()}
        for factor, column in zip((1.01, 1.05, 0.95, 1.02, 3.0), PRICES, strict=True):
            changed[column][row] *= factor
        assert compute(name, changed)[t] != value


@FEW_EXAMPLES
@given(seed=SEEDS, lengths=st.lists(st.integers(61, 90), min_size=1, max_size=3))
def test_exactly_the_warm_up_rows_of_each_instrument_are_nan(seed: int, lengths: list[int]) -> None:
    stops = np.cumsum(lengths).tolist()
    starts = [0, *stops[:-1]]
    matrix, names = compute_core(random_prices(stops[-1], seed), list(zip(starts, stops, strict=True)))
    for column, name in enumerate(names):
        expected = np.zeros(stops[-1], dtype=bool)
        for start in starts:
            expected[start : start + CORE[name].lookback - 1] = True
        np.testing.assert_array_equal(np.isnan(matrix[:, column]), expected, err_msg=name)


def test_an_instrument_is_computed_from_its_own_bars_alone() -> None:
    first, second = random_prices(70, 1), random_prices(90, 2)
    together = {column: np.concatenate([first[column], second[column]]) for column in PRICES}
    matrix, _ = compute_core(together, [(0, 70), (70, 160)])
    np.testing.assert_array_equal(bits(matrix[:70]), bits(compute_core(first, [(0, 70)])[0]))
    np.testing.assert_array_equal(bits(matrix[70:]), bits(compute_core(second, [(0, 90)])[0]))


@FEW_EXAMPLES
@given(seed=SEEDS, factor=st.sampled_from([7.0, 1 / 7, 1000.0]))
def test_no_feature_depends_on_the_level_of_prices(seed: int, factor: float) -> None:
    prices = random_prices(90, seed)
    scaled = {column: values if column == "volume" else values * factor for column, values in prices.items()}
    before, _ = compute_core(prices, [(0, 90)])
    after, _ = compute_core(scaled, [(0, 90)])
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-9)


def test_without_volumes_the_features_of_volume_are_left_out() -> None:
    prices = random_prices(80, 0)
    with_volume, names = compute_core(prices, [(0, 80)])
    del prices["volume"]
    without, fewer = compute_core(prices, [(0, 80)])
    assert fewer == names[:12]
    np.testing.assert_array_equal(without, with_volume[:, :12])


def test_a_missing_price_leaves_a_gap_exactly_where_it_is_read() -> None:
    prices = random_prices(120, 0)
    prices["close"][70] = np.nan
    matrix, names = compute_core(prices, [(0, 120)])
    missing = {name: np.flatnonzero(np.isnan(matrix[:, i])).tolist() for i, name in enumerate(names)}
    assert missing["return_1"] == [0, 70, 71]
    assert missing["return_5"] == [*range(5), 70, 75]
    assert missing["overnight_return"] == [0, 71]
    assert missing["close_in_range"] == [70]
    assert missing["range"] == []
    assert missing["distance_20"] == [*range(19), *range(70, 90)]
    assert missing["log_volatility_5"] == [*range(5), *range(70, 76)]
    assert missing["relative_volume_1"] == list(range(19))


def test_an_instrument_that_is_shorter_than_a_lookback_has_no_value_there() -> None:
    for count in range(1, 61):
        matrix, names = compute_core(random_prices(count, 0), [(0, count)])
        for column, name in enumerate(names):
            assert np.isnan(matrix[:, column]).sum() == min(count, CORE[name].lookback - 1)


# Hand-computed values. ln 1.1 = 0.0953101798..., ln 1.2 = 0.1823215567..., ln 2 = 0.6931471805...

LN_1_1, LN_1_2, LN_2 = 0.09531017980432493, 0.1823215567939546, 0.6931471805599453


def bar(**columns: list[float]) -> dict[str, np.ndarray]:
    return {name: np.array(values, dtype=float) for name, values in columns.items()}


def steady(rows: int, **last: float) -> dict[str, np.ndarray]:
    """Bars in which nothing happens, 99 to 101 around 100, with the last row changed."""
    prices = bar(open=[100] * rows, high=[101] * rows, low=[99] * rows, close=[100] * rows, volume=[999] * rows)
    for name, value in last.items():
        prices[name][-1] = value
    return prices


def test_returns_are_logs_of_ratios_of_closes() -> None:
    assert compute("return_1", steady(2, close=110))[1] == pytest.approx(LN_1_1, rel=1e-14)
    assert compute("return_5", steady(6, close=120))[5] == pytest.approx(LN_1_2, rel=1e-14)
    assert compute("return_20", steady(21, close=50))[20] == pytest.approx(-LN_2, rel=1e-14)


def test_a_day_is_divided_at_its_open() -> None:
    prices = steady(2, open=110, close=132)
    assert compute("overnight_return", prices)[1] == pytest.approx(LN_1_1, rel=1e-13)
    assert compute("intraday_return", prices)[1] == pytest.approx(LN_1_2, rel=1e-13)


def test_a_range_is_the_log_of_high_by_low() -> None:
    assert compute("range", steady(1, high=120, low=60))[0] == pytest.approx(LN_2, rel=1e-14)


@pytest.mark.parametrize(
    ("close", "high", "low", "place"),
    [(12, 12, 10, 1), (10, 12, 10, -1), (11, 12, 10, 0), (11.5, 12, 10, 0.5), (9, 9, 9, 0)],
)
def test_the_close_stands_between_low_and_high(close: float, high: float, low: float, place: float) -> None:
    assert compute("close_in_range", steady(1, close=close, high=high, low=low))[0] == pytest.approx(place, abs=1e-14)


@pytest.mark.parametrize("window", [5, 20, 60])
def test_volatility_is_the_log_of_the_root_mean_square_return(window: int) -> None:
    one_move = steady(window + 1, close=110)
    expected = np.log(LN_1_1 / np.sqrt(window) + 1e-6)
    assert compute(f"log_volatility_{window}", one_move)[-1] == pytest.approx(expected, rel=1e-12)
    assert compute(f"log_volatility_{window}", steady(window + 1))[-1] == pytest.approx(np.log(1e-6))


def test_parkinsons_volatility_of_a_constant_range() -> None:
    prices = steady(10)
    prices["high"], prices["low"] = np.full(10, 120.0), np.full(10, 60.0)
    # sigma = ln(high / low) / sqrt(4 ln 2) = sqrt(ln 2) / 2
    assert compute("log_range_10", prices)[-1] == pytest.approx(np.log(np.sqrt(LN_2) / 2 + 1e-6), rel=1e-12)


def test_the_distance_is_a_z_score_of_the_log_close() -> None:
    prices = random_prices(40, 5)
    expected = stats.zscore(np.log(prices["close"][15:35]))[-1]
    assert compute("distance_20", prices)[34] == pytest.approx(expected, rel=1e-10)
    assert compute("distance_20", steady(20))[-1] == 0


def test_relative_volumes_are_logs_of_ratios_of_means() -> None:
    # 19 volumes of 999 and one of 20 999: the mean is 1 999, and (20 999 + 1) / (1 999 + 1) = 10.5
    assert compute("relative_volume_1", steady(20, volume=20_999))[-1] == pytest.approx(np.log(10.5), rel=1e-12)
    # the mean of five is 1 999, that of sixty 1 082.33...
    assert compute("relative_volume_5", steady(60, volume=5_999))[-1] == pytest.approx(
        np.log(2000 / (65_000 / 60)), rel=1e-12
    )
    assert compute("relative_volume_1", steady(20, volume=0))[-1] == pytest.approx(np.log(1 / 950.05), rel=1e-3)


def test_the_true_range_counts_a_gap_since_the_previous_close() -> None:
    prices = bar(open=[9, 14, 6], high=[12, 15, 7], low=[8, 13, 5], close=[10, 14, 6])
    # 15 - 10 = 5 beats 15 - 13; |5 - 14| = 9 beats 7 - 5
    np.testing.assert_array_equal(true_range(bars_of(prices)), [np.nan, 5, 9])
    np.testing.assert_array_equal(average_true_range(bars_of(prices), 2), [np.nan, np.nan, 7])


def test_lags_sums_and_deviations_by_hand() -> None:
    x = np.array([1.0, 2.0, 4.0, 8.0])
    np.testing.assert_array_equal(lagged(x, 0), x)
    np.testing.assert_array_equal(lagged(x, 3), [np.nan, np.nan, np.nan, 1])
    np.testing.assert_array_equal(rolling_sum(x, 1), x)
    np.testing.assert_array_equal(rolling_sum(x, 3), [np.nan, np.nan, 7, 14])
    np.testing.assert_allclose(log_return(x, 2), [np.nan, np.nan, 2 * LN_2, 2 * LN_2], rtol=1e-14)
    np.testing.assert_allclose(root_mean_square_return(x, 2), [np.nan, np.nan, LN_2, LN_2], rtol=1e-14)


def test_no_input_is_changed() -> None:
    prices = random_prices(80, 0)
    before = {column: values.copy() for column, values in prices.items()}
    compute_core(prices, [(0, 80)])
    for column, values in prices.items():
        np.testing.assert_array_equal(values, before[column])
