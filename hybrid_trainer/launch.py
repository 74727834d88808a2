"""From a command line to one run or a sweep; whatever is wrong in the config is told before anything starts."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from hybrid_trainer import completion
from hybrid_trainer.config import messages, user_files
from hybrid_trainer.config.compose import CONFIG_MODULE, compose_here, register, to_config
from hybrid_trainer.config.early import load_named
from hybrid_trainer.config.machine_profile import Profile
from hybrid_trainer.config.overrides import prepare
from hybrid_trainer.data.sources import check_columns
from hybrid_trainer.dry_run import dry_run
from hybrid_trainer.errors import ConfigError, UserError
from hybrid_trainer.ranks import of_process
from hybrid_trainer.resume import begin_or_go_on
from hybrid_trainer.sweeps.replicates import take as replicates_of

_MULTIRUN = ("--multirun", "-m")
_DRY_RUN = "--dry-run"


def launch(arguments: list[str]) -> int:
    """Start one run, or with --multirun a sweep; returns the exit status."""
    given = [argument for argument in arguments if argument not in _MULTIRUN]
    file = user_files.config_option(arguments)
    arguments = user_files.take_config_option(arguments)
    flags = [argument for argument in arguments if argument.startswith("-")]
    unknown = [flag for flag in flags if flag not in (*_MULTIRUN, _DRY_RUN)]
    if unknown:
        raise UserError(f"{unknown[0]}: no such option; --help shows what there is")
    if _DRY_RUN in flags and len(set(flags)) > 1:
        raise UserError("--dry-run: tries one run; leave --multirun away and give each key one value")
    words, replicates = replicates_of([argument for argument in arguments if argument not in flags])
    overrides = prepare(user_files.overrides() + words)
    if flags and _DRY_RUN not in flags:
        from hybrid_trainer.sweeps import multirun

        return multirun.sweep(given, overrides, file, replicates)
    if replicates:
        raise ConfigError("seeds, folds: repeat the jobs of a sweep; add --multirun")
    tree, profile = compose_here(overrides)
    config = to_config(tree)
    check_columns(config.data, config.active_targets)
    notes = [profile.note(config)] if profile else []
    if _DRY_RUN in flags:
        if not (ranks := of_process()).alone:
            notes.append(f"of one process alone; {ranks.size} would each take a share of the batch")
        dry_run(config, notes)
        return 0
    HydraConfig.instance().set_config(tree)
    begin_or_go_on(config, tree, given, overrides, notes)
    return 0


def hand_to_hydra(arguments: list[str]) -> int:
    """Let Hydra carry out its own flags, such as --cfg job."""
    arguments = user_files.take_config_option(arguments)
    overrides = [argument for argument in arguments if not argument.startswith("-") and "=" in argument]
    rest = [argument for argument in arguments if argument not in overrides]
    if completion.is_query(arguments):
        Plugins.instance().register(user_files.OwnOptions)
        with suppress(ConfigError):  # a line that is half written
            load_named(user_files.overrides() + completion.words())
    profile = None
    if "--cfg" in rest or "-c" in rest:
        tree, profile = compose_here(prepare(user_files.overrides() + overrides))
        to_config(tree)
    try:
        _hydra([*rest, *prepare(user_files.overrides() + overrides)], _never, profile)
    except (HydraException, OmegaConfBaseException) as error:
        raise messages.explain(error) from error
    return 0


def _hydra(arguments: list[str], job: Any, profile: Profile | None) -> None:
    register(profile.values if profile else {})  # Hydra composes once more, by itself
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise, instead of printing and leaving; messages are made here
    sys.argv = [sys.argv[0], *arguments]
    hydra.main(version_base="1.3", config_path=f"pkg://{CONFIG_MODULE}", config_name="config")(job)()


def _never(tree: DictConfig) -> None:
    raise ConfigError("nothing was to be run")
