"""What plug-ins are written with: `from hybrid_trainer.extend import feature, model, ModelConfig, key`.

Each decorator enters a function or class under a name that a config can use, together with the dataclass of its keys.
What needs torch is imported when it is asked for: a plug-in with features, sources or targets alone starts fast.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

from hybrid_trainer.callbacks.base import EXTRA, Callback
from hybrid_trainer.config import own
from hybrid_trainer.config.callbacks import CallbackConfig
from hybrid_trainer.config.data import DataConfig
from hybrid_trainer.config.keys import check_choice, check_range, key
from hybrid_trainer.config.losses import LossConfig
from hybrid_trainer.config.metrics import MetricConfig
from hybrid_trainer.config.model import ModelConfig, SideInputConfig
from hybrid_trainer.config.targets import PriceTarget, TargetConfig
from hybrid_trainer.config.training import ScheduleOptions
from hybrid_trainer.data.ahead import classes, future, future_extreme, future_sum, per_row
from hybrid_trainer.data.features import Bars, Values, feature, lagged, rolling_mean, rolling_sum
from hybrid_trainer.data.own_sources import SOURCES
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.targets import TARGET_BUILDERS, Target
from hybrid_trainer.errors import ConfigError, TableError, TrainingError
from hybrid_trainer.types import EpochRow, Kind, TargetSpec

if TYPE_CHECKING:
    from torch import nn

    from hybrid_trainer.engine.schedules import Course, Schedule, Steps
    from hybrid_trainer.links import to_scaled
    from hybrid_trainer.losses import TaskLoss
    from hybrid_trainer.models.fusion import Heads, SideInputs
    from hybrid_trainer.models.registry import InputDims
    from hybrid_trainer.trainer import Trainer

__all__ = [
    "Bars",
    "Callback",
    "CallbackConfig",
    "ConfigError",
    "Course",
    "DataConfig",
    "EpochRow",
    "Heads",
    "InputDims",
    "LossConfig",
    "MetricConfig",
    "ModelConfig",
    "PriceTarget",
    "Schedule",
    "ScheduleOptions",
    "SideInputConfig",
    "SideInputs",
    "Steps",
    "Table",
    "TableError",
    "Target",
    "TargetConfig",
    "TargetSpec",
    "TaskLoss",
    "Trainer",
    "TrainingError",
    "Values",
    "callback",
    "check_choice",
    "check_range",
    "classes",
    "feature",
    "future",
    "future_extreme",
    "future_sum",
    "key",
    "lagged",
    "loss",
    "metric",
    "model",
    "per_row",
    "rolling_mean",
    "rolling_sum",
    "schedule",
    "source",
    "target",
    "to_scaled",
]

_WITH_TORCH = {
    "Course": "engine.schedules",
    "Heads": "models.fusion",
    "InputDims": "models.registry",
    "Schedule": "engine.schedules",
    "SideInputs": "models.fusion",
    "Steps": "engine.schedules",
    "TaskLoss": "losses",
    "Trainer": "trainer",
    "to_scaled": "links",
}

M = TypeVar("M", bound="Callable[..., nn.Module]")
S = TypeVar("S", bound=Callable[[Any], pl.DataFrame])
T = TypeVar("T", bound=Callable[[str, Table, Any], Target])
K = TypeVar("K", bound=Callable[..., Callback])
L = TypeVar("L", bound="Callable[..., Schedule]")
R = TypeVar("R", bound="Callable[..., TaskLoss]")
J = TypeVar("J", bound=Callable[..., float])


def __getattr__(name: str) -> Any:
    if name not in _WITH_TORCH:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"hybrid_trainer.{_WITH_TORCH[name]}"), name)


def model(name: str, config: type[ModelConfig]) -> Callable[[M], M]:
    """Return a decorator that makes a class a model family: `model=NAME`.

    It is made as `maker(dims, **parameters)`, the parameters being the config's keys but name, time_window and heads;
    and called as `model(x (B, T, F), context (B, C) or None, ids (B, K)) -> {task: (B, D) raw outputs}`.

    Args:
        config: its keys: a dataclass that extends ModelConfig, or SideInputConfig for category vectors and context.

    Raises:
        ValueError: the name is taken, or no config can be made of the dataclass. So it is with all the others.
    """
    from hybrid_trainer.models import MODELS

    def enter(maker: M) -> M:
        own.enter_model(name, config)
        MODELS.register(name)(maker)
        return maker

    return enter


def source(name: str, config: type[DataConfig]) -> Callable[[S], S]:
    """Return a decorator that makes a function a source: `data=NAME`.

    It is called with the config and gives a polars.DataFrame, whose rows may come in any order; it is checked like a
    file. The same config must give the same rows: a run asks again when it is resumed, and in each of its processes.
    """

    def enter(maker: S) -> S:
        own.enter_source(name, config)
        SOURCES.register(name)(maker)
        return maker

    return enter


def target(name: str, config: type[TargetConfig]) -> Callable[[T], T]:
    """Return a decorator that makes a function a builder of labels: `data.targets.TASK.builder=NAME`.

    It is called with (task, table, config) and gives a Target with a label for each row of the table, made from the
    rows (t, t + config.horizon] and at most `config.rows_behind` before them; a few labels are tried in every run.
    """

    def enter(builder: T) -> T:
        own.enter_target(name, config)
        TARGET_BUILDERS.register(name)(builder)
        return builder

    return enter


def loss(name: str, config: type[LossConfig] = LossConfig, *, kinds: tuple[Kind, ...]) -> Callable[[R], R]:
    """Return a decorator that makes a class a loss of some kinds of heads: `training.losses.TASK=NAME`.

    It is made as `maker(spec: TargetSpec, **options)`, for one task, and called with raw outputs (B, D) and labels:
    (B,) classes, (B, D) scaled numbers, or (B, 1) for quantiles. `to_scaled(raw, spec)` makes scaled numbers, or
    ordered quantiles, of raw outputs. It gives a loss per row, (B,), and must not wait for the device; masks and
    weights come later. Before anything is trained it is tried on a few labels.

    Args:
        config: its options; may say `negative`, where the loss may fall below zero, and what it is `unfit` for.
        kinds: of classification, regression, quantile, forecast.
    """
    from hybrid_trainer.losses import LOSSES

    def enter(maker: R) -> R:
        own.enter_loss(name, config, kinds)
        LOSSES.register(name)(maker)
        return maker

    return enter


def metric(
    name: str, config: type[MetricConfig] = MetricConfig, *, kinds: tuple[Kind, ...], better: str
) -> Callable[[J], J]:
    """Return a decorator that makes a function a metric of some kinds of heads: `training.metrics.NAME={KEY: value}`.

    It is called as `function(predicted, label, spec: TargetSpec, **options)` with numpy arrays of all n rows of a part
    that have a label, by instrument and time, when a validation or the test has ended, and gives one number. Of classes
    it is given (n, C) probabilities and (n,) class numbers; of numbers and forecasts (n, D) and (n, D) in the target's
    own units; of quantiles (n, Q), in order, and (n, 1). NaN or an infinity: there is no number. Before anything is
    trained it is tried on a few labels.

    Args:
        config: its options. kinds: of classification, regression, quantile, forecast.
        better: larger or smaller: which of two values is the better one.
    """
    from hybrid_trainer.metrics.own import OWN

    def enter(function: J) -> J:
        own.enter_metric(name, config, kinds, better)
        OWN.register(name)(function)
        return function

    return enter


def callback(name: str, config: type[CallbackConfig] = CallbackConfig) -> Callable[[K], K]:
    """Return a decorator that makes a class a callback: `callbacks.extra.NAME={KEY: value}`.

    It is made as `maker(folder: Path, **parameters)`, the folder being the run's, in each process that trains; write
    where `trainer.ranks.first` alone. Its `state_dict` is in the checkpoint: it is told before that is written.
    """

    def enter(maker: K) -> K:
        own.enter_callback(name, config)
        EXTRA.register(name)(maker)
        return maker

    return enter


def schedule(name: str, config: type[ScheduleOptions] = ScheduleOptions) -> Callable[[L], L]:
    """Return a decorator that makes a class a schedule: `training.schedule.kind=NAME`, keys in `.options`.

    It extends Schedule (moved per epoch, in `epoch(row)`) or Course (per step, by `factor()`), and is made as
    `maker(optimizer, steps: Steps, **options)`.
    """
    from hybrid_trainer.engine.schedules import OWN

    def enter(maker: L) -> L:
        own.enter_schedule(name, config)
        OWN.register(name)(maker)
        return maker

    return enter
