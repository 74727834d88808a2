"""`resume RUN_DIR [overrides]`, and jobs that find their own run again when they are restarted."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hybrid_trainer import attempts
from hybrid_trainer.config import user_files
from hybrid_trainer.config.axes import AXES
from hybrid_trainer.config.compose import compose_bare, to_config
from hybrid_trainer.config.overrides import prepare
from hybrid_trainer.config.schema import Config, RunConfig
from hybrid_trainer.data.sources import check_columns
from hybrid_trainer.errors import ConfigError, RunDirError
from hybrid_trainer.runs.directory import RECORD, read_record
from hybrid_trainer.runs.provenance import is_alive
from hybrid_trainer.runs.reopening import pending, settle
from hybrid_trainer.train import train, train_on

log = logging.getLogger(__name__)

_UNNAMED = "none"  # what torchrun calls every job that was given no --rdzv-id
_MADE_UP = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OF_THE_JOB = ("TORCHELASTIC_RUN_ID", "SLURM_JOB_ID")  # what launchers keep the same when they start a job again


_USAGE = "python -m hybrid_trainer resume RUN_DIR [KEY=VALUE ...]"


def main(arguments: list[str]) -> int:
    """Go on with a run from its last checkpoint."""
    if "--help" in arguments or "-h" in arguments:
        sys.stdout.write(f"usage: {_USAGE}\n\nGo on with a run from its last checkpoint, with its own config.\n")
        return 0
    # A sweep may have named its jobs' folders by their overrides: multirun/sweep/seed=1.
    folders = [word for word in arguments if not word.startswith(("-", "+", "~")) and _is_folder(word)]
    added = [word for word in arguments if word not in folders]
    if any(word.startswith("-") for word in added) or len(folders) != 1:
        raise ConfigError(f"resume: name one run directory: {_USAGE}")
    for word in added:
        key = word.partition("=")[0].lstrip("+~")
        if key in user_files.GROUPS:
            raise ConfigError(
                f"{key}: a resumed run keeps its own config and chooses no option: change single keys, such as "
                f"training.epochs=30; {word} makes another run"
            )
        if key == "run.id":
            raise ConfigError("run.id: a resumed run stays in its directory and keeps its name; leave it out")
    return resume(Path(folders[0]), added)


def _is_folder(word: str) -> bool:
    return "=" not in word or Path(word).is_dir()


def resume(directory: Path, added: list[str]) -> int:
    """Compose the run's own config with further overrides, and go on."""
    record = read_record(directory)
    if record["status"] == "running" and is_alive(record.get("process", {})):
        raise RunDirError(f"{directory}: this run is still under way (process {record['process']['pid']})")
    if record.get("adopting"):
        settle(directory, OmegaConf.to_yaml(record["config"]))
    if not (directory / "config.yaml").is_file():
        raise RunDirError(f"{directory}: has no config.yaml: it ended before it had begun; begin a new run")
    before = pending(record)
    if record["status"] == "complete" and not added and not before:
        sys.stdout.write(
            f"{directory}: complete ({record['stop_reason']}); to train it longer: "
            f"python -m hybrid_trainer resume {directory} training.epochs=N\n"
        )
        return 0
    if record["status"] == "pruned" and not added and not before:
        raise RunDirError(
            f"{directory}: {record['stop_reason']}; that is its result; to train it all the same: "
            f"python -m hybrid_trainer resume {directory} training.epochs=N"
        )
    if before:
        sys.stdout.write(f"{directory}: goes on with what an earlier resume was given: {' '.join(before)}\n")
    own = user_files.take_config_option(["--config", str(directory / "config.yaml")])
    # Without this machine's profile: what the run has taken from one stands in its config.
    config = to_config(compose_bare(prepare(user_files.overrides() + own + before + added)))
    check_columns(config.data, config.active_targets)
    train_on(config, directory, [*record["overrides"], *before, *added], added)
    return 0


def begin_or_go_on(
    config: Config, tree: DictConfig, given: list[str], overrides: list[str], notes: Sequence[str] = ()
) -> None:
    """Start a run where its config says; a restarted job goes on with the run it began.

    That is one that torchrun itself starts again, and with training.resume=auto one that anybody does.

    Args:
        config, tree: composed. given: as the user wrote it. overrides: made ready for Hydra.
        notes: what a new run's log is to say first.
    """
    name = config.run.id
    if config.training.resume == "auto" and name is None:
        name = _name_of_the_job()
        if name is None:
            raise ConfigError(
                f"training.resume=auto: needs run.id=NAME (or {' or '.join(_OF_THE_JOB)} in the environment)"
            )
    own = any(word.lstrip("+").startswith("hydra.run.dir=") for word in given)
    directory = Path(tree.hydra.run.dir) if own or name is None else Path(config.paths.root) / "outputs" / name
    former = attempts.former()
    if former is not None or (config.training.resume == "auto" and (directory / RECORD).exists()):
        directory = former or directory
        record = read_record(directory)
        config = to_config(compose_bare(overrides, _tuned(record)))
        if record["status"] == "complete":
            sys.stdout.write(f"{directory}: complete ({record['stop_reason']}); nothing is left to do\n")
        else:
            train_on(config, directory, given, given)
    else:
        train(config, directory, given, notes, made_up=not own and name is None)


def _name_of_the_job() -> str | None:
    """The name that a launcher has given; one that torchrun makes up for each start is the last that is asked for.

    Raises:
        ConfigError: it can't be a folder's name.
    """
    names = [os.environ[key] for key in _OF_THE_JOB if os.environ.get(key)]
    names = [name for name in names if name != _UNNAMED]
    name = min(names, key=lambda name: bool(_MADE_UP.fullmatch(name)), default=None)
    RunConfig(id=name)  # checks it
    return name


def _tuned(record: dict[str, Any]) -> dict[str, Any]:
    """What a run began with of all that a machine profile may say: it takes the place of this machine's."""
    found: dict[str, Any] = {}
    for axis in AXES:
        value: Any = record.get("config", {})
        for name in axis.key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            found[axis.key] = value
    return found
