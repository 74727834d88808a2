"""The keys of hydra/sweeper=optuna, and how they fit together."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hybrid_trainer.config.search import PrunerConfig, SamplerConfig, SearchConfig
from hybrid_trainer.errors import ConfigError

TWO = {"valid/loss": "minimize", "valid/signal/mcc": "maximize"}


def test_the_objective_is_the_validation_loss_where_none_is_given() -> None:
    assert SearchConfig().directions == {"valid/loss": "minimize"}
    assert list(SearchConfig(objectives=TWO).directions) == ["valid/loss", "valid/signal/mcc"]


@pytest.mark.parametrize(("given", "values"), [(None, None), (3, [3.0]), ([0.5], [0.5])])
def test_what_a_failed_trial_counts_as(given: Any, values: list[float] | None) -> None:
    assert SearchConfig(failed_value=given).failed_values() == values


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"objectives": "valid/loss"}, "objectives: must be a mapping such as {valid/loss: minimize}"),
        ({"objectives": {}}, "objectives: must be a mapping such as {valid/loss: minimize}"),
        ({"objectives": {"valid/loss": "down"}}, "objectives.valid/loss: 'down' is not one of minimize, maximize"),
        ({"n_trials": 0}, "n_trials: 0 is out of range; it must be at least 1"),
        ({"n_jobs": 0}, "n_jobs: 0 is out of range; it must be at least 1"),
        ({"max_failures": 0}, "max_failures: 0 is out of range; it must be at least 1"),
        ({"storage": "sqlite:///x"}, "study_name: name the study in sqlite:///x: who gives the same name works on"),
        ({"failed_value": "much"}, "failed_value: must be a number for each of the 1 objective(s)"),
        ({"failed_value": True}, "failed_value: must be a number for each of the 1 objective(s)"),
        ({"failed_value": 1, "objectives": TWO}, "failed_value: must be a number for each of the 2 objective(s)"),
        (
            {"objectives": TWO, "pruner": PrunerConfig(name="median")},
            "pruner.name: median compares one number; with several objectives no trial can be given up",
        ),
        ({"objectives": TWO, "sampler": SamplerConfig(name="cmaes")}, "sampler.name: cmaes searches for one objective"),
    ],
)
def test_a_key_that_is_wrong_is_told_in_one_line(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"hydra.sweeper.{said}")):
        SearchConfig(**keys)


def test_samplers_and_pruners_go_by_name() -> None:
    with pytest.raises(
        ConfigError, match=r"hydra\.sweeper\.sampler\.name: 'tp' is not one of .*; did you mean 'tpe'\?"
    ):
        SamplerConfig(name="tp")
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.sampler\.seed: -1 is out of range"):
        SamplerConfig(seed=-1)
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.pruner\.name: 'medain' is not one of .*'median'\?"):
        PrunerConfig(name="medain")
