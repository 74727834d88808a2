"""The machine profile: what `tune-engine` found on this machine, taken as defaults by runs. Imports no torch."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path
from typing import Any

from hybrid_trainer.config.axes import AXES, cores
from hybrid_trainer.errors import ConfigError

VERSION = 1
AUTO = "auto"
_ANEW = "write it anew with `python -m hybrid_trainer tune-engine`"


@dataclass(frozen=True)
class Profile:
    """A profile that was found.

    Attributes:
        path: its file. values: what keys take that nobody has given; none where it is not for this machine.
        unfit: why it is not for this machine; empty where it is.
    """

    path: Path
    values: dict[str, Any]
    unfit: str = ""

    def note(self, config: Any) -> str:
        """One line for the log: what a run has from the profile, and where it goes its own way."""
        if self.unfit:
            return f"machine profile {self.path}: not used, {self.unfit}; {_ANEW}"
        own = {key: attrgetter(key)(config) for key in self.values}
        taken = [f"{key}={value}" for key, value in self.values.items() if own[key] == value]
        given = [f"{key}={own[key]} (not {value})" for key, value in self.values.items() if own[key] != value]
        parts = [", ".join(taken)] if taken else []
        parts += [f"given otherwise: {', '.join(given)}"] if given else []
        return f"machine profile {self.path}: {'; '.join(parts) or 'the defaults are best here'}"


def find(setting: str | None) -> Profile | None:
    """The profile that `paths.machine_profile` names; None where there is none, or none is wanted.

    Raises:
        ConfigError: the file is not a profile, or it was named and isn't there.
    """
    if setting is None:
        return None
    path = place_of(setting)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if setting == AUTO:
            return None
        raise ConfigError(f"paths.machine_profile: {path}: there is no such file; {_ANEW}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from error
    return _parse(path, text)


def place_of(setting: str) -> Path:
    """Where the profile lies: the named file; for auto, hybrid_trainer/machine.json in the user's config folder."""
    if setting != AUTO:
        return Path(setting).expanduser()
    given = os.environ.get("XDG_CONFIG_HOME")
    return (Path(given) if given else Path.home() / ".config") / "hybrid_trainer" / "machine.json"


def this_machine() -> dict[str, Any]:
    """What must be the same for a profile to be used: the same figures elsewhere say nothing."""
    return {"cpu": cpu_model(), "cores": cores(), "torch": version("torch")}


def cpu_model() -> str:
    """The CPU's name; the architecture's where Linux doesn't tell one."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _parse(path: Path, text: str) -> Profile:
    try:
        content = json.loads(text)
        if content["version"] != VERSION:
            raise _damaged(path, f"its version is {content['version']!r}, not {VERSION}")
        there, values = dict(content["machine"]), dict(content["values"])
    except json.JSONDecodeError as error:
        raise _damaged(path, f"not valid JSON: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"it lacks version, machine or values: {error!r}") from error
    here = this_machine()
    other = [f"{name} {there.get(name)!r}, here {here[name]!r}" for name in here if there.get(name) != here[name]]
    if other:
        return Profile(path, {}, f"measured on another machine ({'; '.join(other)})")
    axes = {axis.key: axis.values(cores()) for axis in AXES}
    for key, value in values.items():
        if key not in axes:
            raise _damaged(path, f"'{key}' is not a key that is measured")
        if not any(value == known and type(value) is type(known) for known in axes[key]):
            raise _damaged(path, f"{key}={value!r} is not one of {', '.join(map(str, axes[key]))}")
    return Profile(path, values)


def _damaged(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{path}: not a machine profile ({why}); remove it or {_ANEW}, or go on without: paths.machine_profile=null"
    )
