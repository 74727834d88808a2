"""The core set: returns, ranges, volatilities and volumes, none of them a price level. Imports no torch.

Names and order are part of the contract between a saved model and its input.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from hybrid_trainer.data.bars import Bars
from hybrid_trainer.data.feature_registry import feature
from hybrid_trainer.data.kernels import Values, change, lagged, rolling_mean, rolling_mean_and_std, rolling_sum

_TINY = 1e-6  # a volatility of 0.0001 % per bar: where nothing moves, the log stays finite

_core = partial(feature, member_of="core")


def _log_close(bars: Bars) -> Values:
    return np.log(bars.close)


def _log_open(bars: Bars) -> Values:
    return np.log(bars.open)


def _log_range(bars: Bars) -> Values:
    return np.log(bars.high / bars.low)


def _log_return(bars: Bars, lag: int) -> Values:
    return change(bars.once(_log_close), lag)


def _squared_return(bars: Bars) -> Values:
    return bars.once(_log_return, 1) ** 2


def _log_volatility(bars: Bars, window: int) -> Values:
    """Log of the root mean square return."""
    squares = bars.once(_squared_return)
    log: Values = np.log(np.sqrt(rolling_mean(squares, window)) + _TINY)
    return log


@_core("return_1", 2)
def _return_1(bars: Bars) -> Values:
    return _log_return(bars, 1)


@_core("return_5", 6)
def _return_5(bars: Bars) -> Values:
    return _log_return(bars, 5)


@_core("return_20", 21)
def _return_20(bars: Bars) -> Values:
    return _log_return(bars, 20)


@_core("overnight_return", 2)
def _overnight_return(bars: Bars) -> Values:
    return bars.once(_log_open) - lagged(bars.once(_log_close), 1)


@_core("intraday_return", 1)
def _intraday_return(bars: Bars) -> Values:
    return bars.once(_log_close) - bars.once(_log_open)


@_core("range", 1)
def _range(bars: Bars) -> Values:
    return bars.once(_log_range)


@_core("close_in_range", 1)
def _close_in_range(bars: Bars) -> Values:
    """Where the close stands between low (-1) and high (+1); 0 where the bar has no range."""
    span = bars.high - bars.low
    return np.where(span == 0, 0.0, (2 * bars.close - bars.high - bars.low) / span)


@_core("log_volatility_5", 6)
def _log_volatility_5(bars: Bars) -> Values:
    return _log_volatility(bars, 5)


@_core("log_volatility_20", 21)
def _log_volatility_20(bars: Bars) -> Values:
    return _log_volatility(bars, 20)


@_core("log_volatility_60", 61)
def _log_volatility_60(bars: Bars) -> Values:
    return _log_volatility(bars, 60)


@_core("log_range_10", 10)
def _log_range_10(bars: Bars) -> Values:
    """Log of Parkinson's (1980) volatility of the last 10 bars."""
    squares: Values = bars.once(_log_range) ** 2
    variance = rolling_sum(squares, 10) / (40 * np.log(2))
    log_range: Values = np.log(np.sqrt(variance) + _TINY)
    return log_range


@_core("distance_20", 20)
def _distance_20(bars: Bars) -> Values:
    """How many standard deviations the log close stands from its mean over 20 bars; 0 where nothing moves."""
    log = bars.once(_log_close)
    mean, deviation = rolling_mean_and_std(log, 20)
    return np.where(deviation < _TINY, 0.0, (log - mean) / deviation)


@_core("relative_volume_1", 20, reads=("volume",))
def _relative_volume_1(bars: Bars) -> Values:
    """Log of the volume against its mean over 20 bars."""
    return np.log((bars.volume + 1) / (rolling_mean(bars.volume, 20) + 1))


@_core("relative_volume_5", 60, reads=("volume",))
def _relative_volume_5(bars: Bars) -> Values:
    """Log of the mean volume of 5 bars against that of 60."""
    return np.log((rolling_mean(bars.volume, 5) + 1) / (rolling_mean(bars.volume, 60) + 1))
