"""Textbook indicators of price and volume together. Imports no torch.

Those that are sums over all of history elsewhere (OBV, VWAP) are taken over their window. Sources: Granville for OBV;
Chaikin for CMF; Quong and Soudack for MFI.
"""

from __future__ import annotations

import numpy as np

from hybrid_trainer.data.bars import Bars
from hybrid_trainer.data.indicators import typical_price
from hybrid_trainer.data.kernels import Values, lagged, ratio, rolling_mean, rolling_sum


def on_balance_volume(bars: Bars, window: int) -> Values:
    """Volume of rising bars less volume of falling bars, of the last `window` bars."""
    return rolling_sum(np.sign(bars.close - lagged(bars.close, 1)) * bars.volume, window)


def volume_weighted_mean(x: Values, volume: Values, window: int) -> Values:
    """Mean of x, weighted by volume (VWMA of the close, VWAP of the typical price); the plain mean where all are 0."""
    weight = rolling_sum(volume, window)
    return np.where(weight == 0, rolling_mean(x, window), rolling_sum(x * volume, window) / weight)


def chaikin_money_flow(bars: Bars, window: int) -> Values:
    """Volume weighted by where the close stands in its bar, -1 to 1."""
    place = ratio(2 * bars.close - bars.high - bars.low, bars.high - bars.low, 0.0)
    return ratio(rolling_sum(place * bars.volume, window), rolling_sum(bars.volume, window), 0.0)


def money_flow_index(bars: Bars, window: int) -> Values:
    """Share of the money that flowed while the typical price rose, 0 to 100."""
    price = typical_price(bars)
    flow = price * bars.volume * np.sign(price - lagged(price, 1))
    gain, loss = rolling_sum(np.maximum(flow, 0), window), rolling_sum(np.maximum(-flow, 0), window)
    return 100 * ratio(gain, gain + loss, 0.5)
