"""The newer keys of the targets: several horizons, quantiles, forecasts, triple barriers."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from hybrid_trainer.config.compose import load_config
from hybrid_trainer.config.consistency import kind_of
from hybrid_trainer.config.horizons import spread_horizons
from hybrid_trainer.config.monitors import known_monitors
from hybrid_trainer.config.schema import Config
from hybrid_trainer.config.targets import (
    ColumnTarget,
    FutureTarget,
    RegimeTarget,
    SignalTarget,
    TripleBarrierTarget,
    VolatilityTarget,
)
from hybrid_trainer.config.training import TrainingConfig
from hybrid_trainer.errors import ConfigError
from tests.conftest import make_config


def refused(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        make_config(*overrides)
    return str(caught.value)


# Several horizons.


def test_a_target_with_horizons_becomes_one_target_per_horizon() -> None:
    config = make_config(
        "data.targets.signal={horizons: [1,20], classes: 5}",
        "model.heads=[signal_20,volatility,signal_1]",
        "training.loss_weights.signal_20=0.5",
    )
    assert list(config.data.targets) == ["signal_1", "signal_20", "volatility", "regime", "sl_tp"]
    assert config.data.targets["signal_1"] == SignalTarget(horizon=1, classes=5)
    assert config.data.targets["signal_20"] == SignalTarget(horizon=20, classes=5)
    assert list(config.active_targets) == ["signal_20", "volatility", "signal_1"]
    assert make_config("data.targets.mine={builder: regime, horizons: [2]}").data.targets["mine_2"] == RegimeTarget(
        horizon=2
    )


def test_a_runs_own_config_comes_back_as_it_was(tmp_path: Path) -> None:
    overrides = [
        "data.targets.signal={horizons: [1,20], threshold_quantiles: [0.3,0.7]}",
        "data.targets.load={builder: future, columns: [Close], steps: 4}",
        "data.targets.barrier={builder: triple_barrier, uniqueness_weights: true}",
        "data.targets.volatility.quantiles=[0.1,0.5,0.9]",
        "training.class_weights=capped",
    ]
    config = make_config(*overrides)
    file = tmp_path / "config.yaml"
    file.write_text(OmegaConf.to_yaml(asdict(config)))
    assert load_config(file) == config


@pytest.mark.parametrize("horizons", ["[]", "[0]", "[1,1]", "[1.5]", "5", "[true]"])
def test_horizons_are_different_positive_integers(horizons: str) -> None:
    said = refused(f"data.targets.signal.horizons={horizons}")
    assert said.startswith("data.targets.signal.horizons: ")
    assert said.endswith(" must be different positive integers, such as [1, 5, 20]")


def test_a_name_that_is_taken_is_refused() -> None:
    taken = {"a": {"builder": "signal", "horizons": [1]}, "a_1": {"builder": "signal"}}
    for order in (taken, dict(reversed(taken.items()))):
        with pytest.raises(ConfigError) as caught:
            spread_horizons(order)
        assert str(caught.value) == "data.targets.a: 'a_1' is the name of another target as well; rename one"


def test_only_targets_made_from_prices_have_several_horizons() -> None:
    said = refused("data.targets.mine={column: y, kind: regression, horizons: [1,2]}")
    assert said.startswith("data.targets.mine.horizons: no such key")
    assert refused("data.targets.signal.horizons=[1,2]", "model.heads=[signal]") == (
        "model.heads: 'signal' is not in data.targets; did you mean 'signal_2'?"
    )


# What each of them says.


@pytest.mark.parametrize(
    ("schema", "keys", "text"),
    [
        (
            SignalTarget,
            {"threshold_quantiles": [0.5]},
            "threshold_quantiles: [0.5] must be 2 increasing numbers between",
        ),
        (SignalTarget, {"threshold_quantiles": [0.6, 0.4]}, "threshold_quantiles: [0.6, 0.4] must be 2 increasing"),
        (SignalTarget, {"threshold_quantiles": [0.0, 0.4]}, "threshold_quantiles: [0.0, 0.4] must be 2 increasing"),
        (
            SignalTarget,
            {"threshold_quantiles": [0.3, 0.6], "thresholds": [0.5]},
            "thresholds: give either thresholds or threshold_quantiles",
        ),
        (RegimeTarget, {"threshold_quantiles": [0.5, 1.0]}, "threshold_quantiles: [0.5, 1.0] must be 2 increasing"),
        (VolatilityTarget, {"quantiles": [0.1, 0.9]}, "quantiles: [0.1, 0.9] must be two or more, 0.5 among them"),
        (VolatilityTarget, {"quantiles": [0.5]}, "quantiles: [0.5] must be two or more, 0.5 among them"),
        (
            VolatilityTarget,
            {"quantiles": [0.5, 0.1]},
            "quantiles: [0.5, 0.1] must be increasing numbers between 0 and 1",
        ),
        (
            ColumnTarget,
            {"column": "y", "kind": "classification", "quantiles": [0.5, 0.9]},
            "quantiles: classes have none; use kind=regression",
        ),
        (TripleBarrierTarget, {"take_profit": 0.0}, "take_profit: 0.0 is out of range; it must be above 0"),
        (TripleBarrierTarget, {"stop_loss": -1.0}, "stop_loss: -1.0 is out of range; it must be above 0"),
        (TripleBarrierTarget, {"lookback": 1}, "lookback: 1 is out of range; it must be at least 2"),
        (FutureTarget, {}, "columns: name the columns to forecast, such as columns=[load,price]"),
        (FutureTarget, {"columns": ["a", "b", "a"]}, "columns: 'a' is named twice"),
        (FutureTarget, {"columns": ["a"], "steps": 0}, "steps: 0 is out of range; it must be at least 1"),
        (
            FutureTarget,
            {"columns": ["a"], "steps": 3, "horizon": 5},
            "horizon: 5 cannot be set for a forecast: its horizon is steps=3",
        ),
        (
            TrainingConfig,
            {"class_weights": "blanced"},
            "training.class_weights: 'blanced' is not one of none, balanced",
        ),
        (
            TrainingConfig,
            {"class_weight_cap": 0.5},
            "training.class_weight_cap: 0.5 is out of range; it must be at least",
        ),
    ],
)
def test_what_cannot_be_is_refused(schema: Any, keys: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        schema(**keys)
    assert str(caught.value).startswith(text)


def test_a_forecast_reaches_as_far_as_its_steps() -> None:
    assert FutureTarget(columns=["a"], steps=7).horizon == 7
    assert FutureTarget(columns=["a"], steps=7, horizon=7).horizon == 7


@pytest.mark.parametrize(
    ("entry", "kind", "metrics"),
    [
        ("{builder: triple_barrier}", "classification", {"accuracy", "mcc"}),
        ("{builder: volatility, quantiles: [0.5,0.9]}", "quantile", {"pinball", "mae", "rmse", "coverage_error"}),
        ("{column: y, kind: regression, quantiles: [0.1,0.5]}", "quantile", {"pinball", "mae"}),
        ("{builder: future, columns: [Close]}", "forecast", {"mse", "mae"}),
    ],
)
def test_the_kind_of_a_head_picks_its_metrics_and_losses(entry: str, kind: str, metrics: set[str]) -> None:
    config: Config = make_config(f"data.targets.mine={entry}", "model.heads=[mine]")
    assert kind_of(config, "mine") == kind
    assert {f"valid/mine/{metric}" for metric in metrics} <= set(known_monitors(config))
    other = "huber" if kind in ("classification", "quantile") else "pinball"
    said = refused(f"data.targets.mine={entry}", "model.heads=[mine]", f"training.losses.mine={other}")
    assert said.startswith(f"training.losses.mine: '{other}' does not fit {kind}; use ")
