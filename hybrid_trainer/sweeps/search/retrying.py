"""`sweep retry` in a search. A study takes back nothing: what a failed trial reaches after all becomes a further trial.

The study keeps which trials were to be run again. All runs of such a trial that have given no result are run, also
those that were not begun since another one had failed; nothing is given up among them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import optuna
from hydra.plugins.launcher import Launcher
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from hybrid_trainer.runs.ledger import Entry
from hybrid_trainer.sweeps.folder import Sweep
from hybrid_trainer.sweeps.local import work
from hybrid_trainer.sweeps.orders import JobOrder, Listed
from hybrid_trainer.sweeps.queue import enter
from hybrid_trainer.sweeps.search.record import RETRIED, StudyRecord, place_of, read_record
from hybrid_trainer.sweeps.search.storage import open_storage
from hybrid_trainer.sweeps.search.trials import AGAIN, OVERRIDES, SWEEP

_RESULTS = ("complete", "duplicate")


def run_again(sweep: Sweep, launcher: Launcher, lost: Iterable[Entry] = ()) -> None:
    """Run trials again, and tell the study what they have reached.

    Args:
        lost: jobs that have failed; those of a former retry that did not come to its end are run in any case.
    """
    record = read_record(sweep.path)
    if record is None:  # no trial was ever asked for
        return
    study = optuna.load_study(
        study_name=record.name,
        storage=open_storage(place_of(sweep.path, record.storage)),
        sampler=optuna.samplers.RandomSampler(),  # nothing is asked for here
    )
    known = set(study.user_attrs.get(RETRIED, []))
    asked = known | {entry.number // record.replicates for entry in lost}
    if asked != known:
        study.set_user_attr(RETRIED, sorted(asked))
    orders = [order for trial in _untold(study) for order in _orders(sweep, record, trial)]
    if not orders:
        return
    for order in orders:
        if order.number in sweep.ledger.jobs:
            sweep.ledger.append(order.number, "queued")
    enter(sweep, orders)
    try:
        work(launcher, Listed(orders))
    finally:  # also after Ctrl-C
        _tell(sweep, record, study)


def _untold(study: Study) -> list[FrozenTrial]:
    """The trials that were to be run again and have brought nothing yet."""
    trials = study.get_trials(deepcopy=False)
    told = {trial.user_attrs.get(AGAIN) for trial in trials}
    asked = set(study.user_attrs.get(RETRIED, [])) - told
    return [trial for trial in trials if trial.number in asked]


def _orders(sweep: Sweep, record: StudyRecord, trial: FrozenTrial) -> Iterator[JobOrder]:
    """The trial's runs, as far as this sweep has them to run and they have given no result."""
    first = trial.number * record.replicates
    jobs = sweep.ledger.refresh()
    if not any(first + place in jobs for place in range(record.replicates)):
        return  # another sweep's, of the same study
    for place, replicate in enumerate(sweep.content["replicates"] or [[]]):
        entry = jobs.get(first + place)
        if entry is None or entry.status not in _RESULTS:
            yield JobOrder(first + place, [*trial.user_attrs[OVERRIDES], *replicate])


def _tell(sweep: Sweep, record: StudyRecord, study: Study) -> None:
    jobs = sweep.ledger.refresh()
    for trial in _untold(study):
        first = trial.number * record.replicates
        entries = [jobs.get(first + place) for place in range(record.replicates)]
        runs = [entry.metrics for entry in entries if entry is not None and entry.status in _RESULTS]
        if len(runs) < record.replicates:
            continue
        values = [sum(run.get(name, math.nan) for run in runs) / len(runs) for name in record.objectives]
        if any(map(math.isnan, values)):
            continue
        kept = {name: trial.user_attrs[name] for name in (SWEEP, OVERRIDES)}
        study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.COMPLETE,
                values=values,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs=kept | {AGAIN: trial.number},
            )
        )
