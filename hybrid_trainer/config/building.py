"""Plain mappings to dataclasses: a section of the config, or an entry of an open mapping, checked on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hybrid_trainer.config import messages
from hybrid_trainer.config.callbacks import CALLBACKS
from hybrid_trainer.config.losses import LossConfig, loss_schema
from hybrid_trainer.config.metrics import METRIC_CONFIGS, MetricConfig
from hybrid_trainer.config.schema import OPTIONS
from hybrid_trainer.config.targets import TARGETS, builder_of
from hybrid_trainer.config.training import SCHEDULES, ScheduleConfig
from hybrid_trainer.errors import ConfigError, did_you_mean
from hybrid_trainer.plugins import hint


def types_of(schema: type[Any]) -> DictConfig:
    """A section's types and defaults, its mappings empty: what stands in them is conf/'s, so that ~ can remove it."""
    made = OmegaConf.structured(schema)
    assert isinstance(made, DictConfig)
    for name, kind in get_type_hints(schema).items():
        if get_origin(kind) is dict:
            made[name] = {}
    return made


def build(schema: type[Any], given: dict[str, Any], path: str) -> Any:
    """Make one dataclass of a plain mapping, with OmegaConf's conversions and our messages."""
    check_keys(schema, given, path)
    return _made(types_of(schema), given, path)


def _made(types: DictConfig, given: dict[str, Any], path: str) -> Any:
    try:
        return OmegaConf.to_object(OmegaConf.merge(types, given))
    except OmegaConfBaseException as error:
        raise messages.explain(error, path) from error


def check_keys(schema: type[Any], given: dict[str, Any], path: str) -> None:
    """Raise ConfigError for the first key, here or below, that the dataclass doesn't have."""
    hints = get_type_hints(schema)
    for name, value in given.items():
        full = f"{path}.{name}" if path else str(name)
        if name not in hints:
            raise messages.unknown_key(full)
        if not is_dataclass(hints[name]) or full in OPTIONS:
            continue
        if not isinstance(value, dict):
            raise messages.not_a_section(full)
        check_keys(hints[name], value, full)


def target_of(name: str, entry: Any) -> Any:
    """The config of one target, by its builder's dataclass."""
    path = f"data.targets.{name}"
    if not isinstance(entry, dict):
        raise ConfigError(f"{path}: {entry!r} must be a mapping such as {{builder: signal, horizon: 5}}")
    builder = builder_of(name, entry)
    if builder not in TARGETS:
        raise ConfigError(f"{path}.builder: '{builder}' is not a builder{did_you_mean(builder, TARGETS)}{hint()}")
    for key in entry:
        if key not in get_type_hints(TARGETS[builder]):
            raise messages.unknown_target_key(f"{path}.{key}", str(key), builder)
    return _entry(TARGETS[builder], {**entry, "builder": builder}, path)


def loss_of(task: str, entry: Any) -> LossConfig:
    """The config of one task's loss, by the dataclass of its name."""
    path = f"training.losses.{task}"
    if isinstance(entry, LossConfig):
        return entry
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise ConfigError(f"{path}: name a loss: {path}=focal, or {path}.name=focal with its options beside it")
    name = entry["name"]
    schema = loss_schema(name, f"{path}.name")
    known = get_type_hints(schema)
    for key in entry:
        if key not in known:
            raise ConfigError(f"{path}.{key}: no such key of the loss '{name}'{did_you_mean(str(key), known)}")
    made: LossConfig = _entry(schema, entry, path)
    return made


def callback_of(name: str, entry: Any) -> Any:
    """The config of one callback of a plug-in."""
    return _of_plug_in(CALLBACKS, "callback", name, entry, f"callbacks.extra.{name}")


def metric_of(name: str, entry: Any) -> MetricConfig:
    """The config of one metric of a plug-in."""
    made: MetricConfig = _of_plug_in(METRIC_CONFIGS, "metric", name, entry, f"training.metrics.{name}")
    return made


def _of_plug_in(known: Mapping[str, type[Any]], sort: str, name: str, entry: Any, path: str) -> Any:
    if name not in known:
        near = did_you_mean(name, known) if known else "; no plug-in has brought one: name it in plugins=[...]"
        raise ConfigError(f"{path}: there is no {sort} '{name}'{near}{hint()}")
    return _own_entry(known[name], {} if entry is None else entry, path)


def options_of(schedule: ScheduleConfig) -> dict[str, Any]:
    """All keys of a plug-in's schedule, with their values; {} for a built-in one."""
    if schedule.kind not in SCHEDULES:
        return {}
    return asdict(_own_entry(SCHEDULES[schedule.kind], schedule.options, "training.schedule.options"))


def _own_entry(schema: type[Any], entry: Any, path: str) -> Any:
    if not isinstance(entry, dict):
        raise ConfigError(f"{path}: {entry!r} must be a mapping: {path}={{KEY: value}}")
    known = get_type_hints(schema)
    for key in entry:
        if key not in known:
            raise ConfigError(f"{path}.{key}: no such key{did_you_mean(str(key), known) or '; it has none: write {}'}")
    return _entry(schema, entry, path)


def _entry(schema: type[Any], entry: dict[str, Any], path: str) -> Any:
    """One dataclass; its mappings keep their defaults, since no file in conf/ says them; its errors name the path."""
    types = OmegaConf.structured(schema)
    assert isinstance(types, DictConfig)
    try:
        return _made(types, entry, path)
    except ConfigError as error:
        text = str(error)
        raise ConfigError(text if text.startswith(path) else f"{path}.{text}") from error
