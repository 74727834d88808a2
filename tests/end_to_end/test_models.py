"""Published families through a whole run: a forecast of features beside another head; the saved model is the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hybrid_trainer import build, prepare
from hybrid_trainer.data.sources import load_table
from hybrid_trainer.inference.bundle import load_bundle
from hybrid_trainer.links import to_prediction
from hybrid_trainer.models import make_model
from hybrid_trainer.models.window_norm import NormalisedWindows
from hybrid_trainer.train import train
from tests.conftest import make_config, price_frame

SHARED = [
    "data=csv",
    "data.instrument=instrument",
    "data.features=[open,close]",
    "data.targets.load={builder: future, columns: [close,open], steps: 3}",
    "model.heads=[load,signal]",
    "model.time_window=8",
    "training.epochs=1",
    "training.device=cpu",
    "training.threads=1",
    "training.augment={input_noise: 0.1, time_mask: 0.3, feature_mask: 0.1, mixup: 0.2}",
    "callbacks.tensorboard.enabled=false",
    "callbacks.progress.enabled=false",
]


@pytest.mark.parametrize("name", ["dlinear", "patchtst", "lstnet"])
def test_a_family_is_trained_tested_and_saved_with_its_norm(name: str, tmp_path: Path) -> None:
    price_frame(120).write_csv(tmp_path / "prices.csv")
    given = [*SHARED, f"data.path={tmp_path / 'prices.csv'}", f"paths.root={tmp_path}", f"model={name}"]
    given += ["model.window_norm=revin", "model.window_affine=true"]
    train(make_config(*given), tmp_path / "run", given)
    said = json.loads((tmp_path / "run/report/metrics.json").read_text())
    assert all(np.isfinite(list(entry["model"].values())).all() for entry in said.values())
    predictor = load_bundle(tmp_path / "run/model")  # which replays its golden batch
    assert isinstance(predictor.model, NormalisedWindows)


def test_a_forecast_that_adds_nothing_to_the_last_row_is_the_baseline(tmp_path: Path) -> None:
    """An untrained NLinear of weight 0 forecasts the last value, in units: whatever scales features and labels have."""
    price_frame(120).write_csv(tmp_path / "prices.csv")
    given = [*SHARED[:6], f"data.path={tmp_path / 'prices.csv'}", "model=linear", "model.window_norm=last"]
    config = make_config(*given, "data.scaler=robust", "data.clip=null", "model.heads=[load]")
    data = prepare.dataset(config, load_table(config.data, config.active_targets), torch.device("cpu"))
    spec = build.model_spec(config, data)
    model = make_model(spec.name, spec.dims, spec.parameters)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    batch = next(iter(data.loader("test", 8)))
    found = to_prediction(model(batch.x, None, batch.ids)["load"], data.specs[0])
    last = torch.from_numpy(data.panel.features[batch.row.numpy()][:, [1, 0]])  # close, open
    torch.testing.assert_close(found, last.repeat(1, 3), rtol=1e-5, atol=1e-4)
