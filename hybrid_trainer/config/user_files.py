"""A user's own configs: options in ./conf/GROUP/, and one file of keys with --config FILE."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from hybrid_trainer.errors import ConfigError

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
    return [f"hydra.searchpath=[file://{folder.resolve()}]"]


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
    _store(Path(chosen[0]))
    return [f"config_file={_SLOT}", *rest]


def _store(path: Path) -> None:
    """Enter a file of keys, in the shape of an experiment, where Hydra finds it."""
    try:
        text = path.read_text(encoding="utf-8")
        tree = OmegaConf.create(text)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror} (--config)") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, DictConfig):
        raise ConfigError(f"{path}: must hold keys, such as 'training: {{epochs: 30}}'")
    if "hydra" in tree:
        raise ConfigError(f"{path}: hydra: a file of keys may not set Hydra up; give these keys on the command line")
    ConfigStore.instance().store(
        group="config_file", name=_SLOT, node=_with_options_of(tree), package="_global_", provider="--config"
    )


def _with_options_of(tree: DictConfig) -> DictConfig:
    """Let `data: {name: csv, ...}`, as in a run's own config.yaml, choose the option csv, as `defaults` would."""
    if "defaults" in tree:
        return tree
    built_in = Path(str(files("hybrid_trainer.conf")))
    named = {group: OmegaConf.select(tree, f"{group}.name") for group in GROUPS[:-1]}
    choices = [
        {f"override /{group}": name}
        for group, name in named.items()
        if name and (built_in / group / f"{name}.yaml").is_file()
    ]
    return OmegaConf.merge({"defaults": [*choices, "_self_"]}, tree) if choices else tree  # type: ignore[return-value]
