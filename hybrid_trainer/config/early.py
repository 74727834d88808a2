"""Which plug-ins a command line will have, found before anything is composed: what they add must be known by then."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, ListConfig
from omegaconf.errors import OmegaConfBaseException

from hybrid_trainer.config.compose import compose_tree
from hybrid_trainer.config.schema import OPTIONS
from hybrid_trainer.plugins import load_plugins

_CHOICES = ("experiment", "config_file", "hydra.searchpath", *OPTIONS)  # what decides which files are read
_MOST_UNKNOWN = 20


def load_named(overrides: list[str]) -> None:
    """Import the plug-ins that the overrides name, or else the files that they choose.

    Raises:
        ConfigError: one cannot be imported.
    """
    given = on_command_line(overrides)
    load_plugins(_in_files(overrides) if given is None else given)


def on_command_line(words: list[str]) -> list[str] | None:
    """The modules of `plugins=[...]`, all of them in a sweep; None where no word says it."""
    named: list[str] | None = None
    for override in _parsed([word for word in words if word.lstrip("+").startswith("plugins=")]):
        named = []
        for value in override.sweep_iterator() if override.is_sweep_override() else [override.value()]:
            named += [str(name) for name in value] if isinstance(value, list) else []
    return named


def _in_files(overrides: list[str]) -> list[str]:
    """What the files say that the overrides choose: composed without plug-ins, an unknown option taken as empty."""
    if not _files_speak_of_plugins(overrides):
        return []
    found: list[str] = []
    for choice in _each(_parsed([word for word in overrides if word.lstrip("+").partition("=")[0] in _CHOICES])):
        tree = _composed(choice)
        named = None if tree is None else tree.get("plugins")
        found += [str(name) for name in named] if isinstance(named, ListConfig) else []
    return list(dict.fromkeys(found))


def _files_speak_of_plugins(overrides: list[str]) -> bool:
    """Whether it may be worth the time: composing takes as long as all else before a run."""
    for override in _parsed([word for word in overrides if word.startswith("hydra.searchpath=")]):
        places = override.value()
        for place in places if isinstance(places, list) else []:
            folder = Path(str(place).removeprefix("file://"))
            if not str(place).startswith("file://"):
                return True  # a package of the user's
            if any(b"plugins" in path.read_bytes() for path in folder.rglob("*.yaml")):
                return True
    return False


def _each(overrides: list[Override]) -> Iterator[list[str]]:
    """The overrides of each job of a sweep over options, as texts."""
    texts = []
    for override in overrides:
        line = override.input_line or ""
        key = line.partition("=")[0]
        if override.is_discrete_sweep() and not isinstance(override.value(), Glob):
            texts.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        elif not override.is_sweep_override():
            texts.append([line])
    return (list(choice) for choice in product(*texts))


def _parsed(words: list[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(words) if words else []
    except HydraException:
        return []  # composing says what is wrong with it


def _composed(overrides: list[str]) -> DictConfig | None:
    """The tree; None where something other than an unknown option is wrong, which composing will say."""
    store = ConfigStore.instance()
    stubs: list[tuple[str, str]] = []
    try:
        for _ in range(_MOST_UNKNOWN):
            try:
                return compose_tree(overrides)
            except MissingConfigException as error:
                group, _, option = str(error.missing_cfg_file or "").removesuffix(".yaml").rpartition("/")
                if group.removeprefix("schema/") not in OPTIONS or (group, option) in stubs:
                    return None
                stubs.append((group, option))
                store.store(group=group, name=option, node={}, provider="unknown")
            except (HydraException, OmegaConfBaseException):
                return None
        return None
    finally:
        for group, option in stubs:
            place: dict[str, Any] = store.repo
            for part in group.split("/"):
                place = place[part]
            del place[f"{option}.yaml"]
