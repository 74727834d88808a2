"""The trials of a study as jobs: asks for the next configuration, and tells how it did."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from hybrid_trainer.errors import ConfigError, did_you_mean
from hybrid_trainer.sweeps.orders import JobOrder, Outcome
from hybrid_trainer.sweeps.search.space import Space

SWEEP, OVERRIDES, REASON, SURPLUS, TWIN, AGAIN = "sweep", "overrides", "reason", "surplus", "same as", "again"
"""What a study keeps about a trial beside its values: see `Trials`."""

_RESULTS = ("complete", "duplicate")


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How a search is run.

    Attributes:
        metrics: the objectives' names. count: trials that the study shall have.
        replicates: overrides of each run of a trial. sweep: which one this is, by a name that no other has.
        alone: whether the study is this sweep's alone. failed_values: what a failed trial is told to have reached;
            None: it is told to have failed. max_failures: after so many none is asked for any more; None: never.
    """

    metrics: Sequence[str]
    count: int
    replicates: Sequence[list[str]]
    sweep: str
    alone: bool = True
    failed_values: list[float] | None = None
    max_failures: int | None = None


@dataclass
class Running:
    """A trial whose runs are under way: the objectives of those that have ended."""

    values: dict[int, list[float]] = field(default_factory=dict)


class Trials:
    """A source of jobs (`orders.JobSource`): trial t has the jobs from t * (runs of a trial) on.

    A study keeps with each trial the sweep that runs it, its overrides, and why it failed.

    Args:
        study: where trials are asked for and told; other processes may do the same. space: what is searched.
        rules: how. usable: raises ConfigError for overrides that no run can have.
    """

    def __init__(self, study: Study, space: Space, rules: Rules, usable: Callable[[list[str]], object]) -> None:
        self.exhausted = False
        self.study = study
        self._space = space
        self._rules = rules
        self._runs = len(rules.replicates)
        self._usable = usable
        self._failures_left = rules.max_failures
        self._orders: deque[JobOrder] = deque()
        self._running: dict[int, Running] = {}
        self._go_on()

    @property
    def total(self) -> int:
        """How many jobs there will have been, where no other process asks for trials and none is done without a job."""
        return self._rules.count * self._runs

    def next(self) -> JobOrder | None:
        """The next run of a trial that has begun, else the first one of the next trial."""
        while not self._orders:
            if self.exhausted or not self._ask():
                return None
        return self._orders.popleft()

    def ended(self, order: JobOrder, outcome: Outcome) -> None:
        """Tell the study once the trial's value is known: with its last run, or the first that yields none.

        Raises:
            ConfigError: an objective is no number of a run's.
        """
        number, replicate = divmod(order.number, self._runs)
        running = self._running.get(number)
        if running is None or outcome.status == "interrupted":
            return  # told already, by another of its runs; or to be gone on with by a resumed sweep
        if outcome.status == "pruned":
            self._close(number, TrialState.PRUNED)
        elif outcome.status not in _RESULTS:
            self._failed(number, outcome.reason)
        else:
            running.values[replicate] = [self._objective(outcome, name) for name in self._rules.metrics]
            if len(running.values) == self._runs:
                self._complete(number, list(running.values.values()))

    def _go_on(self) -> None:
        """Take up again what this sweep had begun and no process works at any more."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            unmarked = self._rules.sweep if self._rules.alone else None  # killed as soon as it was there
            if trial.user_attrs.get(SWEEP, unmarked) != self._rules.sweep:
                continue
            overrides = trial.user_attrs.get(OVERRIDES)
            if overrides is None:  # a process was killed between two of its values: those that are kept stay
                overrides = self._pick(Trial(self.study, trial._trial_id))
            self._begin(trial.number, list(overrides))

    def _ask(self) -> bool:
        """Begin the next trial, or be exhausted; False where there is none."""
        if self._missing() <= 0 or self._failures_left == 0:
            self.exhausted = True
            return False
        trial = self.study.ask()
        trial.set_user_attr(SWEEP, self._rules.sweep)
        if self._missing(before=trial.number) <= 0:  # another process has asked for the last one at the same time
            trial.set_user_attr(SURPLUS, True)
            self.study.tell(trial.number, state=TrialState.FAIL)
            self.exhausted = True
            return False
        overrides = self._pick(trial)
        twin = self._twin(trial)
        if twin is not None:
            trial.set_user_attr(TWIN, twin.number)
            self.study.tell(trial.number, twin.values, TrialState.COMPLETE)
            return True
        try:
            for replicate in self._rules.replicates:
                self._usable([*overrides, *replicate])
        except ConfigError as error:
            self._running[trial.number] = Running()
            self._failed(trial.number, str(error))
            return True
        self._begin(trial.number, overrides)
        return True

    def _pick(self, trial: Trial) -> list[str]:
        overrides = self._space.ask(trial)
        trial.set_user_attr(OVERRIDES, overrides)
        return overrides

    def _begin(self, number: int, overrides: list[str]) -> None:
        self._running[number] = Running()
        first = number * self._runs
        for place, replicate in enumerate(self._rules.replicates):
            self._orders.append(JobOrder(first + place, [*overrides, *replicate]))

    def _missing(self, before: int | None = None) -> int:
        """How many trials the study lacks; `before`: when that number was given out."""
        begun = [
            trial
            for trial in self.study.get_trials(deepcopy=False)
            if trial.state != TrialState.WAITING and not trial.user_attrs.keys() & {SURPLUS, AGAIN}
        ]
        return self._rules.count - sum(1 for trial in begun if before is None or trial.number < before)

    def _twin(self, trial: Trial) -> FrozenTrial | None:
        """A complete trial with the same values."""
        complete = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return next((other for other in complete if other.params == trial.params), None)

    def _objective(self, outcome: Outcome, name: str) -> float:
        if name not in outcome.metrics and "/recall_" in name:  # whose classes only the table knows
            known = [metric for metric in outcome.metrics if metric.startswith("valid/")]
            raise ConfigError(f"hydra.sweeper.objectives: '{name}' is no number of a run{did_you_mean(name, known)}")
        return float(outcome.metrics.get(name, math.nan))  # JSON has no NaN: a number that is none is left out

    def _complete(self, number: int, values: list[list[float]]) -> None:
        means = [sum(each) / len(each) for each in zip(*values, strict=True)]
        if any(math.isnan(mean) for mean in means):
            names = [name for name, mean in zip(self._rules.metrics, means, strict=True) if math.isnan(mean)]
            self._failed(number, f"{', '.join(names)}: not a number")
        else:
            self._close(number, TrialState.COMPLETE, means)

    def _failed(self, number: int, reason: str) -> None:
        self._set(number, REASON, reason)
        if self._failures_left is not None:
            self._failures_left -= 1
        if self._rules.failed_values is None:
            self._close(number, TrialState.FAIL)
        else:
            self._close(number, TrialState.COMPLETE, self._rules.failed_values)

    def _close(self, number: int, state: TrialState, values: list[float] | None = None) -> None:
        """Tell the study, and drop what of the trial has not been started yet."""
        self.study.tell(number, values, state)
        del self._running[number]
        self._orders = deque(order for order in self._orders if order.number // self._runs != number)

    def _set(self, number: int, key: str, value: str) -> None:
        storage, study_id = self.study._storage, self.study._study_id
        storage.set_trial_user_attr(storage.get_trial_id_from_study_id_trial_number(study_id, number), key, value)
