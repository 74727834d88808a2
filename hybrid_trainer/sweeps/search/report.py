"""What a search has found, in a few lines."""

from __future__ import annotations

from pathlib import Path

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from hybrid_trainer.config.search import SearchConfig
from hybrid_trainer.errors import TrainingError
from hybrid_trainer.sweeps.search.record import place_of
from hybrid_trainer.sweeps.search.storage import JOURNAL, is_url, without_password
from hybrid_trainer.sweeps.search.trials import AGAIN, REASON, SURPLUS, TWIN

_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "under way",
}
_SHOWN = 10


def lines(study: Study, settings: SearchConfig, folder: Path) -> list[str]:
    """The study in numbers, its best trial or its Pareto front, and how to look at it.

    Raises:
        TrainingError: no trial came to its end.
    """
    trials = [trial for trial in study.get_trials(deepcopy=False) if SURPLUS not in trial.user_attrs]
    states = [trial.state for trial in trials]
    counts = ", ".join(f"{states.count(state)} {name}" for state, name in _STATES.items() if state in states)
    found = [f"\nstudy '{study.study_name}': {len(trials)} trial(s): {counts or 'none'}"]
    twins = sum(1 for trial in trials if TWIN in trial.user_attrs)
    if twins:
        found.append(f"{twins} of them had been tried before and took over the former value")
    again = sum(1 for trial in trials if AGAIN in trial.user_attrs)
    if again:
        found.append(f"{again} of them had failed before and were run again")
    if not any(_counts(trial) for trial in trials):
        reasons = [str(trial.user_attrs[REASON]) for trial in trials if REASON in trial.user_attrs]
        raise TrainingError(
            "\n".join([*found[:1], *reasons[:1], "no trial came to its end: there is no best one"]).strip()
        )
    best = [trial for trial in study.best_trials if SURPLUS not in trial.user_attrs]
    if len(settings.directions) == 1:
        found.append(_line("best", settings, best[0]))
    else:
        found.append(f"Pareto front, {len(best)} trial(s):")
        found += [_line("", settings, trial) for trial in best[:_SHOWN]]
        found += [f"  and {len(best) - _SHOWN} more"] if len(best) > _SHOWN else []
    where = place_of(folder, settings.storage or JOURNAL)
    found.append(f"side by side: optuna-dashboard {without_password(where) if is_url(where) else where}")
    return found


def best_values(study: Study) -> list[float] | None:
    """The values of the best trial; None with several objectives."""
    return None if len(study.directions) > 1 else list(study.best_trial.values)


def _counts(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.COMPLETE and REASON not in trial.user_attrs


def _line(what: str, settings: SearchConfig, trial: FrozenTrial) -> str:
    assert trial.values is not None
    values = ", ".join(f"{name} {value:.6g}" for name, value in zip(settings.directions, trial.values, strict=True))
    shown = " ".join(f"{name}={value}" for name, value in trial.params.items())
    return f"{what:<5}trial {trial.user_attrs.get(AGAIN, trial.number)}: {values}: {shown}"
