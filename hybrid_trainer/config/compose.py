"""From the command line's overrides to a `Config`: composing with Hydra, then plain dataclasses."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_origin, get_type_hints

from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hybrid_trainer.config import consistency, machine_profile, messages
from hybrid_trainer.config.building import (
    build,
    callback_of,
    check_keys,
    loss_of,
    metric_of,
    options_of,
    target_of,
    types_of,
)
from hybrid_trainer.config.data import TableData
from hybrid_trainer.config.horizons import spread_horizons
from hybrid_trainer.config.known_keys import keys_of
from hybrid_trainer.config.launchers import ON_CLUSTERS, LocalLauncherConfig
from hybrid_trainer.config.machine_profile import Profile
from hybrid_trainer.config.schema import OPTIONS, OWN, Config, PathsConfig, RunConfig, TopLevelConfig
from hybrid_trainer.config.search import OPEN, SearchConfig
from hybrid_trainer.errors import ConfigError, did_you_mean
from hybrid_trainer.plugins import hint, load_plugins

CONFIG_MODULE = "hybrid_trainer.conf"
_PLUGINS = ("hydra._internal.core_plugins.", "hydra_plugins.")  # what hydra/launcher=NAME and hydra/sweeper=NAME pick


_TOLD: list[Any] = []
"""What stands in Hydra's store: putting it there takes almost as long as all the rest of composing."""


@cache
def _run_suffix() -> str:
    """The random end of this process's run directories: two runs started in the same second have two."""
    return secrets.token_hex(3)


def register(measured: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Tell Hydra the dataclasses behind conf/ and the resolvers in it.

    Args:
        measured: a machine profile's values by key: they take the place of the dataclasses' defaults, so that whatever
            an option, a file or the command line says wins over them.
    """
    OmegaConf.register_new_resolver("run_suffix", _run_suffix, replace=True)
    told = [dict(measured), {group: dict(options) for group, options in OPTIONS.items()}, set(OWN)]
    if told == _TOLD:
        return
    store = ConfigStore.instance()
    store.store(group="schema", name="paths", node=PathsConfig, provider="hybrid_trainer")
    store.store(group="schema", name="run", node=RunConfig, provider="hybrid_trainer")
    store.store(group="hydra/sweeper", name="optuna", node=SearchConfig, provider="hybrid_trainer")
    Plugins.instance()  # packages of launchers enter options of their own, once
    store.store(group="hydra/launcher", name="local", node=LocalLauncherConfig, provider="hybrid_trainer")
    for name, keys in ON_CLUSTERS.items():
        store.store(group="hydra/launcher", name=name, node=keys, provider="hybrid_trainer")
    for group, options in OPTIONS.items():
        for name, schema in options.items():
            node = types_of(schema)
            for key, value in measured.items():
                if key in {known.path for known in keys_of(schema, f"{group}.")}:
                    OmegaConf.update(node, key.partition(".")[2], value)
            store.store(group=f"schema/{group}", name=name, node=node, provider="hybrid_trainer")
    for group, name in OWN:
        store.store(group=group, name=name, node=_option(group, name), provider="hybrid_trainer")
    _TOLD[:] = told


def _option(group: str, name: str) -> dict[str, Any]:
    """What stands in conf/ for a built-in option: its schema, and the entries that its mappings begin with."""
    schema = OPTIONS[group][name]
    mappings = {known for known, kind in get_type_hints(schema).items() if get_origin(kind) is dict}
    defaults = {known.path: known.default for known in keys_of(schema, "")}  # none is made: it might lack a value
    own = {known: entry for known, entry in defaults.items() if known in mappings and entry}
    if issubclass(schema, TableData):
        own["path"] = "${paths.processed_data_path}"
    prices = [{"targets": "price"}] if group == "data" and "targets" not in own else []
    return {"defaults": [f"/schema/{group}/{name}@_here_", *prices, "_self_"], **own}


def compose_config(overrides: list[str]) -> DictConfig:
    """Compose one run's config tree, `hydra` included; whatever is wrong in it is a ConfigError."""
    return compose_here(overrides)[0]


def compose_here(overrides: list[str]) -> tuple[DictConfig, Profile | None]:
    """The same, and the machine profile whose values stand in it where no one has given others."""
    usual = None
    with suppress(ConfigError):  # it matters only if the config asks for it
        usual = machine_profile.find(machine_profile.AUTO)
    tree = compose_bare(overrides, usual.values if usual else {})
    try:
        paths = tree.paths
        setting = paths.machine_profile if isinstance(paths, DictConfig) else None  # `to_config` says what is wrong
    except OmegaConfBaseException as error:
        raise messages.explain(error) from error
    profile = machine_profile.find(setting)
    if (profile.values if profile else {}) != (usual.values if usual else {}):
        tree = compose_bare(overrides, profile.values if profile else {})
    return tree, profile


def compose_bare(overrides: list[str], measured: Mapping[str, Any] = MappingProxyType({})) -> DictConfig:
    """Compose without looking for a machine profile; `measured` are values that one holds."""
    try:
        tree = compose_tree(overrides, measured)
    except Exception as error:
        raise _of_an_experiment(messages.explain(error), overrides) from error
    refuse_code(tree)
    return tree


def _of_an_experiment(error: ConfigError, overrides: list[str]) -> ConfigError:
    """Say who sets a key that the chosen option doesn't have, where the command line doesn't."""
    key, only, options = str(error).partition(": only with ")
    chosen = [word for word in overrides if word.lstrip("+").startswith("experiment=")]
    if not only or not chosen or any(word.lstrip("+~").startswith(f"{key}=") for word in overrides):
        return error
    return ConfigError(f"{key}: {chosen[-1]} sets it, and only {options} has it; write an experiment without such keys")


def compose_tree(overrides: list[str], measured: Mapping[str, Any] = MappingProxyType({})) -> DictConfig:
    """The same, with Hydra's own errors."""
    register(measured)
    GlobalHydra.instance().clear()
    with initialize_config_module(CONFIG_MODULE, version_base="1.3"):
        return compose("config", overrides=overrides, return_hydra_config=True)


def refuse_code(tree: DictConfig) -> None:
    """Raise ConfigError where the composed `hydra` section asks for code that a config must not pick."""
    hydra = tree.hydra
    if hydra.callbacks:
        raise ConfigError(f"hydra.callbacks: {', '.join(hydra.callbacks)}: a config may not name code to run")
    for section in ("job_logging", "hydra_logging"):
        given = OmegaConf.to_container(hydra[section])
        if given != {"version": 1, "root": None, "disable_existing_loggers": False}:
            raise ConfigError(f"hydra.{section}: logging is set up by the run itself; remove this section")
    if "basic_sweeper" in str(hydra.sweeper.get("_target_")):
        for key in OPEN:  # `prepare` had to let it pass
            if key.split(".")[2] in hydra.sweeper:
                raise ConfigError(f"{key}: only with hydra/sweeper=optuna")
    for path, target in _targets(OmegaConf.to_container(hydra), "hydra"):
        if not target.startswith(_PLUGINS):
            raise ConfigError(
                f"{path}._target_: '{target}': a config may not name code to run; choose a plugin by its name"
            )


def _targets(tree: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key == "_target_":
                yield path, str(value)
            yield from _targets(value, f"{path}.{key}")
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _targets(value, f"{path}[{index}]")


def to_config(tree: DictConfig) -> Config:
    """Turn a composed tree into plain dataclasses; an unknown key or a wrong type is a ConfigError.

    Every key is compared with the dataclass fields, since a key behind `+` has passed Hydra unseen.
    """
    try:
        ours = OmegaConf.masked_copy(tree, [str(key) for key in tree if key != "hydra"])
        plain = OmegaConf.to_container(ours, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise messages.explain(error) from error
    assert isinstance(plain, dict)
    for part in ("experiment", "config_file"):
        if plain.get(part) is None:
            plain.pop(part, None)
    sections: dict[str, Any] = {str(name): value for name, value in plain.items()}
    check_keys(Config, sections, "")
    rest = {name: value for name, value in sections.items() if name not in OPTIONS}
    top = build(TopLevelConfig, rest, "")
    load_plugins(top.plugins)
    for group, options in OPTIONS.items():
        sections[group] = _section(group, options, sections.get(group))
    targets = spread_horizons(sections["data"].targets)
    sections["data"].targets = {name: target_of(name, entry) for name, entry in targets.items()}
    losses = sections["training"].losses
    sections["training"].losses = {task: loss_of(task, entry) for task, entry in losses.items()}
    metrics = sections["training"].metrics
    sections["training"].metrics = {name: metric_of(name, entry) for name, entry in metrics.items()}
    extra = sections["callbacks"].extra
    sections["callbacks"].extra = {name: callback_of(name, entry) for name, entry in extra.items()}
    sections["training"].schedule.options = options_of(sections["training"].schedule)
    groups = {group: sections[group] for group in OPTIONS}
    config = Config(seed=top.seed, run=top.run, plugins=top.plugins, paths=top.paths, **groups)
    consistency.check(config)
    return config


def load_config(file: Path) -> Config:
    """Read a run's own config.yaml back."""
    tree = OmegaConf.load(file)
    assert isinstance(tree, DictConfig)
    return to_config(tree)


def _section(group: str, options: dict[str, type[Any]], given: Any) -> Any:
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise ConfigError(f"{group}: choose an option: {group}={' | '.join(options)}")
    name = given["name"]
    if name not in options:
        raise ConfigError(f"{group}.name: '{name}' is not known{did_you_mean(name, options)}{hint()}")
    return build(options[name], given, group)
