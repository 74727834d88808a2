"""Textbook indicators against TA-Lib and ta; what neither has, against a plain loop.

The indicators forget what lies further back than their lookback, the libraries never do. `OFF` says by how much an
exponential one may differ for that: random walks with 3 % per bar, where the past is far away, are a hard case.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import ta
import talib

from hybrid_trainer.data import indicators as ind
from hybrid_trainer.data.bars import Bars
from hybrid_trainer.data.kernels import Values, lagged, rolling_mean
from hybrid_trainer.data.path_indicators import kama, parabolic_sar
from hybrid_trainer.data.technical_features import KAMA_STEPS, SAR_ROWS
from hybrid_trainer.data.volume_indicators import (
    chaikin_money_flow,
    money_flow_index,
    on_balance_volume,
    volume_weighted_mean,
)
from tests.data.tables import bars_of, random_prices

ROWS, WARM = 2000, 600  # the libraries' own beginnings are forgotten by row 600
PRICES = random_prices(ROWS, 3)
BARS = bars_of(PRICES)
O, H, L, C, V = (PRICES[name] for name in ("open", "high", "low", "close", "volume"))  # noqa: E741
SERIES = {name: pd.Series(values) for name, values in PRICES.items()}
HLCV = [SERIES[name] for name in ("high", "low", "close", "volume")]

Pair = Callable[[], tuple[Values, Values]]


def ichimoku() -> ta.trend.IchimokuIndicator:
    return ta.trend.IchimokuIndicator(SERIES["high"], SERIES["low"], 9, 26, 52, visual=False)


# Indicators of a fixed window: equal but for rounding.
EXACT: dict[str, Pair] = {
    "sma": lambda: (rolling_mean(C, 20), talib.SMA(C, 20)),
    "bollinger upper": lambda: (ind.bollinger(C, 20, 2), talib.BBANDS(C, 20, 2, 2)[0]),
    "bollinger middle": lambda: (ind.bollinger(C, 20, 0), talib.BBANDS(C, 20, 2, 2)[1]),
    "bollinger lower": lambda: (ind.bollinger(C, 20, -2), talib.BBANDS(C, 20, 2, 2)[2]),
    "stochastic k": lambda: (ind.stochastic_k(BARS, 14, 3), talib.STOCH(H, L, C, 14, 3, 0, 3, 0)[0]),
    "stochastic d": lambda: (rolling_mean(ind.stochastic_k(BARS, 14, 3), 3), talib.STOCH(H, L, C, 14, 3, 0, 3, 0)[1]),
    "cci": lambda: (ind.cci(BARS, 20), talib.CCI(H, L, C, 20)),
    "momentum": lambda: (ind.momentum(C, 10), talib.MOM(C, 10)),
    "roc": lambda: (ind.rate_of_change(C, 10), talib.ROC(C, 10)),
    "williams r": lambda: (ind.williams_r(BARS, 14), talib.WILLR(H, L, C, 14)),
    "ultimate oscillator": lambda: (ind.ultimate_oscillator(BARS, (7, 14, 28)), talib.ULTOSC(H, L, C, 7, 14, 28)),
    "dpo": lambda: (ind.detrended_price(C, 20), ta.trend.DPOIndicator(SERIES["close"], 20).dpo().to_numpy()),
    "ichimoku conversion": lambda: (ind.ichimoku_line(BARS, 9), ichimoku().ichimoku_conversion_line().to_numpy()),
    "ichimoku base": lambda: (ind.ichimoku_line(BARS, 26), ichimoku().ichimoku_base_line().to_numpy()),
    "ichimoku span a": lambda: (ind.ichimoku_span_a(BARS, 9, 26), ichimoku().ichimoku_a().to_numpy()),
    "ichimoku span b": lambda: (ind.ichimoku_line(BARS, 52), ichimoku().ichimoku_b().to_numpy()),
    "obv": lambda: (on_balance_volume(BARS, 20), talib.OBV(C, V) - lagged(talib.OBV(C, V), 20)),
    "mfi": lambda: (money_flow_index(BARS, 14), talib.MFI(H, L, C, V, 14)),
    "cmf": lambda: (
        chaikin_money_flow(BARS, 20),
        ta.volume.ChaikinMoneyFlowIndicator(*HLCV, 20).chaikin_money_flow().to_numpy(),
    ),
    "vwap": lambda: (
        volume_weighted_mean(ind.typical_price(BARS), V, 20),
        ta.volume.VolumeWeightedAveragePrice(*HLCV, 20).volume_weighted_average_price().to_numpy(),
    ),
    "vwma": lambda: (
        volume_weighted_mean(C, V, 20),
        np.array([np.nan] * 19 + [np.average(C[t - 19 : t + 1], weights=V[t - 19 : t + 1]) for t in range(19, ROWS)]),
    ),
    "cmo": lambda: (ind.cmo(C, 14), np.array([cmo_by_hand(t) for t in range(ROWS)])),
}

# Exponential ones: how far they may be off, in their own units or, for prices and differences of prices, of the close.
OFF: dict[str, tuple[float, Pair]] = {
    "ema 12": (0.001, lambda: (ind.ema(C, 12) / C, talib.EMA(C, 12) / C)),
    "ema 26": (0.001, lambda: (ind.ema(C, 26) / C, talib.EMA(C, 26) / C)),
    "rsi": (0.1, lambda: (ind.rsi(C, 14), talib.RSI(C, 14))),
    "macd line": (0.001, lambda: (ind.macd(C, 12, 26) / C, talib.MACD(C, 12, 26, 9)[0] / C)),
    "macd signal": (0.001, lambda: (ind.ema(ind.macd(C, 12, 26), 9) / C, talib.MACD(C, 12, 26, 9)[1] / C)),
    "atr": (0.0001, lambda: (ind.atr(BARS, 14) / C, talib.ATR(H, L, C, 14) / C)),
    "adx": (0.2, lambda: (ind.adx(BARS, 14), talib.ADX(H, L, C, 14))),
    "trix": (0.01, lambda: (ind.trix(C, 15), talib.TRIX(C, 15))),
    "ppo": (0.1, lambda: (ind.ppo(C, 12, 26), talib.PPO(C, 12, 26, 1))),
    "kama": (0.002, lambda: (kama(C, 10, KAMA_STEPS) / C, talib.KAMA(C, 10) / C)),
    "stochastic rsi": (1.0, lambda: (ind.stochastic_rsi(C, 14), talib.STOCHRSI(C, 14, 14, 1, 0)[0])),
    "fisher": (0.05, lambda: (ind.fisher(BARS, 10), fisher_by_hand(10))),
}


def cmo_by_hand(t: int) -> float:
    """Chande and Kroll (1994): 100 * (ups - downs) / (ups + downs) of 14 changes."""
    if t < 14:
        return np.nan
    changes = np.diff(C[t - 14 : t + 1])
    ups, downs = changes[changes > 0].sum(), -changes[changes < 0].sum()
    return float(100 * (ups - downs) / (ups + downs))


def fisher_by_hand(window: int) -> Values:
    """Ehlers (2002), bar by bar, each value fed back into the next."""
    middle = (H + L) / 2
    value = fisher = 0.0
    found = np.full(ROWS, np.nan)
    for t in range(window - 1, ROWS):
        part = middle[t - window + 1 : t + 1]
        value = 0.66 * ((middle[t] - part.min()) / (part.max() - part.min()) - 0.5) + 0.67 * value
        value = min(max(value, -0.999), 0.999)
        fisher = 0.5 * np.log((1 + value) / (1 - value)) + 0.5 * fisher
        found[t] = fisher
    return found


@pytest.mark.parametrize("name", EXACT)
def test_an_indicator_of_a_fixed_window_is_the_librarys(name: str) -> None:
    found, expected = EXACT[name]()
    scale = np.abs(expected[WARM:]).max()
    np.testing.assert_allclose(found[WARM:], expected[WARM:], rtol=0, atol=1e-11 * scale)


@pytest.mark.parametrize("name", OFF)
def test_an_exponential_indicator_is_close_to_the_one_that_never_forgets(name: str) -> None:
    off, pair = OFF[name]
    found, expected = pair()
    np.testing.assert_allclose(found[WARM:], expected[WARM:], rtol=0, atol=off)
    # The tolerance means something: the indicator moves by far more.
    assert np.std(expected[WARM:]) > 20 * off


def test_the_parabolic_sar_of_a_short_walk_is_that_of_all_of_history_nearly_always() -> None:
    found, expected = parabolic_sar(BARS, SAR_ROWS), talib.SAR(H, L, 0.02, 0.2)
    same = np.isclose(found[WARM:], expected[WARM:], rtol=1e-12, atol=0)
    assert same.mean() > 0.995  # the others have not turned as history has within 120 bars


def test_a_walk_of_the_parabolic_sar_is_the_librarys_on_its_rows_alone() -> None:
    found = parabolic_sar(BARS, 40)
    for t in range(39, 400, 7):
        rows = slice(t - 39, t + 1)
        assert found[t] == pytest.approx(talib.SAR(H[rows], L[rows], 0.02, 0.2)[-1], rel=1e-14)


def test_a_walk_of_kama_is_the_librarys_on_its_rows_alone() -> None:
    found = kama(C, 10, 30)
    for t in range(39, 400, 7):
        assert found[t] == pytest.approx(talib.KAMA(C[t - 39 : t + 1], 10)[-1], rel=1e-12)


def still(rows: int, volume: float = 0.0) -> Bars:
    level = np.full(rows, 50.0)
    return Bars({"open": level, "high": level, "low": level, "close": level, "volume": np.full(rows, volume)})


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize(
    ("indicator", "middle"),
    [
        (lambda bars: ind.rsi(bars.close, 14), 50),
        (lambda bars: ind.cmo(bars.close, 14), 0),
        (lambda bars: ind.stochastic_rsi(bars.close, 14), 50),
        (lambda bars: ind.stochastic_k(bars, 14, 3), 50),
        (lambda bars: ind.williams_r(bars, 14), -50),
        (lambda bars: ind.adx(bars, 14), 0),
        (lambda bars: ind.cci(bars, 20), 0),
        (lambda bars: ind.ultimate_oscillator(bars, (7, 14, 28)), 50),
        (lambda bars: ind.fisher(bars, 10), 0),
        (lambda bars: chaikin_money_flow(bars, 20), 0),
        (lambda bars: money_flow_index(bars, 14), 50),
        (lambda bars: volume_weighted_mean(bars.close, bars.volume, 20), 50),
        (lambda bars: kama(bars.close, 10, 30), 50),
        (lambda bars: parabolic_sar(bars, 30), 50),
    ],
)
def test_where_nothing_moves_an_indicator_has_its_middle_value(
    indicator: Callable[[Bars], Values], middle: float
) -> None:
    assert indicator(still(250))[-1] == pytest.approx(middle, abs=1e-12)


def test_ichimoku_and_dpo_are_known_at_their_row() -> None:
    for compute in (
        lambda bars: ind.ichimoku_span_a(bars, 9, 26),
        lambda bars: ind.ichimoku_line(bars, 52),
        lambda bars: ind.detrended_price(bars.close, 20),
    ):
        cut = Bars.of(PRICES, 0, 300)
        np.testing.assert_array_equal(compute(BARS)[:300], compute(cut))
