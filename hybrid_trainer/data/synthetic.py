"""Seeded prices with a planted signal, regimes and clustered volatility, and how well they can be predicted at best.

For each instrument, independently, on one clock of one bar per minute:

    driver    u_t ~ N(0, 1), a column of the table
    signal    m_t = sum_k w_k u_{t-k}, k = 0 .. 7, with |w| = 1, so m_t ~ N(0, 1)
    volatility  log(sigma_t / 0.001) is an AR(1) with coefficient 0.98 and standard deviation 0.5; the volume shows it
    regime    z_t in {-1, 0, 1} stays with probability 0.98 (Hamilton, 1989); only returns tell it
    return    log(close_{t+1} / close_t) = sigma_t (signal_strength m_t + 0.2 z_t + N(0, 1))

Imports no torch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hybrid_trainer.config.data import SyntheticData
from hybrid_trainer.config.targets import SignalTarget
from hybrid_trainer.data.features import root_mean_square_return
from hybrid_trainer.data.table import Table

Values = NDArray[np.float64]

COLUMNS = ("timestamp", "instrument", "open", "high", "low", "close", "volume", "driver")

_WEIGHTS = np.cos(np.pi * np.arange(8) / 4) * 0.8 ** np.arange(8)
WEIGHTS: Values = _WEIGHTS / np.sqrt((_WEIGHTS**2).sum())  # neither the last driver nor the mean of them is the signal
_VOLATILITY, _PERSISTENCE, _SPREAD = 1e-3, 0.98, 0.5
REGIMES, STAY, DRIFT = np.array([-1.0, 0.0, 1.0]), 0.98, 0.2
_START = np.datetime64("2020-01-01T00:00", "ns")


@dataclass(frozen=True, kw_only=True)
class Market:
    """What was drawn, (I instruments, N rows) each; `step` is log(close_{t+1} / close_t) and belongs to row t.

    A forecaster may know `signal` (from the driver) and `volatility` (nearly, from the volume), never `regime`.
    """

    driver: Values
    signal: Values
    volatility: Values
    regime: Values
    step: Values
    noise: Values


def draw(config: SyntheticData) -> Market:
    """Draw a market; the same config gives the same one."""
    from scipy.signal import lfilter  # here and below: half a second that only this source needs

    rng = np.random.default_rng(config.generator_seed)
    shape = (config.instruments, config.rows)
    lags = len(WEIGHTS) - 1
    driver = rng.standard_normal((shape[0], shape[1] + lags))
    signal = lfilter(WEIGHTS, [1.0], driver, axis=1)[:, lags:]
    shocks = rng.standard_normal(shape) * _SPREAD * np.sqrt(1 - _PERSISTENCE**2)
    shocks[:, 0] = rng.standard_normal(shape[0]) * _SPREAD  # from the stationary distribution
    volatility = _VOLATILITY * np.exp(lfilter([1.0], [1.0, -_PERSISTENCE], shocks, axis=1))
    regime = _regimes(rng, shape)
    step = volatility * (config.signal_strength * signal + DRIFT * regime + rng.standard_normal(shape))
    noise = rng.standard_normal((4, *shape))
    return Market(driver=driver[:, lags:], signal=signal, volatility=volatility, regime=regime, step=step, noise=noise)


def frame(config: SyntheticData) -> pl.DataFrame:
    """The table of a market, one row per instrument and minute, sorted."""
    market = draw(config)
    opening, above, below, trading = market.noise
    before = np.concatenate([np.zeros((config.instruments, 1)), market.step[:, :-1]], axis=1)
    close = 100 * np.exp(np.cumsum(before, axis=1))
    open_ = close * np.exp(-before + 0.2 * market.volatility * opening)  # a small gap after the previous close
    spread = 0.3 * market.volatility
    names = [f"S{number:0{len(str(config.instruments - 1))}d}" for number in range(config.instruments)]
    return pl.DataFrame(
        {
            "timestamp": np.tile(_START + np.arange(config.rows) * np.timedelta64(1, "m"), config.instruments),
            "instrument": np.repeat(names, config.rows),
            "open": open_.ravel(),
            "high": (np.maximum(open_, close) * np.exp(spread * np.abs(above))).ravel(),
            "low": (np.minimum(open_, close) / np.exp(spread * np.abs(below))).ravel(),
            "close": close.ravel(),
            "volume": (1e6 * market.volatility / _VOLATILITY * np.exp(0.1 * trading)).ravel(),
            "driver": market.driver.ravel(),
        }
    )


def digest(table: pl.DataFrame) -> str:
    """SHA-256 over the numbers of a table, column by column: what stands for the digest of a file."""
    sha = hashlib.sha256()
    for name in COLUMNS:
        column = table[name]
        sha.update("".join(column).encode() if column.dtype == pl.String else column.to_physical().to_numpy().tobytes())
    return sha.hexdigest()


def best_signal_probabilities(config: SyntheticData, target: SignalTarget, table: Table) -> Values:
    """Return (rows, classes): the class probabilities of who knows the process, but neither the regime nor the future.

    They are exact: a normal for each regime, weighted with what the past returns say of it (Hamilton's filter). No
    forecaster's expected accuracy is above the mean of the largest of them. Rows without a label's scale hold NaN.

    Raises:
        ValueError: the horizon isn't 1; over more bars the distribution is no normal.
    """
    if target.horizon != 1:
        raise ValueError(f"known for a horizon of 1, not {target.horizon}")
    from scipy.special import ndtr

    assert target.thresholds is not None
    market = draw(config)
    deviation = np.stack(
        [root_mean_square_return(table.prices["close"][start:stop], target.lookback) for start, stop in table.blocks]
    )
    borders = np.array([-b for b in reversed(target.thresholds)] + target.thresholds)
    standard = borders * (deviation / market.volatility)[..., None]  # (I, N, borders), in units of the next shock
    mean = config.signal_strength * market.signal[..., None] + DRIFT * REGIMES  # (I, N, regimes)
    below = ndtr(standard[..., None] - mean[..., None, :])  # (I, N, borders, regimes)
    cumulative = (below * _regime_probabilities(config, market)[..., None, :]).sum(axis=-1)
    edges = np.zeros((*cumulative.shape[:2], 1))
    probabilities = np.diff(np.concatenate([edges, cumulative, edges + 1], axis=2), axis=2)
    flat: Values = probabilities.reshape(-1, len(borders) + 1)
    return flat


def _regimes(rng: np.random.Generator, shape: tuple[int, int]) -> Values:
    """A chain that stays, or moves to one of the other two, each as likely."""
    moves = np.where(rng.random(shape) < STAY, 0, rng.integers(1, len(REGIMES), shape))
    moves[:, 0] = rng.integers(0, len(REGIMES), shape[0])
    regimes: Values = REGIMES[np.cumsum(moves, axis=1) % len(REGIMES)]
    return regimes


def _regime_probabilities(config: SyntheticData, market: Market) -> Values:
    """Return (I, N, regimes): what the returns up to t say of z_t."""
    shocks = market.step / market.volatility - config.signal_strength * market.signal
    weight = np.exp(-0.5 * (shocks[..., None] - DRIFT * REGIMES) ** 2)
    leave = (1 - STAY) / (len(REGIMES) - 1)
    belief = np.full((*shocks.shape, len(REGIMES)), 1 / len(REGIMES))
    for row in range(1, shocks.shape[1]):
        seen = belief[:, row - 1] * weight[:, row - 1]
        seen /= seen.sum(axis=1, keepdims=True)
        belief[:, row] = seen * (STAY - leave) + leave
    return belief
