"""The technical set: the well-known indicators on a scale that doesn't know the level of prices. Imports no torch.

What is a price (a mean, a band, a stop) is given relative to the close: level / close - 1. What is a difference of
prices is given in units of the close. Oscillators keep their textbook scale. Names and order are part of the contract
between a saved model and its input.
"""

from __future__ import annotations

from hybrid_trainer.data import indicators as ind
from hybrid_trainer.data.bars import Bars
from hybrid_trainer.data.feature_registry import PRICES, Compute, feature
from hybrid_trainer.data.indicators import ema_rows, wilder_rows
from hybrid_trainer.data.kernels import Values, ratio, rolling_mean, rolling_sum
from hybrid_trainer.data.path_indicators import kama, parabolic_sar
from hybrid_trainer.data.volume_indicators import (
    chaikin_money_flow,
    money_flow_index,
    on_balance_volume,
    volume_weighted_mean,
)

SAR_ROWS = 120
KAMA_STEPS = 120


def _oscillator(name: str, lookback: int, compute: Compute, *, volume: bool = False) -> None:
    """Enter an indicator whose own scale doesn't know the level of prices."""
    feature(name, lookback, reads=(*PRICES, "volume") if volume else PRICES, member_of="technical")(compute)


def _level(name: str, lookback: int, compute: Compute, *, volume: bool = False) -> None:
    """Enter an indicator that is a price: how far it stands from the close, as a share of the close."""
    _oscillator(name, lookback, lambda bars: compute(bars) / bars.close - 1, volume=volume)


def _difference(name: str, lookback: int, compute: Compute) -> None:
    """Enter an indicator that is a difference of prices, as a share of the close."""
    _oscillator(name, lookback, lambda bars: compute(bars) / bars.close)


def _macd(bars: Bars) -> Values:
    return ind.macd(bars.close, 12, 26)


def _macd_signal(bars: Bars) -> Values:
    return ind.ema(bars.once(_macd), 9)


def _stochastic_k(bars: Bars) -> Values:
    return ind.stochastic_k(bars, 14, 3)


_SLOW = ema_rows(26)
_SIGNAL = _SLOW + ema_rows(9) - 1
_WILDER = wilder_rows(14)

_level("sma_20", 20, lambda bars: rolling_mean(bars.close, 20))
_level("sma_50", 50, lambda bars: rolling_mean(bars.close, 50))
_level("ema_12", ema_rows(12), lambda bars: ind.ema(bars.close, 12))
_level("ema_26", _SLOW, lambda bars: ind.ema(bars.close, 26))
_oscillator("rsi_14", _WILDER + 1, lambda bars: ind.rsi(bars.close, 14))
_difference("macd_line", _SLOW, lambda bars: bars.once(_macd))
_difference("macd_signal", _SIGNAL, lambda bars: bars.once(_macd_signal))
_difference("macd_histogram", _SIGNAL, lambda bars: bars.once(_macd) - bars.once(_macd_signal))
_level("bollinger_upper", 20, lambda bars: ind.bollinger(bars.close, 20, 2))
_level("bollinger_middle", 20, lambda bars: ind.bollinger(bars.close, 20, 0))
_level("bollinger_lower", 20, lambda bars: ind.bollinger(bars.close, 20, -2))
_difference("atr_14", _WILDER + 1, lambda bars: ind.atr(bars, 14))
_oscillator("stochastic_k", 16, lambda bars: bars.once(_stochastic_k))
_oscillator("stochastic_d", 18, lambda bars: rolling_mean(bars.once(_stochastic_k), 3))
_oscillator("adx_14", 2 * _WILDER, lambda bars: ind.adx(bars, 14))
_oscillator("cci_20", 20, lambda bars: ind.cci(bars, 20))
_difference("momentum_10", 11, lambda bars: ind.momentum(bars.close, 10))
_oscillator("roc_10", 11, lambda bars: ind.rate_of_change(bars.close, 10))
_oscillator("williams_r_14", 14, lambda bars: ind.williams_r(bars, 14))
_oscillator("trix_15", 3 * (ema_rows(15) - 1) + 2, lambda bars: ind.trix(bars.close, 15))
_oscillator("ultimate_oscillator", 29, lambda bars: ind.ultimate_oscillator(bars, (7, 14, 28)))
_difference("dpo_20", 20, lambda bars: ind.detrended_price(bars.close, 20))
_oscillator(
    "obv_20", 21, lambda bars: ratio(on_balance_volume(bars, 20), rolling_sum(bars.volume, 20), 0.0), volume=True
)
_level("vwma_20", 20, lambda bars: volume_weighted_mean(bars.close, bars.volume, 20), volume=True)
_oscillator("cmf_20", 20, lambda bars: chaikin_money_flow(bars, 20), volume=True)
_oscillator("mfi_14", 15, lambda bars: money_flow_index(bars, 14), volume=True)
_level("parabolic_sar", SAR_ROWS, lambda bars: parabolic_sar(bars, SAR_ROWS))
_level("ichimoku_conversion", 9, lambda bars: ind.ichimoku_line(bars, 9))
_level("ichimoku_base", 26, lambda bars: ind.ichimoku_line(bars, 26))
_level("ichimoku_span_a", 26, lambda bars: ind.ichimoku_span_a(bars, 9, 26))
_level("ichimoku_span_b", 52, lambda bars: ind.ichimoku_line(bars, 52))
_level("kama_10", KAMA_STEPS + 10, lambda bars: kama(bars.close, 10, KAMA_STEPS))
_level("vwap_20", 20, lambda bars: volume_weighted_mean(ind.typical_price(bars), bars.volume, 20), volume=True)
_oscillator("stochastic_rsi_14", _WILDER + 14, lambda bars: ind.stochastic_rsi(bars.close, 14))
_oscillator("cmo_14", 15, lambda bars: ind.cmo(bars.close, 14))
_oscillator("ppo_12_26", _SLOW, lambda bars: ind.ppo(bars.close, 12, 26))
_oscillator("fisher_10", 10 + ind.FISHER_POSITION_ROWS + ind.FISHER_VALUE_ROWS - 2, lambda bars: ind.fisher(bars, 10))
