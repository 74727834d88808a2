"""Labels made from prices: signal, volatility, regime, stop-loss/take-profit. Imports no torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hybrid_trainer.config.targets import (
    REGIME_CLASSES,
    SIGNAL_CLASSES,
    RegimeTarget,
    SignalTarget,
    SlTpTarget,
    VolatilityTarget,
)
from hybrid_trainer.data.ahead import classes, future, future_extreme, future_sum, per_row
from hybrid_trainer.data.features import Bars, Values, average_true_range, log_return, root_mean_square_return
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.targets import NO_CLASS, TARGET_BUILDERS, Target
from hybrid_trainer.types import TargetSpec


@TARGET_BUILDERS.register("signal")
def build_signal(name: str, table: Table, config: SignalTarget) -> Target:
    """Classes of log(close_{t+h} / close_t) / (sd_t sqrt(h)); sd_t comes from the returns up to t."""

    def score(bars: Bars) -> Values:
        move = future(np.log(bars.close), config.horizon) - np.log(bars.close)
        score: Values = move / (root_mean_square_return(bars.close, config.lookback) * np.sqrt(config.horizon))
        return score

    borders = [-b for b in reversed(config.thresholds or [])] + list(config.thresholds or [])
    spec = TargetSpec(
        name=name,
        kind="classification",
        dim=config.classes,
        horizon=config.horizon,
        labels=SIGNAL_CLASSES[config.classes],
    )
    scores = per_row(table, score, behind=config.rows_behind, ahead=config.horizon)
    return _cut(spec, scores, borders, config.threshold_quantiles)


@TARGET_BUILDERS.register("volatility")
def build_volatility(name: str, table: Table, config: VolatilityTarget) -> Target:
    """log sqrt(sum of squared log returns) (Andersen and Bollerslev, 1998); no label where nothing moved."""

    def realised(bars: Bars) -> Values:
        squares: Values = future_sum(log_return(bars.close) ** 2, config.horizon)
        log_squares: Values = np.log(squares)
        return 0.5 * log_squares

    spec = replace(number_spec(name, config.horizon, "log_volatility", config.quantiles), log_volatility=True)
    values = per_row(table, realised, behind=config.rows_behind, ahead=config.horizon)
    return Target(spec=spec, values=values[:, None])


@TARGET_BUILDERS.register("regime")
def build_regime(name: str, table: Table, config: RegimeTarget) -> Target:
    """Bear, range, bull by Kaufman's (1995) efficiency ratio of the horizon, with its sign: net move / path length."""

    def efficiency(bars: Bars) -> Values:
        returns = log_return(bars.close)
        return future_sum(returns, config.horizon) / future_sum(np.abs(returns), config.horizon)

    spec = TargetSpec(name=name, kind="classification", dim=3, horizon=config.horizon, labels=REGIME_CLASSES)
    scores = per_row(table, efficiency, behind=config.rows_behind, ahead=config.horizon)
    return _cut(spec, scores, [-config.threshold, config.threshold], config.threshold_quantiles)


@TARGET_BUILDERS.register("sl_tp")
def build_sl_tp(name: str, table: Table, config: SlTpTarget) -> Target:
    """Maximum adverse and favourable excursion (Sweeney, 1996) of a long position from the close, in ATR multiples."""

    def adverse(bars: Bars) -> Values:
        low = future_extreme(bars.low, config.horizon, np.minimum)
        return np.maximum(bars.close - low, 0) / average_true_range(bars, config.atr_window)

    def favourable(bars: Bars) -> Values:
        high = future_extreme(bars.high, config.horizon, np.maximum)
        return np.maximum(high - bars.close, 0) / average_true_range(bars, config.atr_window)

    spec = TargetSpec(
        name=name,
        kind="regression",
        dim=2,
        horizon=config.horizon,
        labels=("stop_loss", "take_profit"),
        link="softplus",
    )
    values = np.empty((len(table), 2))
    for number, compute in enumerate((adverse, favourable)):
        values[:, number] = per_row(table, compute, behind=config.rows_behind, ahead=config.horizon)
    return Target(spec=spec, values=values)


def number_spec(name: str, horizon: int, label: str, quantiles: list[float] | None) -> TargetSpec:
    """The description of one number, or of its quantiles."""
    if not quantiles:
        return TargetSpec(name=name, kind="regression", dim=1, horizon=horizon, labels=(label,))
    return TargetSpec(
        name=name,
        kind="quantile",
        dim=len(quantiles),
        horizon=horizon,
        labels=tuple(f"q{quantile:g}" for quantile in quantiles),
        link="outwards",
        quantiles=tuple(quantiles),
    )


def _cut(spec: TargetSpec, score: Values, borders: list[float], quantiles: list[float] | None) -> Target:
    """Classes of a score, now by given borders, or later by quantiles of the training rows."""
    if quantiles is None:
        return Target(spec=spec, values=classes(score, np.array(borders)))
    values = np.where(np.isnan(score), NO_CLASS, 0)
    return Target(spec=spec, values=values, score=score, threshold_quantiles=tuple(quantiles))
