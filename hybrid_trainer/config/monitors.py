"""What the `monitor` keys name: numbers of the epoch row, sums of them, tasks that stall; checked. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hybrid_trainer.config.metrics import own_metric_names
from hybrid_trainer.config.schema import Config
from hybrid_trainer.config.targets import TargetConfig
from hybrid_trainer.errors import ConfigError, did_you_mean
from hybrid_trainer.types import JUDGED_BY, METRICS, Kind, TargetSpec, whole_metric_names

CHECKPOINT, STOPPING, SCHEDULE = (
    "callbacks.checkpoint.monitor",
    "callbacks.early_stopping.monitor",
    "training.schedule.monitor",
)
OWN_METRIC: dict[Kind, str] = {"classification": "mcc", "regression": "r2", "quantile": "pinball", "forecast": "mse"}
"""By which metric of its own a task is judged, where callbacks.task_metrics doesn't say."""

_TOTALS = ("valid/loss", "train/loss")
_CONSTANT_WEIGHTS = ("fixed", "pcgrad")  # kinds of training.balancing whose total loss is the same sum in every epoch


@dataclass(frozen=True, kw_only=True)
class Score:
    """What is looked at.

    Attributes:
        weights: the numbers of the epoch row and how much each counts.
        single: the one number whose value itself is meant, where it is no sum.
        mode: min, max or auto, for a single one. min_delta: a change by no more is no improvement.
        normalise: errors count as shares of their first value. mean_loss: the mean of such shares.
    """

    weights: dict[str, float]
    single: str | None = None
    mode: str = "auto"
    min_delta: float = 0.0
    normalise: bool = False
    mean_loss: bool = False


@dataclass(frozen=True, kw_only=True)
class Stalls:
    """Stop once `needed` of the tasks have not improved by their own score for their patience."""

    scores: dict[str, Score]
    needed: int
    patience: dict[str, int]


def of_checkpoint(config: Config) -> Score:
    """By what the best epoch is chosen."""
    return _score(config, CHECKPOINT, config.callbacks.checkpoint.monitor, config.callbacks.checkpoint.mode)


def of_schedule(config: Config) -> Score:
    """What the plateau schedule looks at."""
    return _score(config, SCHEDULE, config.training.schedule.monitor)


def of_stopping(config: Config) -> Score | Stalls:
    """What early stopping looks at."""
    settings = config.callbacks.early_stopping
    needed = _quorum(config, settings.monitor)
    if needed is None:
        return _score(config, STOPPING, settings.monitor, settings.mode, settings.min_delta)
    if settings.mode != "auto":
        raise ConfigError(f"{STOPPING[:-7]}mode: {settings.mode} is for one number; each task's metric knows its own")
    patience = {task: settings.task_patience.get(task, settings.patience) for task in config.heads}
    return Stalls(scores=of_tasks(config, settings.min_delta), needed=needed, patience=patience)


def of_tasks(config: Config, min_delta: float = 0.0) -> dict[str, Score]:
    """By what each task is judged on its own."""
    names = {task: f"valid/{task}/{own_metric(config, task)}" for task in config.heads}
    return {task: Score(weights={name: 1.0}, single=name, min_delta=min_delta) for task, name in names.items()}


def own_metric(config: Config, task: str) -> str:
    """The metric of a task's own: what callbacks.task_metrics says, else that of its kind."""
    return config.callbacks.task_metrics.get(task, OWN_METRIC[_target(config, task).head_kind])


def check(config: Config) -> None:
    """Raise ConfigError for the first monitor that names what there is not, or what means nothing."""
    known = known_monitors(config)
    for task, metric in config.callbacks.task_metrics.items():
        _check_number(config, f"callbacks.task_metrics.{task}", f"valid/{task}/{metric}", known)
    of_checkpoint(config)
    of_stopping(config)
    of_schedule(config)


def check_objective(config: Config, name: str) -> None:
    """Raise ConfigError where a search is to judge runs by what is no number of the epoch row, or by the test."""
    where = "hydra.sweeper.objectives"
    if name.startswith("test/"):
        raise ConfigError(
            f"{where}: '{name}': a search that looks at the test rows leaves none for the last word; take valid/'s"
        )
    _check_number(config, where, name, known_monitors(config), instead="")


def check_classes(config: Config, specs: Sequence[TargetSpec]) -> None:
    """Raise ConfigError where a recall is monitored whose class is not in the table's column."""
    known = {f"valid/{spec.name}/{name}": None for spec in specs for name in whole_metric_names(spec.kind, spec.labels)}
    stopping = of_stopping(config)
    scores = {CHECKPOINT: [of_checkpoint(config)], SCHEDULE: [of_schedule(config)]}
    scores[STOPPING] = list(stopping.scores.values()) if isinstance(stopping, Stalls) else [stopping]
    scores["callbacks.task_metrics"] = list(of_tasks(config).values())
    for key, some in scores.items():
        for name in (name for score in some for name in score.weights):
            if "/recall_" in name and name not in known:
                raise ConfigError(f"{key}: '{name}' is not a number of the epoch row{did_you_mean(name, known)}")


def known_monitors(config: Config) -> list[str]:
    """Every number of an epoch row that can be monitored; recalls of classes that only the table knows are not here."""
    found = []
    for part in ("valid", "train"):
        found.append(f"{part}/loss")
        for task in config.heads:
            target = _target(config, task)
            names = ["loss", *METRICS[target.head_kind]]
            if part == "valid":
                classes = target.class_names or ()
                names += whole_metric_names(target.head_kind, classes, log_volatility=target.log_volatility)
                names += own_metric_names(config.training.metrics, target.head_kind)
            found += [f"{part}/{task}/{name}" for name in names if name not in JUDGED_BY]
    return found


def weights_move(config: Config) -> bool:
    """Whether the tasks' weights in the total loss change while the model is trained."""
    return config.training.balancing.kind not in _CONSTANT_WEIGHTS


def told_of_auto(config: Config) -> str | None:
    """A line that says what `auto` stands for, where that is not valid/loss; else None."""
    if not weights_move(config):
        return None
    given = {
        CHECKPOINT: config.callbacks.checkpoint.monitor,
        STOPPING: config.callbacks.early_stopping.monitor if config.callbacks.early_stopping.enabled else None,
        SCHEDULE: config.training.schedule.monitor if config.training.schedule.kind == "plateau" else None,
    }
    keys = [key for key, value in given.items() if value == "auto"]
    if not keys:
        return None
    meant = "the mean of the tasks' validation losses, since the tasks' weights are learned"
    return f"{', '.join(keys)}: auto is {meant}"


def _target(config: Config, task: str) -> TargetConfig:
    target: TargetConfig = config.data.targets[task]
    return target


def _quorum(config: Config, given: Any) -> int | None:
    """How many tasks have to stall, where that is what the monitor says."""
    tasks = len(config.heads)
    if given == "all_stalled":
        return tasks
    if not isinstance(given, dict) or "stalled" not in given:
        return None
    needed = given["stalled"]
    if len(given) > 1 or type(needed) is not int or not 1 <= needed <= tasks:
        raise ConfigError(
            f"{STOPPING}: {_told(given)} must be {{stalled: k}}, k from 1 to {tasks}, the number of heads"
        )
    return needed


def _score(config: Config, key: str, given: Any, mode: str = "auto", min_delta: float = 0.0) -> Score:
    if given == "all_stalled" or (isinstance(given, dict) and "stalled" in given):
        raise ConfigError(
            f"{key}: {_told(given)} is for callbacks.early_stopping alone; name a number such as valid/loss"
        )
    single = _single(config, given)
    if mode != "auto" and single is None:
        raise ConfigError(f"{key[:-7]}mode: {mode} is for one number; a sum's direction is known: leave it at auto")
    if given == "auto" and single is None:
        losses = {f"valid/{task}/loss": 1.0 for task in config.heads}
        return Score(weights=losses, min_delta=min_delta, normalise=True, mean_loss=True)
    if single is not None:
        _check_number(config, key, single, known_monitors(config))
        return Score(weights={single: 1.0}, single=single, mode=mode, min_delta=min_delta)
    return _sum(config, key, given, min_delta)


def _single(config: Config, given: Any) -> str | None:
    """The one number that a monitor means, if it is one."""
    if given == "auto":
        return None if weights_move(config) else "valid/loss"
    return None if isinstance(given, dict) else str(given)


def _sum(config: Config, key: str, given: dict[str, Any], min_delta: float) -> Score:
    known, weights = known_monitors(config), {name: each for name, each in given.items() if name != "normalise"}
    normalise = given.get("normalise", False)
    if not isinstance(normalise, bool):
        raise ConfigError(f"{key}.normalise: {_told(normalise)} must be true or false")
    if not weights:
        raise ConfigError(f"{key}: name at least one number and its weight, such as {{valid/loss: 1.0}}")
    for name, weight in weights.items():
        _check_number(config, key, str(name), known)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
            raise ConfigError(f"{key}: the weight of {name}, {_told(weight)}, must be a number above 0")
    return Score(
        weights={name: float(weight) for name, weight in weights.items()}, normalise=normalise, min_delta=min_delta
    )


def _check_number(
    config: Config,
    key: str,
    name: str,
    known: list[str],
    instead: str = "auto (the mean of the tasks' losses) or ",
) -> None:
    part, _, rest = name.partition("/")
    task, _, metric = rest.partition("/")
    if metric in JUDGED_BY:
        raise ConfigError(f"{key}: '{name}': neither more nor less of it is better; use {JUDGED_BY[metric]}")
    of_the_table = task in config.heads and _target(config, task).class_names is None and metric.startswith("recall_")
    if name not in known and not (part == "valid" and of_the_table):
        raise ConfigError(f"{key}: '{name}' is not a number of the epoch row{did_you_mean(name, known)}")
    if name in _TOTALS and weights_move(config):
        own, kind = f"valid/{config.heads[0]}/loss", config.training.balancing.kind
        why = (
            f"is a sum whose weights training.balancing.kind={kind} moves, so it falls without any task getting better"
            if name == "train/loss"
            else f"is the sum by training.loss_weights, which training.balancing.kind={kind} does not minimise"
        )
        raise ConfigError(f"{key}: {name} {why}; write {instead}a task's own number such as {own}")


def _told(value: Any) -> str:
    """As a user would write it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_told(each)}" for name, each in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)
