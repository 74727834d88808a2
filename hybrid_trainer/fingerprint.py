"""What a run computes with and on: a resumed run says what of it has changed, and refuses what can't go on."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hybrid_trainer.config.consistency import loss_of
from hybrid_trainer.config.machine_profile import cpu_model
from hybrid_trainer.config.schema import Config
from hybrid_trainer.data.table import Table
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.plugins import digests
from hybrid_trainer.ranks import of_process

if TYPE_CHECKING:
    from hybrid_trainer.build import Machine

# What the weights, the moments and the rows in their order are made of; of these, only where the table lies may change.
_MADE_OF = (
    "model.",
    "data.",
    "plugins",
    "seed",
    "training.optimizer",
    "training.class_weights",
    "training.losses",
    "training.balancing",
)
# By which the best weights were kept.
_BEST_BY = (
    "callbacks.checkpoint.monitor",
    "callbacks.checkpoint.mode",
    "callbacks.checkpoint.per_task",
    "callbacks.task_metrics",
    "training.metrics.",  # what one means; another one may come
)
_FIXED = (*_MADE_OF, *_BEST_BY)
_ONE_VALUE = (
    "callbacks.checkpoint.monitor",
    "callbacks.early_stopping.monitor",
    "training.schedule.monitor",
    "callbacks.task_metrics",
)
_MAY_CHANGE = ("data.path", "data.cache", "data.in_memory_mib")
_OF_THE_EPOCH = ("training.batch_size", "training.accumulate")
_NOT_OF_THE_RUN = ("paths.", "run.", "callbacks.progress", "callbacks.resources", "training.resume", "training.reshard")


def of(config: Config, table: Table, on: Machine, *, pooled: bool = False) -> dict[str, Any]:
    """The fingerprint, as plain types.

    Args:
        pooled: whether the panel is a map of files, whose rows come in another order.
    """
    return {
        "config": flat(asdict(config)) | {"training.losses": _losses(config)},
        "data": table.sha256,
        "panel": "in files" if pooled else "in memory",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": str(torch.__version__),
        "processes": of_process().size,
        "threads": config.training.threads,
        "device": torch.cuda.get_device_name(on.device) if on.device.type == "cuda" else f"cpu ({cpu_model()})",
        "precision": on.precision.name,
        **({"plug-ins' code": digests(config.plugins)} if config.plugins else {}),
    }


def _losses(config: Config) -> dict[str, Any]:
    """The loss of every task as one value: naming the default is no change, and one that is new is."""
    return {task: asdict(loss_of(config, task)) for task in config.heads}


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}; an empty mapping is a value, as is what a monitor is made of."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict) and value and f"{prefix}{name}" not in _ONE_VALUE:
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def changes(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each thing that has changed, paths and what the terminal shows aside."""
    for key in _changed_keys(before["config"], now["config"]):
        if not key.startswith(_NOT_OF_THE_RUN):
            yield f"{key}: {_told(before['config'], key)} -> {_told(now['config'], key)}"
    for name in now:
        if name != "config" and before.get(name) != now[name]:
            if name == "processes":
                yield (
                    f"{name}: {before.get(name)} -> {now[name]}; they share the batches out anew, sums are in another "
                    "order and dropout draws other numbers"
                )
                continue
            what = "the table's content" if name == "data" else name
            yield (
                f"{what} has changed: {before.get(name)} -> {now[name]}; the result will not repeat an uninterrupted "
                "run's bit for bit"
            )


def refuse_if_it_cannot_fit(state: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise ConfigError where a key has changed that the state was made with."""
    before = state["fingerprint"]["config"]
    processes = state["fingerprint"]["processes"]
    if processes != now["processes"] and not now["config"]["training.reshard"]:
        raise ConfigError(
            f"the run was trained by {processes} process(es) so far, and would be by {now['processes']}; resume with "
            "as many, or add training.reshard=true: dropout will draw other numbers then, as with another seed"
        )
    for name, what in {"data": "the table's content", "panel": "where the panel is"}.items():
        if state["step_in_epoch"] and state["fingerprint"][name] != now[name]:
            raise ConfigError(
                f"{what} has changed ({state['fingerprint'][name]} -> {now[name]}) in the middle of an epoch (after "
                f"step {state['step_in_epoch']}), whose rows would come in another order; resume with it as it was, or "
                "begin a new run"
            )
    for key in _changed_keys(before, now["config"]):
        fixed = key.startswith(_FIXED) and key not in _MAY_CHANGE
        if fixed or (key in _OF_THE_EPOCH and state["step_in_epoch"]):
            when = "" if fixed else f" in the middle of an epoch (after step {state['step_in_epoch']})"
            raise ConfigError(
                f"{key}: a resumed run cannot change it{when}: it was {_told(before, key)} and would be "
                f"{_told(now['config'], key)}; leave it, or begin a new run"
            )


def _changed_keys(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Keys in the order of the config; one that only the older or the newer version knows has not changed."""
    return [key for key in now if key in before and before[key] != now[key]]


def _told(config: dict[str, Any], key: str) -> str:
    return "null" if config[key] is None else str(config[key])
