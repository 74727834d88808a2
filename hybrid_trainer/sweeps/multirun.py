"""`--multirun`: everything is checked, frozen and entered in the ledger; then orders are given and carried out."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from hydra._internal.callbacks import Callbacks
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hybrid_trainer.config import messages
from hybrid_trainer.config.launchers import LOCAL, LocalLauncherConfig
from hybrid_trainer.errors import ConfigError, UserError
from hybrid_trainer.ranks import of_process
from hybrid_trainer.runs.ledger import RESULTS, Entry
from hybrid_trainer.sweeps.board import counted, told
from hybrid_trainer.sweeps.checking import Checked, checked, parsed
from hybrid_trainer.sweeps.folder import Sweep, created
from hybrid_trainer.sweeps.freezing import freeze
from hybrid_trainer.sweeps.job import Job
from hybrid_trainer.sweeps.local import work
from hybrid_trainer.sweeps.names import key_of
from hybrid_trainer.sweeps.optuna_sweeper import OptunaSweeper, check_search, is_search
from hybrid_trainer.sweeps.orders import JobOrder, Listed
from hybrid_trainer.sweeps.plugins import refuse_missing
from hybrid_trainer.sweeps.queue import enter
from hybrid_trainer.sweeps.replicates import Replicates, dimensions, repetitions

_BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
_SEARCHPATH = "hydra.searchpath"
_NAMED = 10


def sweep(given: list[str], overrides: list[str], config_file: Path | None, replicates: Replicates) -> int:
    """Begin a sweep; returns the exit status.

    Args:
        given: the command line as the user wrote it. overrides: made ready for Hydra. config_file: that of --config.
        replicates: how often each configuration is run.

    Raises:
        UserError: a value of some dimension is wrong; nothing has been started.
    """
    if not of_process().alone:
        raise UserError("--multirun: a sweep trains in one process; start it without torchrun")
    found = checked(overrides)
    _refuse_intervals(found.tree, overrides)
    objectives = check_search(found.tree, overrides) if is_search(found.tree) else ["valid/loss"]
    overrides, repeated = _with_replicates(overrides, found, replicates)
    begun = _begun(given, overrides, found, config_file, replicates=repeated, objectives=objectives)
    with begun.locked():
        return carry_out(begun)


def _refuse_intervals(tree: DictConfig, overrides: list[str]) -> None:
    """A grid has no place for what only a search can pick from."""
    if tree.hydra.sweeper._target_ != _BASIC:
        return
    for word, override in _parsed(overrides):
        if override.is_interval_sweep():
            raise ConfigError(f"{key_of(word)}: interval() has no end of values to try; add hydra/sweeper=optuna")


def _with_replicates(overrides: list[str], found: Checked, replicates: Replicates) -> tuple[list[str], list[list[str]]]:
    """The overrides of a grid with its replicates as dimensions; any other sweeper gets them as lists of overrides."""
    if not replicates:
        return overrides, []
    values = replicates.values(found.config.seed, found.splits)
    if found.tree.hydra.sweeper._target_ != _BASIC:
        return overrides, repetitions(values)
    return [*(word for word in overrides if key_of(word) not in values), *dimensions(values)], []


def _begun(
    given: list[str],
    overrides: list[str],
    found: Checked,
    config_file: Path | None,
    *,
    replicates: list[list[str]],
    objectives: list[str],
) -> Sweep:
    """Make the sweep's folder, with everything in it that later jobs are composed from."""
    hydra = found.tree.hydra
    options = _launcher_options(found.tree)
    keys = [word for word in overrides if key_of(word) not in (_SEARCHPATH, "hydra.sweep.dir")]
    swept = {key_of(word) for word, override in _parsed(keys) if override.is_sweep_override()}
    profile = found.profile
    named = any(key_of(word) == "hydra.sweep.dir" for word in overrides)
    made = created(
        Path(str(hydra.sweep.dir)),
        Path(found.config.paths.root),
        made_up=not named,
        command=given,
        overrides=keys,
        fixed=sorted({key_of(word) for word in keys} - swept),
        plugins=found.plugins,
        profile=profile and {"path": str(profile.path), "values": profile.values, "unfit": profile.unfit},
        threads=found.threads,
        objectives=objectives,
        replicates=replicates,
        duplicates=options.get("duplicates", "skip"),
    )
    searchpath = [place for word in overrides if key_of(word) == _SEARCHPATH for place in _places(word)]
    made.update(searchpath=freeze(made.conf, searchpath, config_file))
    return made


def _launcher_options(config: DictConfig) -> dict[str, object]:
    """The keys of hydra.launcher, checked."""
    options = OmegaConf.to_container(config.hydra.launcher)
    assert isinstance(options, dict)
    refuse_missing(str(options["_target_"]))
    plain = {str(name): value for name, value in options.items()}
    if plain["_target_"] == LOCAL:
        LocalLauncherConfig(**plain)
    return plain


def carry_out(sweep: Sweep, again: Sequence[Entry] = ()) -> int:
    """Carry out what is left of a sweep that this process has locked; returns the exit status.

    Args:
        again: jobs that are to be run again, and no others; none: the sweeper says which jobs there are.
    """
    with sweep.composing() as hydra:
        try:
            config = hydra.compose_config("config", sweep.overrides, RunMode.MULTIRUN)
            _launcher_options(config)
            hands = _Hands(config, HydraContext(hydra.config_loader, Callbacks()), Job(sweep.path.absolute()))
            if again and is_search(config):
                cast(OptunaSweeper, hands.sweeper()).retry(again)
            elif again:
                _once_more(sweep, again, hands)
            elif config.hydra.sweeper._target_ == _BASIC:
                _grid(sweep, hands)
            else:
                hands.sweeper().sweep([str(word) for word in config.hydra.overrides.task])
        except (HydraException, OmegaConfBaseException) as error:
            raise messages.explain(error) from error
        finally:  # also after Ctrl-C
            _sum_up(sweep)
    return status_of(sweep)


def status_of(sweep: Sweep) -> int:
    """The exit status of a sweep: 1 where a job has not given its result."""
    lost = [entry for entry in sweep.ledger.refresh().values() if entry.standing not in RESULTS]
    if lost:
        names = ", ".join(str(sweep.path / (entry.folder or str(entry.number))) for entry in lost[:_NAMED])
        more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        sys.stderr.write(f"error: {len(lost)} of {len(sweep.ledger.jobs)} jobs failed: {names}{more}\n")
    return 1 if lost else 0


@dataclass(frozen=True)
class _Hands:
    """What Hydra makes a launcher of: the sweep's config, what composes a job's, and what a job is."""

    config: DictConfig
    context: HydraContext
    job: Job

    def launcher(self) -> Launcher:
        return Plugins.instance().instantiate_launcher(
            hydra_context=self.context, task_function=self.job, config=self.config
        )

    def sweeper(self) -> Sweeper:
        return Plugins.instance().instantiate_sweeper(
            config=self.config, hydra_context=self.context, task_function=self.job
        )


def _grid(sweep: Sweep, hands: _Hands) -> None:
    """A job for every combination, all of them known from the beginning."""
    hydra = hands.config.hydra
    words = [f"{key}={value}" for key, value in (hydra.sweeper.params or {}).items()]
    words += [str(word) for word in hydra.overrides.task]
    overrides = OverridesParser.create(config_loader=hands.context.config_loader).parse_overrides(words)
    (batch,) = BasicSweeper.split_arguments(overrides, None)
    orders = [JobOrder(number, list(each)) for number, each in enumerate(batch)]
    if not orders:
        raise ConfigError("--multirun: no job: a glob() matches nothing")
    enter(sweep, orders)
    work(hands.launcher(), Listed(orders), hydra.sweeper.max_batch_size)


def _once_more(sweep: Sweep, entries: Sequence[Entry], hands: _Hands) -> None:
    for entry in entries:
        sweep.ledger.append(entry.number, "queued")
    work(hands.launcher(), Listed(JobOrder(entry.number, entry.overrides) for entry in entries))


def _sum_up(sweep: Sweep) -> None:
    jobs = sweep.ledger.refresh()
    if not jobs:
        return
    command, place = "python -m hybrid_trainer", shlex.quote(str(sweep.path))
    many = f"{len(jobs)} job{'s' if len(jobs) > 1 else ''}"
    lines = [f"\n{many}: {told(counted(jobs))}; side by side: {command} compare {place}"]
    standing = {entry.standing for entry in jobs.values()}
    if standing & {"queued", "interrupted", "running"}:
        lines.append(f"to go on: {command} sweep resume {place}")
    if standing & {"failed", "killed"}:
        lines.append(f"to run the failed ones again: {command} sweep retry {place}")
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def _parsed(words: list[str]) -> list[tuple[str, Override]]:
    return list(zip(words, parsed(words), strict=True))


def _places(word: str) -> list[str]:
    ((_, override),) = _parsed([word])
    places = override.value()
    return [str(place) for place in places] if isinstance(places, list) else [str(places)]
