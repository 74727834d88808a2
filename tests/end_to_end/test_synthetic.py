"""On data=synthetic it is known how well a model can do: the whole chain gets there, and no further than it should."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hybrid_trainer.train import train
from tests.conftest import make_config

SIZE = ["data=synthetic", "data.rows=4000", "data.split.fractions=[0.6,0.1,0.3]", "model.heads=[signal]"]
SMALL = [
    "model.time_window=16",
    "training.epochs=10",
    "training.learning_rate=3e-3",
    "callbacks.progress.enabled=false",
]
TRUNK = ["model.trunk_units=32", "model.dropout=0.1"]
MODELS = {
    "hybrid": ["model.cnn_filters=[16]", "model.lstm_units=32", *TRUNK],
    "lstm": ["model.lstm_units=32", *TRUNK],
    "cnn": TRUNK,
    "linear": ["training.learning_rate=1e-3"],
}


def figures(folder: Path, *overrides: str) -> dict[str, Any]:
    """Train in `folder`; returns the test figures of 'signal'."""
    given = [*SIZE, *SMALL, f"paths.root={folder}", *overrides]
    train(make_config(*given), folder / "run", given)
    said: dict[str, Any] = json.loads((folder / "run/report/metrics.json").read_text())["signal"]
    return said


@pytest.mark.parametrize("model", MODELS)
def test_every_model_learns_the_signal_and_the_hybrid_comes_within_three_points_of_the_best(
    model: str, tmp_path: Path
) -> None:
    said = figures(tmp_path, f"model={model}", *MODELS[model])
    accuracy, best = said["model"]["accuracy"], said["oracle"]["accuracy"]
    chance = said["baselines"]["class prior"]["accuracy"]
    assert 0.58 < best < 0.64
    assert chance < 0.45
    assert accuracy > best - (0.03 if model == "hybrid" else 0.06)
    assert accuracy < best + 0.01, "nobody can know more than who knows the process: something has leaked"


def test_with_shuffled_labels_it_falls_to_chance(tmp_path: Path) -> None:
    said = figures(tmp_path, "data.shuffle_labels=true", *MODELS["hybrid"])
    chance = said["baselines"]["class prior"]["accuracy"]
    assert said["model"]["accuracy"] == pytest.approx(chance, abs=0.03)
    assert said["model"]["log_loss"] == pytest.approx(said["baselines"]["class prior"]["log_loss"], abs=0.02)
    assert "oracle" not in said
