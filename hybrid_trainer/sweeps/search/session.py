"""A search as it begins or goes on: the study, what it was begun with, and the trials of this sweep."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning

from hybrid_trainer.config.schema import Config
from hybrid_trainer.config.search import TRIALS, SearchConfig
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.sweeps.folder import Sweep
from hybrid_trainer.sweeps.search.pruners import make_pruner
from hybrid_trainer.sweeps.search.record import StudyRecord, place_of, read_record, write_record
from hybrid_trainer.sweeps.search.samplers import make_sampler
from hybrid_trainer.sweeps.search.space import Space
from hybrid_trainer.sweeps.search.storage import JOURNAL, is_url, open_storage, without_password
from hybrid_trainer.sweeps.search.trials import Rules, Trials

OWN_NAME = "search"
_BEGUN_WITH = "begun with"
_PLACES = ("hydra.", "hydra/", "paths.", "run.", "config_file=")


def begin(settings: SearchConfig, space: Space, sweep: Sweep, usable: Callable[[list[str]], Config]) -> Trials:
    """Make or load the study, leave word of it for the jobs, and make ready to ask it for trials.

    Args:
        settings: of the sweeper. space: what is searched. sweep: a search that was begun there goes on.
        usable: the config of a job; raises ConfigError where no run can have it.

    Raises:
        ConfigError: a sampler or pruner takes no such option, the storage can't be used, or the study there is another.
    """
    points = space.grid() if settings.sampler.name == "grid" else None
    sampler = make_sampler(settings.sampler, points)
    replicates = sweep.content["replicates"] or [[]]
    record = read_record(sweep.path) or record_of(settings, _epochs(settings, space, usable), len(replicates))
    pruner = make_pruner(settings.pruner, record.epochs)
    study = open_study(settings, sampler, pruner, place_of(sweep.path, record.storage), record.name)
    _refuse_another(study, settings, space, replicates)
    write_record(sweep.path, record)
    sweep.update(study={"storage": without_password(record.storage), "name": record.name})
    count = settings.n_trials if settings.n_trials is not None else len(points) if points is not None else TRIALS
    rules = Rules(
        metrics=list(settings.directions),
        count=count if points is None else min(count, len(points)),
        replicates=replicates,
        sweep=f"{socket.gethostname()}:{sweep.path.resolve()}",
        alone=settings.storage is None,
        failed_values=settings.failed_values(),
        max_failures=settings.max_failures,
    )
    return Trials(study, space, rules, usable)


def record_of(settings: SearchConfig, epochs: int, replicates: int) -> StudyRecord:
    """What the jobs are to know of the study."""
    storage = JOURNAL
    if settings.storage is not None:
        storage = settings.storage if is_url(settings.storage) else str(Path(settings.storage).expanduser().resolve())
    return StudyRecord(
        storage=storage,
        name=settings.study_name or OWN_NAME,
        objectives=settings.directions,
        pruner=settings.pruner.name,
        options=settings.pruner.options,
        epochs=epochs,
        replicates=replicates,
    )


def _epochs(settings: SearchConfig, space: Space, usable: Callable[[list[str]], Config]) -> int:
    """The most that a run may have; nobody asks where nothing is given up."""
    if settings.pruner.name == "none":
        return 1
    return max(usable(words).training.epochs for words in space.probes())


def open_study(
    settings: SearchConfig,
    sampler: optuna.samplers.BaseSampler,
    pruner: optuna.pruners.BasePruner,
    storage: str,
    name: str,
) -> optuna.Study:
    """The study of that name in that storage, made where there is none."""
    directions = [optuna.study.StudyDirection[each.upper()] for each in settings.directions.values()]
    return optuna.create_study(
        storage=open_storage(storage),
        sampler=sampler,
        pruner=pruner,
        study_name=name,
        directions=directions,
        load_if_exists=True,
    )


def _refuse_another(study: optuna.Study, settings: SearchConfig, space: Space, replicates: list[list[str]]) -> None:
    """Numbers of one study are compared with each other: other objectives or fixed overrides make another study."""
    mine = {
        "objectives": settings.directions,
        "replicates": replicates,
        "fixed": sorted(each for each in space.fixed if not each.lstrip("+~").startswith(_PLACES)),
    }
    begun = study.user_attrs.get(_BEGUN_WITH)
    if begun is None:
        if study.get_trials(deepcopy=False):
            raise _another(study, "was not begun by hybrid_trainer")
        study.set_user_attr(_BEGUN_WITH, mine)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names(list(settings.directions))
        return
    for what, value in mine.items():
        if begun[what] != value:
            raise _another(study, f"was begun with other {what}: {_told(begun[what])}, now {_told(value)}")


def _another(study: optuna.Study, why: str) -> ConfigError:
    return ConfigError(f"hydra.sweeper.study_name: the study '{study.study_name}' {why}; give the new one another name")


def _told(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {each}" for name, each in value.items())
    if isinstance(value, list):
        return " ".join(str(each) for each in value) or "none"
    return str(value)
