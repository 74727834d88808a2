"""Checks across sections of the config: what each section cannot see alone."""

from __future__ import annotations

from hybrid_trainer.config import monitors
from hybrid_trainer.config.balancing import RATIOS
from hybrid_trainer.config.data import PRICE_COLUMNS, context_key
from hybrid_trainer.config.losses import DEFAULT_LOSS, LOSS_CONFIGS, LossConfig, names_for
from hybrid_trainer.config.model import PooledConfig
from hybrid_trainer.config.schema import Config
from hybrid_trainer.config.targets import ColumnTarget, FutureTarget, TargetConfig
from hybrid_trainer.errors import ConfigError, did_you_mean
from hybrid_trainer.types import Kind


def check(config: Config) -> None:
    """Raise ConfigError for the first pair of keys that cannot go together."""
    _check_heads(config)
    _check_tasks("training.loss_weights", list(config.training.loss_weights), config)
    _check_tasks("training.losses", list(config.training.losses), config)
    _check_losses(config)
    _check_metrics(config)
    _check_label_columns(config)
    _check_embeddings(config)
    _check_split_column(config)
    _check_forecasts(config)
    _check_tasks("callbacks.task_metrics", list(config.callbacks.task_metrics), config)
    _check_tasks("callbacks.early_stopping.task_patience", list(config.callbacks.early_stopping.task_patience), config)
    monitors.check(config)


def kind_of(config: Config, task: str) -> Kind:
    """What a task's head tells: classes, numbers, quantiles or a forecast."""
    target: TargetConfig = config.data.targets[task]
    return target.head_kind


def loss_of(config: Config, task: str) -> LossConfig:
    """The loss of a task: the one that training.losses names, else the default of its kind."""
    named: LossConfig | None = config.training.losses.get(task)
    return named or LOSS_CONFIGS.get(DEFAULT_LOSS[kind_of(config, task)], f"training.losses.{task}")()


def _check_heads(config: Config) -> None:
    targets = config.data.targets
    for name in config.heads:
        if name not in targets:
            raise ConfigError(f"model.heads: '{name}' is not in data.targets{did_you_mean(name, targets)}")
        if not name.isidentifier():
            raise ConfigError(
                f"data.targets: '{name}' must be letters, digits and underscores: it becomes part of names"
            )
    if not config.heads:
        raise ConfigError("data.targets: name at least one target")


def _check_tasks(key: str, tasks: list[str], config: Config) -> None:
    for task in tasks:
        if task not in config.heads:
            raise ConfigError(f"{key}.{task}: '{task}' is not an active head{did_you_mean(task, config.heads)}")


def _check_losses(config: Config) -> None:
    for task, loss in config.training.losses.items():
        key, kind = f"training.losses.{task}", kind_of(config, task)
        if kind not in loss.kinds:
            raise ConfigError(f"{key}: '{loss.name}' does not fit {kind}; use {' or '.join(names_for(kind))}")
        unfit = loss.unfit(config.data.targets[task])
        if unfit is not None:
            raise ConfigError(f"{key}: '{loss.name}': data.targets.{task} {unfit}")
    balancing = config.training.balancing.kind
    for task in config.heads:
        if balancing in RATIOS and loss_of(config, task).negative:
            raise ConfigError(
                f"training.balancing.kind: {balancing} needs losses that are never below zero, which "
                f"'{loss_of(config, task).name}' of task '{task}' is not; use fixed or pcgrad"
            )
    weights = [config.training.loss_weights.get(task, 1.0) for task in config.heads]
    if not any(weights):
        raise ConfigError("training.loss_weights: every active head has weight 0; nothing would be trained")


def _check_metrics(config: Config) -> None:
    kinds = {kind_of(config, task) for task in config.heads}
    for name, metric in config.training.metrics.items():
        if not kinds & set(metric.kinds):
            raise ConfigError(
                f"training.metrics.{name}: it is for heads of {' or '.join(metric.kinds)}, of which none is active; "
                "take it out"
            )


def _check_label_columns(config: Config) -> None:
    inputs = {"data.features": config.data.features, "data.categories": config.data.categories}
    inputs |= {context_key(name): columns for name, columns in config.data.context_blocks.items()}
    if "instrument" in _embeddings(config) and config.data.instrument:
        inputs["model.embeddings.instrument"] = [config.data.instrument]
    for name, target in config.active_targets.items():
        if not isinstance(target, ColumnTarget) or target.allow_contemporaneous:
            continue
        for key, columns in inputs.items():
            if target.column in columns:
                raise ConfigError(
                    f"data.targets.{name}.column: '{target.column}' is in {key} as well, so the label would be "
                    f"read off the input; remove it there, or set data.targets.{name}.allow_contemporaneous=true"
                )


def _embeddings(config: Config) -> dict[str, int]:
    found: dict[str, int] = getattr(config.model, "embeddings", {})
    return found


def _check_embeddings(config: Config) -> None:
    known = ["instrument", *config.data.categories]
    for name in _embeddings(config):
        if name not in known:
            raise ConfigError(f"model.embeddings.{name}: not a categorical input{did_you_mean(name, known)}")


def _check_split_column(config: Config) -> None:
    """What says which part a row belongs to must be no input, and no label either."""
    column = config.data.split.column
    uses = {"data.features": config.data.features, "data.categories": config.data.categories}
    uses |= {context_key(name): columns for name, columns in config.data.context_blocks.items()}
    for key, columns in uses.items():
        if column is not None and column in columns:
            raise ConfigError(
                f"data.split.column: '{column}' is in {key} as well; the split is no input: remove it there"
            )


def columns_without_past(config: Config, target: FutureTarget) -> list[str]:
    """The columns of a forecast whose own window, in the same units, is not among the features."""
    prices = {config.data.columns.get(name, name) for name in PRICE_COLUMNS} if config.data.adjusted_close else set()
    return [column for column in target.columns if column not in config.data.features or column in prices]


def _check_forecasts(config: Config) -> None:
    """What forecasts a column from its own window must be given that window."""
    model = config.model
    highway = model.highway if isinstance(model, PooledConfig) else 0
    if highway and not any(isinstance(target, FutureTarget) for target in config.active_targets.values()):
        raise ConfigError("model.highway: no head forecasts a feature (builder: future); leave it at 0")
    if model.channel_wise:
        asks = f"model={model.name} forecasts"
    elif model.window_norm != "none":
        asks = f"model.window_norm={model.window_norm} restores"
    elif highway:
        asks = f"model.highway={highway} forecasts"
    else:
        return
    for name, target in config.active_targets.items():
        for column in columns_without_past(config, target) if isinstance(target, FutureTarget) else ():
            adjusted = column in config.data.features
            way = "take data.adjusted_close out: it changes that column" if adjusted else "add it to data.features"
            raise ConfigError(
                f"data.targets.{name}.columns: {asks} a column from its own window, and '{column}' is no feature; {way}"
            )
