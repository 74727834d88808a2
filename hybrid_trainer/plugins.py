"""Modules of the user's own: importing one enters what it declares (features) under names that a config can use."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from hybrid_trainer.errors import ConfigError


def load_plugins(modules: Sequence[str]) -> None:
    """Import modules by name, from what is installed or from the current folder; each is imported once per process.

    Raises:
        ConfigError: a name isn't a module's, or importing it fails; the text says why.
    """
    if not modules:
        return
    folder = str(Path.cwd())
    if folder not in sys.path and "" not in sys.path:
        sys.path.append(folder)  # last: a file here never takes the place of an installed module
    for name in modules:
        if name.endswith(".py") or not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(f"plugins: '{name}' is not the name of a module; write plugins=[my_features]")
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as error:
            said = " ".join(str(error).split())
            raise ConfigError(
                f"plugins: '{name}' cannot be imported from {folder} or what is installed "
                f"({type(error).__name__}: {said})"
            ) from error
