"""The command line's overrides, made ready for Hydra."""

from __future__ import annotations

import re

from hybrid_trainer.config.early import load_named
from hybrid_trainer.config.known_keys import open_mappings
from hybrid_trainer.config.schema import OPTIONS
from hybrid_trainer.config.search import OPEN
from hybrid_trainer.errors import ConfigError

_OPTION = re.compile(r"(?!null$)[A-Za-z_$'\"]")
_WORD = re.compile(r"[\w.-]+", re.ASCII)
_WITH_EQUALS = re.compile(r"[\w./~@%+-]+(=[\w./~@%+-]*)+", re.ASCII)
_EXPRESSIONS = "data.expressions"
_REFUSED = ("hydra.callbacks", "hydra.job_logging", "hydra.hydra_logging", "hydra/job_logging", "hydra/hydra_logging")


def prepare(overrides: list[str]) -> list[str]:
    """Return the overrides as Hydra needs them; one that no run may have is a ConfigError.

    An override at or below an open mapping (`data.targets.signal.horizon=3`) gets `++`: Hydra knows the mapping, but
    not the entries that a user makes in it. Plug-ins that overrides or files name are imported: their options, keys and
    mappings count from here on.
    """
    load_named(overrides)
    return [_prepare(override) for override in overrides]


def _prepare(override: str) -> str:
    key, equals, value = override.partition("=")
    name = key.lstrip("+~")
    if not name:
        raise ConfigError(f"{override}: not an override; write key=value")
    if name.startswith(_REFUSED):
        raise ConfigError(
            f"{name}: cannot be set: a run sets up its own logging, and a config may not name code to run"
        )
    if "_target_" in override and name.startswith("hydra"):
        raise ConfigError(
            f"{name}: a config may not name code to run (_target_); choose an option or a plugin by its name"
        )
    if name in OPTIONS and (key.startswith("~") or not _OPTION.match(value)):
        what = "a group cannot be removed" if key.startswith("~") else f"'{value}' is not an option"
        raise ConfigError(f"{name}: {what}; write {name}={' or '.join(OPTIONS[name])}")
    if equals and name.startswith(f"{_EXPRESSIONS}.") and not value.startswith(("'", '"')):
        escaped = value.replace('"', '\\"')
        override = f'{key}="{escaped}"'  # col('close') is a function call in Hydra's own grammar
    if name == "run.id" and _WORD.fullmatch(value) and value != "null":
        return f"{key}='{value}'"  # a name is text: 1e5 and 2026_11_25 are numbers in Hydra's grammar
    if _WITH_EQUALS.fullmatch(value):
        override = f"{key}='{value}'"  # such as a folder that a sweep or a partition has named
    if equals and not key.startswith(("+", "~")) and _is_open(name):
        return f"++{override}"
    return override


def _is_open(name: str) -> bool:
    return any(name == mapping or name.startswith(f"{mapping}.") for mapping in (*open_mappings(), *OPEN))
