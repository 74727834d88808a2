"""The config of the callbacks: what looks on while a model is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybrid_trainer.config.keys import check_choice, check_range, key


@dataclass(kw_only=True)
class EarlyStoppingConfig:
    """Stop when the monitor no longer improves."""

    enabled: bool = key(True, "stop early at all")
    monitor: str = key("valid/loss", "a number of the epoch row, such as valid/loss or valid/signal/macro_f1")
    mode: str = key("auto", "min | max | auto (by what the metric means)")
    patience: int = key(5, "epochs without improvement before training stops")
    min_delta: float = key(0.0, "a smaller change is no improvement")

    def __post_init__(self) -> None:
        check_choice("callbacks.early_stopping.mode", self.mode, ["auto", "min", "max"])
        check_range("callbacks.early_stopping.patience", self.patience, low=1)
        check_range("callbacks.early_stopping.min_delta", self.min_delta, low=0)


@dataclass(kw_only=True)
class CheckpointConfig:
    """Keep the best epoch (which is tested and saved as the model) and all state of the last one, to resume from."""

    monitor: str = key("valid/loss", "a number of the epoch row, such as valid/loss or valid/signal/macro_f1")
    mode: str = key("auto", "min | max | auto (by what the metric means)")
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
    early_stopping: EarlyStoppingConfig = key(EarlyStoppingConfig(), "stop when nothing improves")
    checkpoint: CheckpointConfig = key(CheckpointConfig(), "keep the best and the last epoch")
    tensorboard: TensorBoardConfig = key(TensorBoardConfig(), "curves for TensorBoard")
    resources: ResourcesConfig = key(ResourcesConfig(), "what the run costs")
    progress: ProgressConfig = key(ProgressConfig(), "what the terminal shows")
    extra: dict[str, Any] = key({}, "callbacks of your plug-ins: NAME: {KEY: value, ...}; {} takes their defaults")
