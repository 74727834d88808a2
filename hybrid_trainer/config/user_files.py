"""A user's own configs: options in ./conf/GROUP/, and one file of keys with --config FILE."""

from __future__ import annotations

from dataclasses import fields
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from hybrid_trainer.config.early import on_command_line
from hybrid_trainer.config.messages import WHOLE_SECTION
from hybrid_trainer.config.schema import OPTIONS
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.plugins import load_plugins

GROUPS = ("data", "model", "training", "callbacks", "experiment")
_SLOT = "file"


def overrides(folder: Path = Path("conf")) -> list[str]:
    """The override that lets Hydra search ./conf; an option there that has the name of a built-in one is refused."""
    own = [path for group in GROUPS for path in sorted((folder / group).rglob("*.yaml"))]
    built_in = Path(str(files("hybrid_trainer.conf")))
    if not own or folder.resolve() == built_in.resolve():
        return []
    for path in own:
        other = built_in / path.relative_to(folder)
        if other.is_file() and other.read_bytes() != path.read_bytes():
            raise ConfigError(
                f"{path}: the built-in option {path.relative_to(folder).with_suffix('')} has this name, so "
                "this file would not be read; give it another name (it may begin with 'defaults: "
                f"[{path.stem}, _self_]')"
            )
    quoted = str(folder.resolve()).replace("\\", "\\\\").replace("'", "\\'")
    return [f"hydra.searchpath=['file://{quoted}']"]


class OwnOptions(SearchPathPlugin):
    """Lets Hydra's shell completion see ./conf: it reads no override, so `hydra.searchpath` says nothing to it."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append ./conf where it is a folder."""
        if Path("conf").is_dir():
            search_path.append("own", f"file://{Path('conf').resolve()}")


def config_option(arguments: list[str]) -> Path | None:
    """The file of --config; None where there is none."""
    for word, after in pairwise([*arguments, ""]):
        if word == "--config":
            return Path(after)
        if word.startswith("--config="):
            return Path(word.partition("=")[2])
    return None


def take_config_option(arguments: list[str]) -> list[str]:
    """Take --config FILE out of the arguments; the file becomes the last thing composed before the overrides."""
    rest: list[str] = []
    chosen: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--config":
            file = next(words, None)
            if file is None:
                raise ConfigError("--config: name a YAML file: --config my_setup.yaml")
            chosen.append(file)
        elif word.startswith("--config="):
            chosen.append(word.partition("=")[2])
        else:
            rest.append(word)
    if len(chosen) > 1:
        raise ConfigError(f"--config: only one file can be given, not {len(chosen)}")
    if not chosen:
        return rest
    whole = _store(Path(chosen[0]), on_command_line(rest))
    for word in rest:
        key = word.partition("=")[0].lstrip("+~")
        if key in whole or (key == "experiment" and whole):
            raise ConfigError(f"{key}: {word} would change nothing beside {chosen[0]}; {WHOLE_SECTION}")
    return [f"config_file={_SLOT}", *rest]


def _store(path: Path, plugins: list[str] | None) -> list[str]:
    """Enter a file of keys, in the shape of an experiment, where Hydra finds it; returns the groups it has whole.

    Args:
        plugins: what the command line says in the place of the file.
    """
    try:
        # OmegaConf's own loader: it reads 1e-3 as a number, and refuses a key that stands there twice.
        tree = OmegaConf.load(path)
        keys = OmegaConf.to_container(tree)
    except OSError as error:
        if error.strerror is None:  # what OmegaConf says of a file that is neither a mapping nor a list
            raise ConfigError(f"{path}: must hold keys, such as 'training: {{epochs: 30}}'") from error
        raise ConfigError(f"{path}: {error.strerror} (--config)") from error
    except (YAMLError, UnicodeDecodeError, OmegaConfBaseException) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(keys, dict):
        raise ConfigError(f"{path}: must hold keys, such as 'training: {{epochs: 30}}'")
    if "hydra" in keys:
        raise ConfigError(f"{path}: hydra: a file of keys may not set Hydra up; give these keys on the command line")
    named = keys.get("plugins") if plugins is None else plugins
    if isinstance(
        named, list
    ):  # the options that they bring may be chosen here; anything else is told when it is composed
        load_plugins([str(name) for name in named])
    for group in OPTIONS:
        if group in keys and not isinstance(keys[group], dict):
            raise ConfigError(
                f"{path}: {group}: must hold keys; an option is chosen with "
                f"'defaults: [override /{group}: {keys[group]}]'"
            )
    node = {"defaults": _options_of(keys), **keys} if "defaults" not in keys else keys
    ConfigStore.instance().store(group="config_file", name=_SLOT, node=node, package="_global_", provider="--config")
    return [group for group in OPTIONS if _is_whole(group, keys)]


def _options_of(keys: dict[Any, Any]) -> list[Any]:
    """Let `data: {name: csv, ...}` choose the option csv, as a defaults list would.

    A section that holds every key of its option, as in a run's own config.yaml, is that section: it takes the option's
    types alone, so that an entry which that run had removed does not come back.
    """
    schemas: list[dict[str, Any]] = []
    choices: list[dict[str, Any]] = []
    for group, options in OPTIONS.items():
        section = keys.get(group, {})
        name = section.get("name")
        if name not in options:
            continue  # an unknown name is told when the section is checked
        if _is_whole(group, keys):
            schemas.append({f"/schema/{group}@{group}": name})
            name = None
        choices.append({f"override /{group}": name})
    return [*schemas, "_self_", *choices]


def _is_whole(group: str, keys: dict[Any, Any]) -> bool:
    """Whether a file says every key of a section: nothing that an option says of it would remain."""
    section = keys.get(group, {})
    schema = OPTIONS[group].get(section.get("name"))
    return schema is not None and all(field.name in section for field in fields(schema))
