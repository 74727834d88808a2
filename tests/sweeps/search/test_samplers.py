"""Samplers and pruners by name, and their options."""

from __future__ import annotations

import optuna
import pytest

from hybrid_trainer.config.search import PRUNERS, SAMPLERS, PrunerConfig, SamplerConfig
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.sweeps.search.pruners import make_pruner
from hybrid_trainer.sweeps.search.samplers import SeededByTrial, make_sampler


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_picks(name: str) -> None:
    sampler = make_sampler(SamplerConfig(name=name), [{"a": 0.25}, {"a": 0.5}])
    study = optuna.create_study(sampler=sampler)
    for _ in range(3):
        trial = study.ask()
        study.tell(trial, trial.suggest_float("a", 0, 1))
    assert len({trial.params["a"] for trial in study.trials}) == (2 if name == "grid" else 3)


def test_the_options_reach_optunas_sampler() -> None:
    made = make_sampler(
        SamplerConfig(name="tpe", seed=None, options={"n_startup_trials": 3, "multivariate": True}), None
    )
    assert isinstance(made, optuna.samplers.TPESampler)
    assert made._n_startup_trials == 3
    assert isinstance(make_sampler(SamplerConfig(name="tpe", seed=1), None), SeededByTrial)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("tpe", {"n_startup": 3}, "n_startup: no option of tpe; did you mean 'n_startup_trials'?"),
        ("random", {"x": 3}, "x: no option of random"),
        ("grid", {"x": 3}, "grid has none, not x"),
        ("qmc", {"qmc_type": "x"}, "qmc: The .*qmc_type='x'.* is invalid"),
        ("cmaes", {"source_trials": []}, "source_trials: no option of cmaes"),
        ("tpe", {"seed": 1}, "seed: no option of tpe"),
    ],
)
def test_an_option_that_a_sampler_does_not_take_is_refused(name: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=rf"^hydra\.sweeper\.sampler\.options.*{said.rstrip('?')}"):
        make_sampler(SamplerConfig(name=name, options=options), [])


@pytest.mark.parametrize("name", PRUNERS)
def test_every_pruner_is_made(name: str) -> None:
    made = make_pruner(PrunerConfig(name=name), epochs=27)
    kinds = {"none": "Nop", "median": "Median", "hyperband": "Hyperband", "patient": "Patient"}
    assert type(made).__name__ == f"{kinds[name]}Pruner"
    if isinstance(made, optuna.pruners.HyperbandPruner):
        assert made._max_resource == 27


def test_patient_asks_the_median_whose_options_it_takes() -> None:
    options = {"patience": 2, "min_delta": 0.1, "n_startup_trials": 1, "n_warmup_steps": 4}
    made = make_pruner(PrunerConfig(name="patient", options=options), epochs=9)
    assert isinstance(made, optuna.pruners.PatientPruner)
    assert (made._patience, made._min_delta) == (2, 0.1)
    assert isinstance(made._wrapped_pruner, optuna.pruners.MedianPruner)
    assert made._wrapped_pruner._n_warmup_steps == 4


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("none", {"x": 1}, "pruner.name=none has none, not x"),
        ("median", {"warmup": 1}, "warmup: no option of median"),
        ("median", {"n_startup_trials": -1}, "median: Number of startup trials cannot be negative"),
        ("patient", {"patienc": 1}, "patienc: no option of patient; did you mean 'patience'"),
        ("hyperband", {"max_resource": "x"}, "hyperband: The 'max_resource' should be integer"),
    ],
)
def test_an_option_that_a_pruner_does_not_take_is_refused(name: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=rf"^hydra\.sweeper\.pruner\.options.*{said}"):
        make_pruner(PrunerConfig(name=name, options=options), epochs=9)
