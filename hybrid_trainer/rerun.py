"""`rerun RUN_DIR [overrides]`: a new run from another one's own config."""

from __future__ import annotations

import sys
from pathlib import Path

from hybrid_trainer import launch
from hybrid_trainer.errors import ConfigError, RunDirError

_USAGE = "python -m hybrid_trainer rerun RUN_DIR [KEY=VALUE ...]"
_OF_ITS_OWN = ("run.id=null", "training.resume=off")  # a new run, in a directory of its own


def main(arguments: list[str]) -> int:
    """Begin a new run with the config of another one, and further overrides; --multirun and --dry-run work as ever."""
    if "--help" in arguments or "-h" in arguments:
        sys.stdout.write(f"usage: {_USAGE}\n\nBegin a new run with the config of another one.\n")
        return 0
    folders = [word for word in arguments if _is_folder(word)]
    if len(folders) != 1:
        raise ConfigError(f"rerun: name one run directory: {_USAGE}")
    rest = [word for word in arguments if word not in folders]
    file = Path(folders[0]) / "config.yaml"
    if not file.is_file():
        raise RunDirError(f"{folders[0]}: not a run's directory: it has no config.yaml")
    given = {word.partition("=")[0].lstrip("+") for word in rest}
    own = [word for word in _OF_ITS_OWN if word.partition("=")[0] not in given]
    return launch.launch(["--config", str(file), *own, *rest])


def _is_folder(word: str) -> bool:
    """Whether a word names a folder; a sweep's jobs have folders such as 3-seed=1."""
    return not word.startswith(("-", "+", "~")) and ("=" not in word or Path(word).is_dir())
