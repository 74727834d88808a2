"""A frozen copy of everything that composing reads from files: what is edited later changes nothing in the queue."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

BUILT_IN, CONFIG_FILE = "built_in", "config_file.yaml"
_OWN = "own"
_SCHEME = "file://"


def freeze(folder: Path, searchpath: list[str], config_file: Path | None) -> list[str]:
    """Copy the built-in options, the folders of the search path, and the file of --config.

    Args:
        folder: where the copies go. searchpath: Hydra's, as it was given.

    Returns:
        The search path with each folder's copy in its place, relative to `folder`; a package stays what it is.
    """
    _copy(Path(str(files("hybrid_trainer.conf"))), folder / BUILT_IN)
    if config_file is not None:
        shutil.copyfile(config_file, folder / CONFIG_FILE)
    frozen = []
    for number, place in enumerate(searchpath):
        if "://" in place and not place.startswith(_SCHEME):
            frozen.append(place)
            continue
        own = f"{_OWN}/{number}"
        _copy(Path(place.removeprefix(_SCHEME)), folder / own)
        frozen.append(own)
    return frozen


def thawed(folder: Path, frozen: list[str]) -> list[str]:
    """The search path for Hydra: what `freeze` has returned, wherever the folder lies by now."""
    return [place if "://" in place else f"{_SCHEME}{(folder / place).resolve()}" for place in frozen]


def _copy(source: Path, target: Path) -> None:
    """Copy the YAML files of a folder and of those below."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.rglob("*.yaml")):
        copied = target / path.relative_to(source)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copied)
