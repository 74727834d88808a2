"""From the targets' config to labels: built for every row before the split, fitted on training rows after it.

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

# The builders enter themselves into the registry.
from hybrid_trainer.config.targets import TargetConfig
from hybrid_trainer.data import column_targets, forecasts, price_targets, triple_barrier  # noqa: F401
from hybrid_trainer.data.features import Values
from hybrid_trainer.data.forecasts import Forecast, fit_forecast
from hybrid_trainer.data.own_targets import own_target_fault
from hybrid_trainer.data.room import PIECE
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.targets import NO_CLASS, TARGET_BUILDERS, Target
from hybrid_trainer.errors import ConfigError, TableError
from hybrid_trainer.plugins import is_own, own_code


def build_targets(table: Table, configs: dict[str, TargetConfig]) -> list[Target]:
    """Make the labels of every active target, in the order of the heads."""
    return [_built(name, table, config) for name, config in configs.items()]


def _built(name: str, table: Table, config: TargetConfig) -> Target:
    builder = TARGET_BUILDERS.get(config.builder, f"data.targets.{name}.builder")
    if not is_own(builder):
        return builder(name, table, config)
    what = f"data.targets.{name} (builder '{config.builder}')"
    with own_code(what, builder):
        target = builder(name, table, config)
    if fault := own_target_fault(target, name, table, config):
        raise ConfigError(f"{what}: {fault}")
    return target


def with_spread(targets: list[Target], tasks: Sequence[str]) -> list[Target]:
    """The same, where the heads of some tasks tell a standard deviation as well."""
    return [
        replace(target, spec=replace(target.spec, spread=True)) if target.spec.name in tasks else target
        for target in targets
    ]


def shuffle_labels(targets: list[Target], seed: int) -> list[Target]:
    """Give every labelled row the label of another one, in each task on its own; rows without a label stay so."""
    return [target.shuffled(np.random.default_rng([seed, index])) for index, target in enumerate(targets)]


def fit_targets(targets: list[Target], train_rows: NDArray[np.int64], time_window: int) -> list[Target]:
    """Learn from the training rows what targets learn: scales of numbers, borders of classes given as quantiles.

    Raises:
        TableError: the training rows hold no label of a target, or lack one of its classes.
    """
    return [_fitted(target, train_rows, time_window) for target in targets]


def _fitted(target: Target, train_rows: NDArray[np.int64], time_window: int) -> Target:
    if isinstance(target, Forecast):
        return fit_forecast(target, train_rows, time_window)
    if target.spec.kind == "classification":
        return _with_all_classes(_with_borders(target, train_rows), train_rows)
    return _scaled(target, train_rows)


def _scaled(target: Target, train_rows: NDArray[np.int64]) -> Target:
    """Shift and scale numbers by mean and standard deviation of the training labels; positive ones are only scaled."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = _moments(target.values, _labelled(target, train_rows))
    if not np.isfinite(deviation).all():  # scaled by infinity, every label would be 0
        raise TableError(
            f"data.targets.{target.spec.name}: the training labels are too large for a mean and a standard deviation; "
            "look for extreme values (above 1e150) in them"
        )
    scale = np.where(deviation > 0, deviation, 1.0)
    shift = np.zeros(len(scale)) if target.spec.link == "softplus" else mean
    return replace(target, spec=replace(target.spec, shift=tuple(shift.tolist()), scale=tuple(scale.tolist())))


def _moments(values: Values, rows: NDArray[np.int64]) -> tuple[Values, Values]:
    """Mean and standard deviation of some rows of (N, D) numbers, piece by piece."""
    pieces = [rows[start : start + PIECE] for start in range(0, len(rows), PIECE)]
    mean = sum(values[piece].sum(axis=0) for piece in pieces) / len(rows)
    squares = sum(((values[piece] - mean) ** 2).sum(axis=0) for piece in pieces)
    return np.asarray(mean), np.sqrt(squares / len(rows))


def _with_borders(target: Target, train_rows: NDArray[np.int64]) -> Target:
    """Cut classes at quantiles of the training rows' scores, where asked for; a border belongs to the class below."""
    if target.score is None:
        return target
    borders = np.quantile(target.score[_labelled(target, train_rows)], target.threshold_quantiles)
    spec = replace(target.spec, borders=tuple(borders.tolist()))
    codes = np.searchsorted(borders, target.score, side="left").astype(np.int64)
    codes[np.isnan(target.score)] = NO_CLASS
    return Target(spec=spec, values=codes, weights=target.weights)


def _with_all_classes(target: Target, train_rows: NDArray[np.int64]) -> Target:
    rows = _labelled(target, train_rows)
    starts = range(0, len(rows), PIECE)
    counts = sum(np.bincount(target.values[rows[start : start + PIECE]], minlength=target.spec.dim) for start in starts)
    assert isinstance(counts, np.ndarray)
    for label, count in zip(target.spec.labels, counts, strict=True):
        if not count:
            raise TableError(
                f"data.targets.{target.spec.name}: class '{label}' is in no training row; it cannot be learned "
                "(change the class borders, the split, or the column)"
            )
    return target


def _labelled(target: Target, train_rows: NDArray[np.int64]) -> NDArray[np.int64]:
    known = target.labelled[train_rows]
    rows = train_rows if known.all() else train_rows[known]
    if not len(rows):
        raise TableError(f"data.targets.{target.spec.name}: no training row has a label")
    return rows
