"""The config of the callbacks: what looks on while a model is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybrid_trainer.config.keys import check_choice, check_range, key

_MONITOR = (
    "a number of the epoch row, such as valid/signal/macro_f1; or a weighted sum: "
    "{NUMBER: weight, ..., normalise: true}; "
    "auto: valid/loss, or the mean of the tasks' losses where their weights are learned"
)


@dataclass(kw_only=True)
class EarlyStoppingConfig:
    """Stop when the monitor no longer improves."""

    enabled: bool = key(True, "stop early at all")
    monitor: Any = key("auto", f"{_MONITOR}; or all_stalled, or {{stalled: k}}: all tasks, or k, by their own metric")
    mode: str = key("auto", "min | max | auto (by what the metric means)")
    patience: int = key(5, "epochs without improvement before training stops")
    task_patience: dict[str, int] = key(
        {}, "monitor=all_stalled or {stalled: k}: a task's own patience: TASK: epochs; `patience` where not given"
    )
    min_delta: float = key(0.0, "a smaller change is no improvement")

    def __post_init__(self) -> None:
        check_choice("callbacks.early_stopping.mode", self.mode, ["auto", "min", "max"])
        check_range("callbacks.early_stopping.patience", self.patience, low=1)
        check_range("callbacks.early_stopping.min_delta", self.min_delta, low=0)
        for task, epochs in self.task_patience.items():
            check_range(f"callbacks.early_stopping.task_patience.{task}", epochs, low=1)


@dataclass(kw_only=True)
class CheckpointConfig:
    """Keep the best epoch (which is tested and saved as the model) and all state of the last one, to resume from."""

    monitor: Any = key("auto", _MONITOR)
    mode: str = key("auto", "min | max | auto (by what the metric means)")
    per_task: bool = key(
        False, "keep the best epoch for each task, too, by its callbacks.task_metrics: checkpoints/best-TASK-EPOCH.pt"
    )
    every_steps: int | None = key(None, "also within an epoch, after so many steps; null: not by steps")
    every_minutes: float | None = key(10.0, "also within an epoch, when the last is so long ago; null: not by time")

    def __post_init__(self) -> None:
        check_choice("callbacks.checkpoint.mode", self.mode, ["auto", "min", "max"])
        check_range("callbacks.checkpoint.every_steps", self.every_steps, low=1)
        check_range("callbacks.checkpoint.every_minutes", self.every_minutes, above=0)


@dataclass(kw_only=True)
class TensorBoardConfig:
    """Write each epoch row as TensorBoard scalars."""

    enabled: bool = key(True, "write them at all")


@dataclass(kw_only=True)
class ProgressConfig:
    """Show how far training is: a live bar on a terminal, a line per epoch elsewhere."""

    enabled: bool = key(True, "show it at all")


@dataclass(kw_only=True)
class ResourcesConfig:
    """Write time, CPU, memory and GPU figures to resources.jsonl and TensorBoard; never to the history."""

    enabled: bool = key(True, "write them at all")
    every_seconds: float = key(30.0, "the longest time without a row; at the end of an epoch there always is one")

    def __post_init__(self) -> None:
        check_range("callbacks.resources.every_seconds", self.every_seconds, above=0)


@dataclass(kw_only=True)
class CallbackConfig:
    """What every callback of a plug-in says; it goes without keys."""


CALLBACKS: dict[str, type[CallbackConfig]] = {}
"""The callbacks of plug-ins by name: the entries of the open mapping `callbacks.extra`."""


@dataclass(kw_only=True)
class CallbacksConfig:
    """All callbacks."""

    name: str = key("default", "which callbacks section")
    task_metrics: dict[str, str] = key(
        {}, "by which metric each task is judged on its own: TASK: metric; mcc, r2, pinball or mse where not given"
    )
    early_stopping: EarlyStoppingConfig = key(EarlyStoppingConfig(), "stop when nothing improves")
    checkpoint: CheckpointConfig = key(CheckpointConfig(), "keep the best and the last epoch")
    tensorboard: TensorBoardConfig = key(TensorBoardConfig(), "curves for TensorBoard")
    resources: ResourcesConfig = key(ResourcesConfig(), "what the run costs")
    progress: ProgressConfig = key(ProgressConfig(), "what the terminal shows")
    extra: dict[str, Any] = key({}, "callbacks of your plug-ins: NAME: {KEY: value, ...}; {} takes their defaults")
