"""What each head is asked to predict: labels from the bars (t, t + horizon], never from the decision row itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.config.targets import (
    ColumnTarget,
    RegimeTarget,
    SignalTarget,
    SlTpTarget,
    TargetConfig,
    VolatilityTarget,
)
from hybrid_trainer.data.features import Bars, Values, average_true_range, log_return, root_mean_square_return
from hybrid_trainer.data.table import Table
from hybrid_trainer.errors import ConfigError, TableError
from hybrid_trainer.registry import Registry
from hybrid_trainer.types import TargetSpec

NO_CLASS = -1

SIGNAL_CLASSES = {3: ("down", "flat", "up"), 5: ("strong_down", "down", "flat", "up", "strong_up")}
REGIME_CLASSES = ("bear", "range", "bull")


@dataclass(frozen=True, kw_only=True)
class Target:
    """A task's description and its label for every row of the panel.

    `values` is (N,) int64 with -1 for 'no label' (classification), or (N, D) float64 with NaN in a row without one.
    """

    spec: TargetSpec
    values: NDArray[Any]

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """(N,) bool: the rows that have a label."""
        if self.spec.kind == "classification":
            return np.asarray(self.values != NO_CLASS)
        return np.asarray(np.isfinite(self.values).all(axis=1))


Builder = Callable[[str, Table, Any], Target]
TARGET_BUILDERS: Registry[Builder] = Registry("target builder")


def build_targets(table: Table, configs: dict[str, TargetConfig]) -> list[Target]:
    """Make the labels of every active target, in the order of the heads."""
    return [
        TARGET_BUILDERS.get(config.builder, f"data.targets.{name}.builder")(name, table, config)
        for name, config in configs.items()
    ]


def shuffle_labels(targets: list[Target], seed: int) -> list[Target]:
    """Give every labelled row the label of another one, in each task on its own; rows without a label stay so."""
    shuffled = []
    for index, target in enumerate(targets):
        rows = np.flatnonzero(target.labelled)
        values = target.values.copy()
        values[rows] = target.values[np.random.default_rng([seed, index]).permutation(rows)]
        shuffled.append(replace(target, values=values))
    return shuffled


def future(x: Values, bars: int) -> Values:
    """x at t + bars; NaN in the last `bars` rows."""
    out = np.full_like(x, np.nan)
    out[: max(len(x) - bars, 0)] = x[bars:]
    return out


def future_sum(x: Values, horizon: int) -> Values:
    """Sum of x over (t, t + horizon]."""
    total = future(x, 1)
    for bar in range(2, horizon + 1):
        total = total + future(x, bar)
    return total


def future_extreme(x: Values, horizon: int, pick: np.ufunc) -> Values:
    """Largest (np.maximum) or smallest (np.minimum) x over (t, t + horizon]."""
    extreme = future(x, 1)
    for bar in range(2, horizon + 1):
        extreme = pick(extreme, future(x, bar))
    return extreme


def per_instrument(table: Table, compute: Callable[[Bars], Values]) -> Values:
    """Compute one value per row from each instrument's bars alone."""
    out = np.full(len(table), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        for start, stop in table.blocks:
            out[start:stop] = compute(Bars.of(table.prices, start, stop))
    out[~np.isfinite(out)] = np.nan
    return out


@TARGET_BUILDERS.register("signal")
def build_signal(name: str, table: Table, config: SignalTarget) -> Target:
    """Classes of log(close_{t+h} / close_t) / (sd_t sqrt(h)); sd_t comes from the returns up to t."""

    def score(bars: Bars) -> Values:
        move = future(np.log(bars.close), config.horizon) - np.log(bars.close)
        score: Values = move / (root_mean_square_return(bars.close, config.lookback) * np.sqrt(config.horizon))
        return score

    assert config.thresholds is not None
    borders = np.array([-b for b in reversed(config.thresholds)] + list(config.thresholds))
    spec = TargetSpec(
        name=name,
        kind="classification",
        dim=config.classes,
        horizon=config.horizon,
        labels=SIGNAL_CLASSES[config.classes],
    )
    return Target(spec=spec, values=_classes(per_instrument(table, score), borders))


@TARGET_BUILDERS.register("volatility")
def build_volatility(name: str, table: Table, config: VolatilityTarget) -> Target:
    """log sqrt(sum of squared log returns) (Andersen and Bollerslev, 1998); no label where nothing moved."""

    def realised(bars: Bars) -> Values:
        squares: Values = future_sum(log_return(bars.close) ** 2, config.horizon)
        log_squares: Values = np.log(squares)
        return 0.5 * log_squares

    spec = TargetSpec(name=name, kind="regression", dim=1, horizon=config.horizon, labels=("log_volatility",))
    return Target(spec=spec, values=per_instrument(table, realised)[:, None])


@TARGET_BUILDERS.register("regime")
def build_regime(name: str, table: Table, config: RegimeTarget) -> Target:
    """Bear, range, bull by Kaufman's (1995) efficiency ratio of the horizon, with its sign: net move / path length."""

    def efficiency(bars: Bars) -> Values:
        returns = log_return(bars.close)
        return future_sum(returns, config.horizon) / future_sum(np.abs(returns), config.horizon)

    spec = TargetSpec(name=name, kind="classification", dim=3, horizon=config.horizon, labels=REGIME_CLASSES)
    borders = np.array([-config.threshold, config.threshold])
    return Target(spec=spec, values=_classes(per_instrument(table, efficiency), borders))


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
    return Target(
        spec=spec, values=np.stack([per_instrument(table, adverse), per_instrument(table, favourable)], axis=1)
    )


@TARGET_BUILDERS.register("column")
def build_column(name: str, table: Table, config: ColumnTarget) -> Target:
    """The label that stands in the row itself; an empty cell is 'no label'."""
    if config.kind == "regression":
        spec = TargetSpec(name=name, kind="regression", dim=1, horizon=config.horizon, labels=(config.column,))
        return Target(spec=spec, values=table.numbers[config.column][:, None].copy())
    column = table.labels[config.column]
    order = sorted(range(len(column.names)), key=lambda code: _natural(column.names[code]))
    classes = [column.names[code] for code in order]
    if len(classes) < 2:
        raise TableError(
            f"{table.file}: column '{config.column}' (data.targets.{name}) holds "
            f"{len(classes)} class; a classification needs two or more"
        )
    if len(classes) > 1000:
        raise ConfigError(
            f"data.targets.{name}.kind: column '{config.column}' holds {len(classes)} different values; "
            "use kind=regression for numbers"
        )
    spec = TargetSpec(name=name, kind="classification", dim=len(classes), horizon=config.horizon, labels=tuple(classes))
    values = np.append(np.argsort(order), NO_CLASS)[column.codes].astype(np.int64)  # code -1 takes the last entry
    return Target(spec=spec, values=values)


def scale_target(target: Target, train_rows: NDArray[np.int64]) -> Target:
    """Fit a regression target's shift and scale on the training labels; a positive one is only scaled.

    Raises:
        TableError: the training rows hold no label, or for classes fewer than two.
    """
    values = target.values[train_rows[target.labelled[train_rows]]]
    spec = target.spec
    if not len(values):
        raise TableError(f"data.targets.{spec.name}: no training row has a label")
    if spec.kind == "classification":
        lacking = [label for code, label in enumerate(spec.labels) if not (values == code).any()]
        if lacking:
            raise TableError(
                f"data.targets.{spec.name}: class '{lacking[0]}' is in no training row; it cannot be learned "
                "(change the class borders, the split, or the column)"
            )
        return target
    deviation = values.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    shift = np.zeros(spec.dim) if spec.link == "softplus" else values.mean(axis=0)
    return replace(target, spec=replace(spec, shift=tuple(shift.tolist()), scale=tuple(scale.tolist())))


def _classes(score: Values, borders: Values) -> NDArray[np.int64]:
    """0 below the first border, len(borders) above the last, a border belongs inwards; -1 where the score is NaN."""
    codes = np.searchsorted(borders, score, side="left").astype(np.int64)
    # A score on the upper border is not beyond it, one on the lower border isn't either.
    codes += (score[:, None] == borders[borders < 0]).any(axis=1)
    codes[np.isnan(score)] = NO_CLASS
    return codes


def _natural(text: str) -> tuple[int, float, str]:
    """Sort numbers by value, before other texts."""
    try:
        return 0, float(text), text
    except ValueError:
        return 1, 0.0, text
