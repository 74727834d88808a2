"""What plug-ins add to the config: options of the groups, builders of targets, losses, metrics, callbacks, schedules.

Each brings a dataclass of its own; from then on it is described, completed and checked like a built-in one.
"""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass, make_dataclass
from typing import Any, TypeVar, get_args

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hybrid_trainer.config.callbacks import CALLBACKS, CallbackConfig
from hybrid_trainer.config.data import DataConfig
from hybrid_trainer.config.keys import key
from hybrid_trainer.config.known_keys import known_keys, open_mappings
from hybrid_trainer.config.losses import LOSS_CONFIGS, LossConfig
from hybrid_trainer.config.metrics import METRIC_CONFIGS, MetricConfig
from hybrid_trainer.config.model import ModelConfig
from hybrid_trainer.config.schema import OPTIONS, OWN
from hybrid_trainer.config.targets import TARGETS, TargetConfig
from hybrid_trainer.config.training import SCHEDULES, ScheduleOptions
from hybrid_trainer.registry import Registry
from hybrid_trainer.types import LOWER_IS_BETTER, METRICS, WHOLE_METRICS, Kind

C = TypeVar("C")


def enter_model(name: str, schema: type[ModelConfig]) -> None:
    """Make `model=NAME` an option."""
    _enter(OPTIONS["model"], "model", name, _named(schema, ModelConfig, "name", name, "which model family"))
    OWN.add(("model", name))


def enter_source(name: str, schema: type[DataConfig]) -> None:
    """Make `data=NAME` an option."""
    _enter(OPTIONS["data"], "source", name, _named(schema, DataConfig, "name", name, "which source reads the table"))
    OWN.add(("data", name))


def enter_target(name: str, schema: type[TargetConfig]) -> None:
    """Make `data.targets.TASK.builder=NAME` a builder."""
    meaning = "which builder makes the labels"
    _enter(TARGETS, "target builder", name, _named(schema, TargetConfig, "builder", name, meaning))


def enter_loss(name: str, schema: type[LossConfig], kinds: tuple[Kind, ...]) -> None:
    """Make `training.losses.TASK=NAME` a loss of heads of some kinds."""
    named = _named(schema, LossConfig, "name", name, "which loss")
    _enter(LOSS_CONFIGS, "loss", name, _for_kinds(named, name, kinds))


def enter_metric(name: str, schema: type[MetricConfig], kinds: tuple[Kind, ...], better: str) -> None:
    """Make `training.metrics.NAME={...}` a metric of heads of some kinds.

    Args:
        better: larger or smaller: which of two values is the better one.
    """
    if better not in ("larger", "smaller"):
        raise ValueError(f"'{name}': better='{better}' must be 'larger' or 'smaller'")
    built_in = {each for table in (METRICS, WHOLE_METRICS) for names in table.values() for each in names}
    if name in built_in | LOWER_IS_BETTER or name.startswith("recall_") or name == "gradient_norm":
        raise ValueError(f"there is already a metric named '{name}'")
    _enter(METRIC_CONFIGS, "metric", name, _for_kinds(_checked(schema, MetricConfig, name), name, kinds))
    if better == "smaller":
        LOWER_IS_BETTER.add(name)


def enter_callback(name: str, schema: type[CallbackConfig]) -> None:
    """Make `callbacks.extra.NAME={...}` a callback."""
    _enter(CALLBACKS, "callback", name, _checked(schema, CallbackConfig, name))


def enter_schedule(name: str, schema: type[ScheduleOptions]) -> None:
    """Make `training.schedule.kind=NAME` a schedule, with its keys in `training.schedule.options`."""
    if name in ("none", "plateau", "cosine", "onecycle"):
        raise ValueError(f"there is already a schedule named '{name}'")
    _enter(SCHEDULES, "schedule", name, _checked(schema, ScheduleOptions, name))


def _enter(registered: dict[str, type[C]] | Registry[type[C]], sort: str, name: str, schema: type[C]) -> None:
    if not name.isidentifier():
        raise ValueError(f"the {sort} '{name}' must be letters, digits and underscores")
    if name in registered:
        raise ValueError(f"there is already a {sort} named '{name}'")
    if isinstance(registered, Registry):
        registered.register(name)(schema)
    else:
        registered[name] = schema
    known_keys.cache_clear()
    open_mappings.cache_clear()


def _named(schema: type[C], base: type[Any], field: str, name: str, meaning: str) -> type[C]:
    """The dataclass with the registered name as the default of the key that picks it."""
    checked = _checked(schema, base, name)
    made = make_dataclass(checked.__name__, [(field, str, key(name, meaning))], bases=(checked,), kw_only=True)
    made.__doc__, made.__module__ = checked.__doc__, checked.__module__
    return made


def _for_kinds(schema: type[C], name: str, kinds: tuple[Kind, ...]) -> type[C]:
    """The dataclass, which says what kinds of heads it is for."""
    if not isinstance(kinds, tuple | list) or not kinds or not set(kinds) <= set(get_args(Kind)):
        raise ValueError(f"'{name}': kinds={kinds!r} must be some of {', '.join(get_args(Kind))}: ('regression',)")
    said = property(lambda self: tuple(kinds), doc="The kinds of heads that it is for.")
    made = make_dataclass(schema.__name__, [], bases=(schema,), namespace={"kinds": said}, kw_only=True)
    made.__doc__, made.__module__ = schema.__doc__, schema.__module__
    return made


def _checked(schema: type[C], base: type[Any], name: str) -> type[C]:
    """The dataclass itself, if a config can be made of it."""
    if not (isinstance(schema, type) and issubclass(schema, base) and is_dataclass(schema)):
        raise ValueError(
            f"'{name}': its config must be a dataclass that extends {base.__name__}: "
            f"@dataclass(kw_only=True) class MyConfig({base.__name__})"
        )
    if "__annotations__" in schema.__dict__ and "__dataclass_fields__" not in schema.__dict__:
        raise ValueError(f"'{name}': {schema.__name__} lacks its @dataclass(kw_only=True)")
    for field in fields(schema):
        if field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"'{name}': {field.name} needs a default: {field.name}: int = key(1, 'what it means')")
    try:
        OmegaConf.structured(schema)
    except OmegaConfBaseException as error:
        raise ValueError(f"'{name}': {' '.join(str(error).split())}") from error
    return schema
