"""The keys of hydra/sweeper=optuna: what is searched, for what and how. Imports no Optuna."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybrid_trainer.config.keys import check_choice, check_range, key
from hybrid_trainer.errors import ConfigError

OPTUNA = "hydra_plugins.hybrid_trainer.OptunaSweeper"
SAMPLERS = ("tpe", "cmaes", "gp", "qmc", "random", "grid")
PRUNERS = ("none", "median", "hyperband", "patient")
DIRECTIONS = ("minimize", "maximize")
DEFAULT_OBJECTIVES = {"valid/loss": "minimize"}
TRIALS = 20

OPEN = (
    "hydra.sweeper.objectives",
    "hydra.sweeper.search_space",
    "hydra.sweeper.sampler.options",
    "hydra.sweeper.pruner.options",
)
"""The keys whose entries the user names."""

_HERE = "hydra.sweeper"


@dataclass(kw_only=True)
class SamplerConfig:
    """Who picks the next trial's values."""

    name: str = key("tpe", " | ".join(SAMPLERS))
    seed: int | None = key(0, "the same seed searches the same way, one trial at a time; null: another way each time")
    options: dict[str, Any] = key({}, "of Optuna's sampler, such as {n_startup_trials: 5, multivariate: true} of tpe")

    def __post_init__(self) -> None:
        check_choice(f"{_HERE}.sampler.name", self.name, SAMPLERS)
        check_range(f"{_HERE}.sampler.seed", self.seed, low=0, high=2**32 - 1)


@dataclass(kw_only=True)
class PrunerConfig:
    """Which trials are given up before their last epoch."""

    name: str = key("none", " | ".join(PRUNERS))
    options: dict[str, Any] = key({}, "of Optuna's pruner, such as {n_startup_trials: 3, n_warmup_steps: 2} of median")

    def __post_init__(self) -> None:
        check_choice(f"{_HERE}.pruner.name", self.name, PRUNERS)


@dataclass(kw_only=True)
class SearchConfig:
    """hydra/sweeper=optuna."""

    _target_: str = OPTUNA
    objectives: Any = key(None, "{NUMBER: minimize | maximize, ...}; null: {valid/loss: minimize}")
    n_trials: int | None = key(
        None, f"trials that the study shall have, those of other machines included; null: {TRIALS}, or the whole grid"
    )
    n_jobs: int = key(1, "trials at once, for launchers that are given jobs in batches")
    sampler: SamplerConfig = key(SamplerConfig(), "who picks the next trial's values")
    pruner: PrunerConfig = key(PrunerConfig(), "which trials are given up before their last epoch")
    storage: str | None = key(
        None, "where the study is kept: a journal file, or a database's URL; null: study.journal in the sweep's folder"
    )
    study_name: str | None = key(None, "the study's name in its storage; needed with a storage of your own")
    search_space: Any = key(None, "what is searched beside the command line: {KEY: SWEEP, ...}, or a YAML file of it")
    failed_value: Any = key(
        None, "what a failed trial counts as having reached (a number per objective); null: samplers leave it out"
    )
    max_failures: int | None = key(None, "ask for no more trials once so many have failed; null: however many")

    def __post_init__(self) -> None:
        check_range(f"{_HERE}.n_trials", self.n_trials, low=1)
        check_range(f"{_HERE}.n_jobs", self.n_jobs, low=1)
        check_range(f"{_HERE}.max_failures", self.max_failures, low=1)
        for metric, direction in self.directions.items():
            check_choice(f"{_HERE}.objectives.{metric}", direction, DIRECTIONS)
        if len(self.directions) > 1:
            self._check_several()
        if self.storage is not None and self.study_name is None:
            raise ConfigError(
                f"{_HERE}.study_name: name the study in {self.storage.rpartition('@')[2]}: who gives the same name "
                "works on the same study"
            )
        self.failed_values()

    @property
    def directions(self) -> dict[str, str]:
        """Each objective and its direction, in the order in which they were given."""
        if self.objectives is None:
            return dict(DEFAULT_OBJECTIVES)
        if not isinstance(self.objectives, dict) or not self.objectives:
            raise ConfigError(f"{_HERE}.objectives: must be a mapping such as {{valid/loss: minimize}}")
        return {str(metric): str(direction) for metric, direction in self.objectives.items()}

    def failed_values(self) -> list[float] | None:
        """What a failed trial is told to have reached, a number per objective; None: it is told to have failed."""
        if self.failed_value is None:
            return None
        given = self.failed_value if isinstance(self.failed_value, list) else [self.failed_value]
        if len(given) != len(self.directions) or any(type(each) not in (int, float) for each in given):
            raise ConfigError(
                f"{_HERE}.failed_value: must be a number for each of the {len(self.directions)} objective(s)"
            )
        return [float(each) for each in given]

    def _check_several(self) -> None:
        if self.pruner.name != "none":
            raise ConfigError(
                f"{_HERE}.pruner.name: {self.pruner.name} compares one number; with several objectives no trial can "
                "be given up: pruner.name=none"
            )
        if self.sampler.name == "cmaes":
            raise ConfigError(f"{_HERE}.sampler.name: cmaes searches for one objective; take tpe, gp, qmc or random")
