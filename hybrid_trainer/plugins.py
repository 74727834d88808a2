"""Code of the user's own: plug-ins are modules, or packages that are installed; importing one enters what it declares.

Nothing is imported but what a config or a command line names: an installed package changes no run that doesn't use it.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

from hybrid_trainer.errors import ConfigError, UserError, did_you_mean

GROUP = "hybrid_trainer.plugins"
_OURS = "hybrid_trainer."


def load_plugins(names: Sequence[str]) -> None:
    """Import plug-ins: what is installed under that name, else a module, installed or in the current folder.

    Each is imported once per process.

    Raises:
        ConfigError: there is no plug-in or module of a name, or importing it fails; the text says why.
    """
    if not names:
        return
    folder = str(Path.cwd())
    if folder not in sys.path and "" not in sys.path:
        sys.path.append(folder)  # last: a file here never takes the place of an installed module
    known = installed()
    for name in names:
        module = known.get(name, name)
        if module.endswith(".py") or not all(part.isidentifier() for part in module.split(".")):
            raise ConfigError(f"plugins: '{name}' is not the name of a module; write plugins=[my_features]")
        try:
            importlib.import_module(module)
        except (Exception, SystemExit) as error:
            said = " ".join(str(error).split())
            missing = isinstance(error, ModuleNotFoundError) and error.name == module
            near = did_you_mean(name, known) if missing else ""
            raise ConfigError(
                f"plugins: '{name}' cannot be imported from {folder} or what is installed "
                f"({type(error).__name__}: {said}){near if 'did you mean' in near else ''}"
            ) from error


def installed() -> dict[str, str]:
    """The plug-ins of installed packages: their names, and the modules that are imported for them. Imports none."""
    return {entry.name: entry.module for entry in sorted(entry_points(group=GROUP))}


def digests(names: Sequence[str]) -> dict[str, str]:
    """SHA-256 of the code of plug-ins that are loaded: of a module's file, or of all modules in a package's folder."""
    known, found = installed() if names else {}, {}
    for name in names:
        module = sys.modules[known.get(name, name)]
        folders = [Path(folder) for folder in getattr(module, "__path__", [])]
        files = [path for folder in folders for path in folder.rglob("*.py")] or [Path(str(module.__file__))]
        sha = hashlib.sha256()
        for path in sorted(files):
            sha.update(f"{path.name}\0".encode() + path.read_bytes())
        found[name] = sha.hexdigest()
    return found


def hint(named: Sequence[str] = ()) -> str:
    """For a message about an unknown name: the installed plug-ins that were not named, in which it might be."""
    others = [name for name in installed() if name not in named and installed()[name] not in sys.modules]
    return f" (installed, but not named: plugins=[{','.join(others)}])" if others else ""


def is_own(entry: Callable[..., object]) -> bool:
    """Whether a registered function or class is a user's own, and not built in."""
    while isinstance(entry, partial):
        entry = entry.func
    return not (getattr(entry, "__module__", None) or _OURS).startswith(_OURS)


@contextmanager
def own_code(what: str, entry: Callable[..., object]) -> Iterator[None]:
    """Turn an error in a user's own function or class into one line, with its place; built-in code is not excused.

    Args:
        what: whose it is, in the user's words: "source 'mine'".
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        if not is_own(entry):
            raise
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"{what}: {said} ({_place(error, entry)})") from error


def _place(error: Exception, entry: Callable[..., object]) -> str:
    """file:line of the user's module where it failed; else the module itself."""
    name = entry.__module__
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{file}:{frames[-1].lineno}" if frames else f"in {name}"
