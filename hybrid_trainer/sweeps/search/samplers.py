"""Who picks the next trial's values: Optuna's samplers, so seeded that a trial's values hang on nothing but the study.

With a seed, every trial has a sampler of its own, whose seed comes of that one and the trial's number: a search that
was interrupted goes on as if it had not been, and several machines on one study never draw the same.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna import samplers
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from hybrid_trainer.config.search import SamplerConfig
from hybrid_trainer.errors import ConfigError, did_you_mean
from hybrid_trainer.sweeps.search.space import Point

_MAKERS: dict[str, Callable[..., samplers.BaseSampler]] = {
    "tpe": samplers.TPESampler,
    "cmaes": samplers.CmaEsSampler,
    "gp": samplers.GPSampler,
    "qmc": samplers.QMCSampler,
    "random": samplers.RandomSampler,
}
# What takes objects, which no config can write, what has a key of its own, and warnings that our docs give.
_NO_OPTIONS = {
    *("self", "seed", "independent_sampler", "constraints_func", "gamma", "weights", "source_trials"),
    *("warn_independent_sampling", "warn_asynchronous_seeding"),
}
_QUIET = ("warn_independent_sampling", "warn_asynchronous_seeding")


def make_sampler(config: SamplerConfig, grid: list[Point] | None) -> samplers.BaseSampler:
    """The sampler that a config asks for.

    Args:
        grid: the points of sampler.name=grid.

    Raises:
        ConfigError: an option is not the sampler's, or not one of the values it takes.
    """
    if config.name == "grid":
        if config.options:
            raise ConfigError(f"hydra.sweeper.sampler.options: grid has none, not {', '.join(config.options)}")
        assert grid is not None
        return GridInOrder(grid)
    maker = _MAKERS[config.name]
    if config.name == "qmc" or config.seed is None:  # a sequence is one and the same for all trials
        return make(maker, config.name, config.options, config.seed)
    make(maker, config.name, config.options, config.seed)  # here, where it is told
    return SeededByTrial(lambda seed: make(maker, config.name, config.options, seed), config.seed)


def make(
    maker: Callable[..., samplers.BaseSampler], name: str, options: Mapping[str, Any], seed: int | None
) -> samplers.BaseSampler:
    """One of Optuna's samplers; it is told as an error of the user's if it takes no such options."""
    taken = options_of(maker, _NO_OPTIONS)
    for option in options:
        if option not in taken:
            raise ConfigError(
                f"hydra.sweeper.sampler.options.{option}: no option of {name}{did_you_mean(option, taken)}"
            )
    quiet = {word: False for word in _QUIET if word in inspect.signature(maker).parameters and name != "tpe"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        try:
            return maker(seed=seed, **quiet, **options)
        except (TypeError, ValueError, AssertionError) as error:
            raise ConfigError(f"hydra.sweeper.sampler.options: {name}: {error}") from error


def options_of(maker: Callable[..., object], without: set[str]) -> list[str]:
    """The names of what a maker takes."""
    return [name for name in inspect.signature(maker).parameters if name not in without]


class SeededByTrial(samplers.BaseSampler):
    """Lets a sampler of its own pick each trial, with a seed that comes of the trial's number."""

    def __init__(self, make: Callable[[int], samplers.BaseSampler], seed: int) -> None:
        self._make = make
        self._seed = seed
        self._of_trial = make(seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Make the trial's sampler."""
        mixed = np.random.SeedSequence([self._seed, trial.number]).generate_state(1)
        self._of_trial = self._make(int(mixed[0]))
        self._of_trial.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As the trial's sampler does."""
        return self._of_trial.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the trial's sampler does."""
        return self._of_trial.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As the trial's sampler does."""
        return self._of_trial.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """As any of them does."""
        self._of_trial.after_trial(study, trial, state, values)


class GridInOrder(samplers.BaseSampler):
    """Gives the n-th trial the n-th point: no two machines try the same."""

    def __init__(self, points: list[Point]) -> None:
        self._points = points

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Nothing: each key is looked up by itself."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The key's value at the trial's point."""
        return self._points[trial.number % len(self._points)][param_name]
