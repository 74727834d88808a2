"""Searches without training: a space from the command line's words, and jobs whose result is a formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import optuna
from hydra.core.override_parser.overrides_parser import OverridesParser

from hybrid_trainer.config.search import SearchConfig
from hybrid_trainer.sweeps.folder import Sweep
from hybrid_trainer.sweeps.orders import JobOrder, Outcome
from hybrid_trainer.sweeps.search import session
from hybrid_trainer.sweeps.search.space import Space, make_space
from hybrid_trainer.sweeps.search.trials import Trials

Objective = Callable[[Mapping[str, float]], float]


def space_of(*words: str, entries: Mapping[str, object] | None = None) -> Space:
    return make_space(OverridesParser.create().parse_overrides(list(words)), entries or {})


def begin(folder: Path, *words: str, **keys: object) -> Trials:
    """A search in a folder, new or gone on with."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sweep = Sweep(folder, {"replicates": keys.pop("replicates", [])})
    settings = SearchConfig(**{"n_trials": 8, **keys})  # type: ignore[arg-type]
    return session.begin(settings, space_of(*words), sweep, lambda overrides: None)  # type: ignore[arg-type, return-value]


def values_of(order: JobOrder) -> dict[str, float]:
    return {key: float(value) for key, _, value in (word.partition("=") for word in order.overrides)}


def bowl(values: Mapping[str, float]) -> float:
    """Smallest, 0, at a=3."""
    return (values["a"] - 3) ** 2


def drive(trials: Trials, objective: Objective = bowl, at_most: int | None = None) -> list[JobOrder]:
    """Run the jobs one after the other; returns them. at_most: leave then, as a process that is killed would."""
    done: list[JobOrder] = []
    while at_most is None or len(done) < at_most:
        order = trials.next()
        if order is None:
            break
        done.append(order)
        trials.ended(order, Outcome("complete", {"valid/loss": objective(values_of(order))}, ""))
    return done
