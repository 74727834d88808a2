"""Giving up trials early: what a job's training reports to the study, and the question whether it is worth going on.

Optuna is imported where a sweep's folder names a study with a pruner, and nowhere else.
"""

from __future__ import annotations

import copy
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_trainer.callbacks.base import Callback
from hybrid_trainer.errors import ConfigError, did_you_mean
from hybrid_trainer.sweeps.search.record import RETRIED, StudyRecord, place_of, read_record

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from hybrid_trainer.trainer import Trainer

log = logging.getLogger(__name__)


def watchers(folder: Path, job: int) -> list[Callback]:
    """What looks on while a job of a sweep is trained: a `Pruning` where it belongs to a search that gives trials up.

    Args:
        folder: the sweep's. job: its number.

    Raises:
        RunDirError: study.json is damaged. ConfigError: the study's storage can't be opened.
    """
    record = read_record(folder)
    if record is None or record.pruner == "none":
        return []
    (objective,) = record.objectives
    trial, replicate = divmod(job, record.replicates)
    return [Pruning(_open(folder, record), trial, objective, speaks=replicate == 0)]


def _open(folder: Path, record: StudyRecord) -> Study:
    import optuna

    from hybrid_trainer.config.search import PrunerConfig
    from hybrid_trainer.sweeps.search.pruners import make_pruner
    from hybrid_trainer.sweeps.search.storage import open_storage

    pruner = make_pruner(PrunerConfig(name=record.pruner, options=record.options), record.epochs)
    storage = open_storage(place_of(folder, record.storage))
    sampler = optuna.samplers.RandomSampler()  # nothing is asked for here
    return optuna.load_study(study_name=record.name, storage=storage, sampler=sampler, pruner=pruner)


class Pruning(Callback):
    """Tells the study the objective of each epoch, and ends training where the pruner sees no point in going on.

    Args:
        study: with its pruner. trial: the number of the run's. objective: a number of the epoch row.
        speaks: whether the study keeps this run's numbers: of several runs of a trial the first one's, with which the
            others of other trials are compared; each run is judged by its own.
    """

    def __init__(self, study: Study, trial: int, objective: str, *, speaks: bool = True) -> None:
        self.study = study
        self.trial = trial
        self.objective = objective
        self.speaks = speaks

    def epoch_end(self, trainer: Trainer) -> None:
        """Report the epoch; a training that ends with it anyhow is not given up.

        Raises:
            ConfigError: the epoch row has no such number.
        """
        if self.objective not in trainer.history[-1]:
            known = did_you_mean(self.objective, trainer.history[-1])
            raise ConfigError(f"hydra.sweeper.objectives: '{self.objective}' is not a number of the epoch row{known}")
        values = {int(row["epoch"]): row[self.objective] for row in trainer.history}
        try:
            why = self._judge(values)
        except Exception as error:  # of Optuna's, SQLAlchemy's and each database's own kind
            log.warning("the study cannot be reached, this run is not compared: %s", str(error).splitlines()[0])
            return
        if why and trainer.stop_reason is None and trainer.epoch < trainer.epochs:
            trainer.stop_reason, trainer.pruned = why, True

    def _judge(self, values: dict[int, float]) -> str | None:
        """Why training is to end, if it is; values: the objective by epoch, the last one is new."""
        storage = self.study._storage
        trial_id = storage.get_trial_id_from_study_id_trial_number(self.study._study_id, self.trial)
        kept = storage.get_trial(trial_id)
        epoch = max(values)
        if kept.state.is_finished() and self.trial in self.study.user_attrs.get(RETRIED, []):
            return None
        if kept.state.is_finished():
            return f"pruned after epoch {epoch}: another run of trial {self.trial} was given up"
        if self.speaks:
            for step in sorted(
                set(values) - set(kept.intermediate_values)
            ):  # more than one after a pause of the storage
                storage.set_trial_intermediate_value(trial_id, step, values[step])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of numpy, where the objective is no number
            if not self.study.pruner.prune(self.study, _with(kept, values)):
                return None
        return f"pruned after epoch {epoch}: {self.objective} {values[epoch]:.6g} is no better than other trials' there"


def _with(trial: FrozenTrial, values: dict[int, float]) -> FrozenTrial:
    """A trial as if it had reported these values."""
    own = copy.copy(trial)  # a storage may hand out what it keeps
    own.intermediate_values = values
    return own
