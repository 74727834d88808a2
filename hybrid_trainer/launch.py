"""From a command line to one run or a sweep; whatever is wrong in the config is told before anything starts."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
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
from hybrid_trainer.errors import ConfigError, RunDirError, UserError
from hybrid_trainer.inference.files import verify
from hybrid_trainer.ranks import of_process
from hybrid_trainer.resume import begin_or_go_on
from hybrid_trainer.sweeps import pruning
from hybrid_trainer.sweeps.plugins import register_plugins
from hybrid_trainer.train import train

_MULTIRUN = ("--multirun", "-m")
_DRY_RUN = "--dry-run"


def launch(arguments: list[str]) -> int:
    """Start one run, or with --multirun a sweep; returns the exit status."""
    given = [argument for argument in arguments if argument not in _MULTIRUN]
    arguments = user_files.take_config_option(arguments)
    flags = [argument for argument in arguments if argument.startswith("-")]
    unknown = [flag for flag in flags if flag not in (*_MULTIRUN, _DRY_RUN)]
    if unknown:
        raise UserError(f"{unknown[0]}: no such option; --help shows what there is")
    if _DRY_RUN in flags and len(set(flags)) > 1:
        raise UserError("--dry-run: tries one run; leave --multirun away and give each key one value")
    overrides = prepare(user_files.overrides() + [argument for argument in arguments if argument not in flags])
    if flags and _DRY_RUN not in flags:
        return _sweep(overrides)
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


def _sweep(overrides: list[str]) -> int:
    """Check every value of every dimension, then let Hydra's sweeper and launcher run the jobs."""
    profiles: list[Profile | None] = []
    for point in _points(overrides):
        tree, found = compose_here(point)
        config = to_config(tree)
        check_columns(config.data, config.active_targets)
        if config.model.init_from is not None:
            verify(Path(config.model.init_from))
        if profiles and profiles[0] != found:
            raise ConfigError("paths.machine_profile: one for all jobs of a sweep")
        profiles.append(found)
        if config.run.id is not None or config.training.resume != "off":
            raise ConfigError("run.id, training.resume: name one run; leave them out of a sweep")
    profile = profiles[0]
    if not of_process().alone:
        raise UserError("--multirun: a sweep trains in one process; start it without torchrun")
    failures: list[str] = []
    folders: list[Path] = []

    def job(tree: DictConfig) -> Any:
        hydra_config = HydraConfig.get()
        task = list(hydra_config.overrides.task)
        directory = Path(hydra_config.runtime.output_dir)
        folders.append(directory)
        sys.stdout.write(f"\njob {hydra_config.job.num}: {' '.join(task)}\n")
        try:
            config = to_config(tree)
            looking_on = pruning.watchers(directory.parent, hydra_config.job.num)
            run = train(config, directory, task, [profile.note(config)] if profile else [], looking_on)
        except Exception as error:
            if isinstance(error, RunDirError):
                with suppress(OSError):
                    directory.rmdir()  # Hydra has made it; a folder with anything in it stays
            failures.append(str(directory))
            sys.stderr.write(f"error: job {hydra_config.job.num} failed: {error}\n")
            raise
        return run.record["metrics"]

    try:
        _hydra(["--multirun", *overrides], job, profile)
    except Exception:
        if not failures:
            raise
    finally:  # also after Ctrl-C
        if folders:
            sys.stdout.write(
                f"\n{len(folders)} jobs begun, {len(failures)} failed; side by side: "
                f"python -m hybrid_trainer compare {folders[0].parent}\n"
            )
    if failures:
        sys.stderr.write(f"error: {len(failures)} of {len(folders)} jobs failed: {', '.join(failures)}\n")
        return 1
    return 0


def _points(overrides: list[str]) -> list[list[str]]:
    """The first value of every dimension together, then each further value of one dimension at a time."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    values = []
    for text, override in zip(overrides, parsed, strict=True):
        if override.is_discrete_sweep() and not isinstance(override.value(), Glob):
            key = text.partition("=")[0]
            values.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        elif override.is_sweep_override():
            values.append([])  # an interval or a glob: the sweeper picks from it
        else:
            values.append([text])
    first = [options[0] for options in values if options]
    points = [first]
    for index, options in enumerate(values):
        before = [other[0] for other in values[:index] if other]
        after = [other[0] for other in values[index + 1 :] if other]
        points += [[*before, option, *after] for option in options[1:]]
    return points


def _hydra(arguments: list[str], job: Any, profile: Profile | None) -> None:
    register(profile.values if profile else {})  # Hydra composes once more, by itself
    register_plugins()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise, instead of printing and leaving; messages are made here
    sys.argv = [sys.argv[0], *arguments]
    hydra.main(version_base="1.3", config_path=f"pkg://{CONFIG_MODULE}", config_name="config")(job)()


def _never(tree: DictConfig) -> None:
    raise ConfigError("nothing was to be run")
