"""Causal indicators: hand-computed values, and the proof that none looks ahead or further back than it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hybrid_trainer.data.features import (
    CORE,
    FEATURES,
    TECHNICAL,
    Bars,
    Feature,
    TooLargeError,
    Values,
    average_true_range,
    compute_features,
    feature,
    lagged,
    log_return,
    rolling_sum,
    root_mean_square_return,
    select_features,
    true_range,
)
from hybrid_trainer.errors import ConfigError
from tests.data.tables import FEW_EXAMPLES, PRICES, bars_of, random_prices

SEEDS = st.integers(0, 2**32 - 1)


def compute(name: str, prices: dict[str, np.ndarray]) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return CORE[name].compute(bars_of(prices))


def matrix_of(
    prices: dict[str, np.ndarray], blocks: list[tuple[int, int]], feature_set: str = "core", **how: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The features of a set and their names."""
    selected = select_features(feature_set, [], {}, without_volume="volume" not in prices)
    out = np.full((len(prices["close"]), len(selected)), 7, dtype=np.float32)
    compute_features(prices, blocks, selected, out, **how)
    return out, tuple(entry.name for entry in selected)


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
    assert matrix_of(random_prices(80, 0), [(0, 80)])[1] == tuple(CORE)
    assert [name for name, entry in CORE.items() if entry.needs_volume] == ["relative_volume_1", "relative_volume_5"]
    assert {name: entry.lookback for name, entry in TECHNICAL.items()} == {
        "sma_20": 20,
        "sma_50": 50,
        "ema_12": 42,
        "ema_26": 90,
        "rsi_14": 95,
        "macd_line": 90,
        "macd_signal": 120,
        "macd_histogram": 120,
        "bollinger_upper": 20,
        "bollinger_middle": 20,
        "bollinger_lower": 20,
        "atr_14": 95,
        "stochastic_k": 16,
        "stochastic_d": 18,
        "adx_14": 188,
        "cci_20": 20,
        "momentum_10": 11,
        "roc_10": 11,
        "williams_r_14": 14,
        "trix_15": 155,
        "ultimate_oscillator": 29,
        "dpo_20": 20,
        "obv_20": 21,
        "vwma_20": 20,
        "cmf_20": 20,
        "mfi_14": 15,
        "parabolic_sar": 120,
        "ichimoku_conversion": 9,
        "ichimoku_base": 26,
        "ichimoku_span_a": 26,
        "ichimoku_span_b": 52,
        "kama_10": 130,
        "vwap_20": 20,
        "stochastic_rsi_14": 108,
        "cmo_14": 15,
        "ppo_12_26": 90,
        "fisher_10": 36,
    }
    assert matrix_of(random_prices(80, 0), [(0, 80)], "technical")[1] == tuple(TECHNICAL)
    assert [name for name, entry in TECHNICAL.items() if entry.needs_volume] == [
        "obv_20",
        "vwma_20",
        "cmf_20",
        "mfi_14",
        "vwap_20",
    ]


@pytest.mark.parametrize("feature_set", ["core", "technical"])
@FEW_EXAMPLES
@given(seed=SEEDS, lengths=st.lists(st.integers(1, 240), min_size=1, max_size=4))
def test_exactly_the_warm_up_rows_of_each_instrument_are_nan(feature_set: str, seed: int, lengths: list[int]) -> None:
    blocks = blocks_of(lengths)
    rows = blocks[-1][1]
    matrix, names = matrix_of(random_prices(rows, seed), blocks, feature_set)
    for column, name in enumerate(names):
        expected = np.zeros(rows, dtype=bool)
        for start, stop in blocks:
            expected[start : min(start + FEATURES.get(name, "").lookback - 1, stop)] = True
        np.testing.assert_array_equal(np.isnan(matrix[:, column]), expected, err_msg=name)


def blocks_of(lengths: list[int]) -> list[tuple[int, int]]:
    stops = np.cumsum(lengths).tolist()
    return list(zip([0, *stops[:-1]], stops, strict=True))


@pytest.mark.parametrize("feature_set", ["core", "technical"])
@FEW_EXAMPLES
@given(
    seed=SEEDS,
    lengths=st.lists(st.integers(1, 900), min_size=1, max_size=4),
    block_rows=st.integers(1, 3000),
    threads=st.integers(1, 3),
)
def test_neither_blocks_nor_threads_change_a_bit(
    feature_set: str, seed: int, lengths: list[int], block_rows: int, threads: int
) -> None:
    blocks = blocks_of(lengths)
    prices = random_prices(blocks[-1][1], seed)
    matrix, _ = matrix_of(prices, blocks, feature_set, block_rows=block_rows, threads=threads)
    for start, stop in blocks:  # each instrument alone and in one piece
        alone, _ = matrix_of(
            {name: values[start:stop] for name, values in prices.items()}, [(0, stop - start)], feature_set
        )
        np.testing.assert_array_equal(matrix[start:stop].view(np.int32), alone.view(np.int32))


def test_a_table_on_disk_is_computed_into_a_file_on_disk(tmp_path: Path) -> None:
    prices = random_prices(500, 0)
    mapped = {}
    for name, values in prices.items():
        np.save(tmp_path / f"{name}.npy", values)
        mapped[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    out = np.lib.format.open_memmap(tmp_path / "out.npy", mode="w+", dtype=np.float32, shape=(500, len(CORE) + 1))
    out[:, -1] = 7
    compute_features(mapped, [(0, 200), (200, 500)], select_features("core", [], {}), out)
    np.testing.assert_array_equal(out[:, :-1], matrix_of(prices, [(0, 200), (200, 500)])[0])
    assert (out[:, -1] == 7).all()


def test_an_empty_table_and_an_empty_choice_are_no_work() -> None:
    compute_features(random_prices(0, 0), [], select_features("core", [], {}), np.empty((0, 14), dtype=np.float32))
    out = np.full((5, 1), 7, dtype=np.float32)
    compute_features(random_prices(5, 0), [(0, 5)], [], out)
    assert (out == 7).all()


def test_an_instrument_is_computed_from_its_own_bars_alone() -> None:
    first, second = random_prices(70, 1), random_prices(90, 2)
    together = {column: np.concatenate([first[column], second[column]]) for column in PRICES}
    matrix, _ = matrix_of(together, [(0, 70), (70, 160)])
    np.testing.assert_array_equal(matrix[:70], matrix_of(first, [(0, 70)])[0])
    np.testing.assert_array_equal(matrix[70:], matrix_of(second, [(0, 90)])[0])


@pytest.mark.parametrize("feature_set", ["core", "technical"])
@FEW_EXAMPLES
@given(seed=SEEDS, factor=st.sampled_from([8.0, 1 / 8, 1024.0]))  # powers of two: roundings are scaled as well
def test_no_feature_depends_on_the_level_of_prices(feature_set: str, seed: int, factor: float) -> None:
    prices = random_prices(250, seed)
    scaled = {column: values if column == "volume" else values * factor for column, values in prices.items()}
    before, _ = matrix_of(prices, [(0, 250)], feature_set)
    after, _ = matrix_of(scaled, [(0, 250)], feature_set)
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)


def test_without_volumes_the_features_of_volume_are_left_out() -> None:
    prices = random_prices(80, 0)
    with_volume, names = matrix_of(prices, [(0, 80)])
    del prices["volume"]
    without, fewer = matrix_of(prices, [(0, 80)])
    assert fewer == names[:12]
    np.testing.assert_array_equal(without, with_volume[:, :12])


def test_a_missing_price_leaves_a_gap_exactly_where_it_is_read() -> None:
    prices = random_prices(120, 0)
    prices["close"][70] = np.nan
    matrix, names = matrix_of(prices, [(0, 120)])
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
        matrix, names = matrix_of(random_prices(count, 0), [(0, count)])
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
    matrix_of(prices, [(0, 80)])
    for column, values in prices.items():
        np.testing.assert_array_equal(values, before[column])


# Features of the user's own.


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(FEATURES, "_entries", dict(FEATURES._entries))


@pytest.mark.usefixtures("registry")
def test_a_decorated_function_is_a_feature() -> None:
    @feature("twice_x", 2, reads=("x",))
    def twice(bars: Bars) -> Values:
        return 2 * lagged(bars["x"], 1)

    (chosen,) = select_features("none", ["twice_x"], {})
    assert chosen == Feature("twice_x", 2, twice, ("x",))
    out = np.empty((4, 1), dtype=np.float32)
    compute_features({"x": np.array([1.0, 2, 3, 4])}, [(0, 2), (2, 4)], [chosen], out)
    np.testing.assert_array_equal(out[:, 0], [np.nan, 2, np.nan, 6])
    assert "twice_x" not in CORE


@pytest.mark.usefixtures("registry")
def test_a_feature_cannot_write_to_the_table_nor_return_another_number_of_rows() -> None:
    @feature("writes", 1)
    def writes(bars: Bars) -> Values:
        bars.close[0] = 1
        return bars.close

    @feature("short", 1)
    def short(bars: Bars) -> Values:
        return bars.close[1:]

    out = np.empty((9, 1), dtype=np.float32)
    with pytest.raises(ConfigError, match=r"^feature 'writes': ValueError: .* read-only \(.*test_features.py:\d+\)$"):
        compute_features(random_prices(9, 0), [(0, 9)], select_features("none", ["writes"], {}), out)
    with pytest.raises(ConfigError, match=r"feature 'short': returned the shape \(8,\) for 9 rows"):
        compute_features(random_prices(9, 0), [(0, 9)], select_features("none", ["short"], {}), out)


@pytest.mark.usefixtures("registry")
def test_a_name_is_taken_once_and_a_lookback_holds_the_row_itself() -> None:
    with pytest.raises(ValueError, match="there is already a feature named 'range'"):
        feature("range", 1)(lambda bars: bars.close)
    with pytest.raises(ValueError, match="feature 'none': the lookback 0 must be at least 1"):
        feature("none", 0)


def test_features_are_chosen_in_the_order_of_set_names_and_expressions() -> None:
    chosen = select_features("core", ["rsi_14"], {"gap": "col('open') / col('close').shift(1)"})
    assert [entry.name for entry in chosen] == [*CORE, "rsi_14", "gap"]
    assert select_features("none", [], {}) == []


@pytest.mark.parametrize(
    ("feature_set", "extra", "expressions", "said"),
    [
        ("core", ["rsi14"], {}, "data.extra_features: there is no feature 'rsi14'; did you mean 'rsi_14'?"),
        (
            "core",
            ["range"],
            {},
            "data: two features have the name 'range'; keep one, or give the other a new name",
        ),
        (
            "technical",
            [],
            {"rsi_14": "col('close')"},
            "data: two features have the name 'rsi_14'; keep one, or give the other a new name",
        ),
    ],
)
def test_a_choice_that_cannot_be_is_refused(
    feature_set: str, extra: list[str], expressions: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        select_features(feature_set, extra, expressions)
    assert str(caught.value) == said


def test_a_value_that_float32_cannot_hold_is_told_with_its_row() -> None:
    chosen = select_features("none", [], {"huge": "col('x') ** 20"})
    with pytest.raises(TooLargeError) as caught:
        compute_features({"x": np.array([1.0, 2, 500])}, [(0, 3)], chosen, np.empty((3, 1), dtype=np.float32))
    assert (caught.value.row, caught.value.name, caught.value.value) == (2, "huge", 500.0**20)


def test_what_two_features_share_is_computed_once() -> None:
    calls = []

    def shared(bars: Bars, factor: int) -> Values:
        calls.append(factor)
        return bars.close * factor

    bars = bars_of(random_prices(5, 0))
    assert bars.once(shared, 2) is bars.once(shared, 2)
    assert bars.once(shared, 3)[0] == 3 * bars.close[0]
    assert calls == [2, 3]
