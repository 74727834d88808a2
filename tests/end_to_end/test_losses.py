"""Losses with options through a whole run: trained, reported, saved, and predicted from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl

from hybrid_trainer.__main__ import run as command
from hybrid_trainer.inference.bundle import load_bundle
from hybrid_trainer.train import train
from tests.conftest import make_config, price_frame
from tests.engine.helpers import TINY_RUN


def test_a_gaussian_head_tells_its_standard_deviation_to_the_saved_model(tmp_path: Path) -> None:
    price_frame().write_csv(tmp_path / "prices.csv")
    given = [*TINY_RUN, f"data.path={tmp_path / 'prices.csv'}", f"paths.root={tmp_path}"]
    given += ["model.heads=[signal,volatility,sl_tp]", "training.losses.sl_tp=gaussian"]
    given += ["training.losses.volatility=qlike"]
    given += ["training.losses.signal={name: focal, gamma: 1}", "callbacks.tensorboard.enabled=false"]
    given += ["callbacks.progress.enabled=false"]
    train(make_config(*given), tmp_path / "run", given)

    kept = pl.read_parquet(tmp_path / "run/report/predictions.parquet")
    mean, deviation = (np.array(kept[f"sl_tp_{what}"].to_list()) for what in ("pred", "std"))
    assert mean.shape == deviation.shape and mean.shape[1] == 2
    assert (deviation > 0).all() and (mean > 0).all()
    assert "volatility_std" not in kept.columns and "signal_std" not in kept.columns
    said = json.loads((tmp_path / "run/report/metrics.json").read_text())["sl_tp"]["model"]
    labels = np.array([row for row in kept["sl_tp_label"].to_list() if row is not None])
    known = kept["sl_tp_label"].is_not_null().to_numpy()
    np.testing.assert_allclose(said["mae"], np.abs(mean[known] - labels).mean(), rtol=1e-5)
    assert "`sl_tp_std`: their standard deviations" in (tmp_path / "run/model/MODEL_CARD.md").read_text()

    predictor = load_bundle(tmp_path / "run/model")
    frame = predictor.predict_file(tmp_path / "prices.csv")
    again = frame.join(kept, on=["timestamp", "instrument"], how="inner")
    assert again.height == kept.height
    np.testing.assert_allclose(
        np.array(again["sl_tp_std"].to_list()), np.array(again["sl_tp_std_right"].to_list()), rtol=1e-5
    )
    files = [str(tmp_path / name) for name in ("run/model", "prices.csv", "o.csv")]
    assert command(["predict", *files[:2], "-o", files[2]]) == 0
    assert pl.read_csv(tmp_path / "o.csv").columns[-4:] == [
        "sl_tp_pred_stop_loss",
        "sl_tp_pred_take_profit",
        "sl_tp_std_stop_loss",
        "sl_tp_std_take_profit",
    ]
