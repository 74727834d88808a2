"""A model begins with the weights of a saved one: what fits is taken over, what doesn't begins fresh, and is named."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from hybrid_trainer import build, prepare
from hybrid_trainer.config.schema import Config
from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.data.sources import load_table
from hybrid_trainer.engine.device import choose_precision
from hybrid_trainer.errors import BundleError, ConfigError
from hybrid_trainer.inference.bundle import load_bundle
from hybrid_trainer.inference.files import bundle_digest
from hybrid_trainer.inference.warm_start import Origin
from hybrid_trainer.resume import resume
from hybrid_trainer.train import train
from hybrid_trainer.trainer import Trainer
from tests.conftest import make_config, price_frame
from tests.engine.helpers import CPU, same, weights
from tests.inference.conftest import TINY, Trained

ON = build.Machine(CPU, choose_precision("fp32", CPU))


def config_of(trained: Trained, *overrides: str) -> Config:
    same_data = ("data=csv", f"data.path={trained.file}", "data.instrument=instrument", "model.time_window=8")
    return make_config(*same_data, *TINY, f"model.init_from={trained.run.bundle}", *overrides)


def made(config: Config) -> Dataset:
    return prepare.dataset(config, load_table(config.data, config.active_targets), CPU)


def begun(config: Config, data: Dataset | None = None) -> Trainer:
    torch.manual_seed(0)
    data = data or made(config)
    return build.trainer(config, build.model_spec(config, data), data, ON, [], origin=build.origin_of(config))


def saved(trained: Trained) -> dict[str, torch.Tensor]:
    return load_file(trained.run.bundle / "weights.safetensors")


def refused(config: Config) -> str:
    with pytest.raises(ConfigError) as caught:
        begun(config)
    return str(caught.value)


def test_the_same_data_and_heads_take_over_every_bit(trained: Trained, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "hybrid_trainer"):
        trainer = begun(config_of(trained))
    assert same(dict(sorted(weights(trainer.model).items())), dict(sorted(saved(trained).items())))
    digest = bundle_digest(trained.run.bundle)[:16]
    count = len(saved(trained))
    assert f"{count} of {count} tensors taken over (manifest {digest})" in caplog.text
    assert "begins fresh" not in caplog.text


def test_an_average_of_the_weights_begins_there_too(trained: Trained) -> None:
    trainer = begun(config_of(trained, "training.ema_decay=0.9"))
    assert same(dict(sorted(weights(trainer.evaluated).items())), dict(sorted(saved(trained).items())))


def test_new_heads_begin_fresh_upon_a_frozen_trunk(trained: Trained, caplog: pytest.LogCaptureFixture) -> None:
    config = config_of(
        trained,
        "data.targets.barrier.builder=triple_barrier",
        "data.targets.signal.classes=5",  # another head under the same name
        "data.targets.volatility.horizon=2",  # the same head, elsewhere
        "model.heads=[volatility,signal,barrier]",
        "model.freeze=[convolution,recurrent,side,trunk]",
        "training.learning_rate=0.1",
    )
    data = made(config)
    with caplog.at_level(logging.INFO, "hybrid_trainer"):
        trainer = begun(config, data)
    before = weights(trainer.model)
    named = [f"heads.head_{task}.{part}" for task in ("signal", "barrier") for part in ("weight", "bias")]
    assert f"begins fresh: {', '.join(named)}\n" in caplog.text
    for name, value in saved(trained).items():
        if name in before and name not in named:
            assert torch.equal(before[name], value), name
    assert " of them frozen; cpu" in caplog.text
    trainer.fit(data.loader("train", 64, shuffle_seed=0), data.loader("valid", 64))
    after = weights(trainer.model)
    assert {name for name in after if not torch.equal(after[name], before[name])} == {
        name for name in after if name.startswith("heads.")
    }


def test_classes_of_other_names_are_another_head(trained: Trained) -> None:
    origin = Origin.read(trained.run.bundle)
    (spec,) = [spec for spec in origin.schema.specs if spec.name == "regime"]
    object.__setattr__(spec, "labels", ("a", "b", "c"))
    config = config_of(trained)
    data = made(config)
    torch.manual_seed(3)
    trainer = build.trainer(config, build.model_spec(config, data), data, ON, [], origin=origin)
    same_names = {name for name, value in weights(trainer.model).items() if torch.equal(value, saved(trained)[name])}
    assert set(saved(trained)) - same_names == {"heads.head_regime.weight", "heads.head_regime.bias"}


def test_vectors_of_categories_go_by_their_names(trained: Trained, tmp_path: Path) -> None:
    """B was the second of two instruments; here it is the first of two: 0 is `<unk>`, new ones begin fresh."""
    file = tmp_path / "others.csv"
    price_frame(300, ("B", "C"), seed=5).write_csv(file)
    config = config_of(trained, f"data.path={file}")
    trainer = begun(config)
    (name,) = [name for name in saved(trained) if "tables" in name]
    before, now = saved(trained)[name], weights(trainer.model)[name]
    assert torch.equal(now[0], before[0])
    assert torch.equal(now[1], before[2])
    assert not torch.equal(now[2], before[1])


def test_from_one_norm_of_the_windows_to_another(
    trained: Trained, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """none -> revin with an affine part, frozen -> last: all but the norm's own weights go along."""
    norm = ["model.window_norm=revin", "model.window_affine=true", "model.freeze=[window_norm,trunk]"]
    run = train(config_of(trained, *norm, f"paths.root={tmp_path}"), tmp_path / "revin", [])
    log = (run.path / "train.log").read_text()
    assert "begins fresh: window_norm.gain, window_norm.shift\n" in log
    assert "window_norm was none and is revin; layers that read them learn that anew" in log
    kept = load_file(run.bundle / "weights.safetensors")
    assert bool((kept["window_norm.gain"] == 1).all()) and not kept["window_norm.shift"].any()
    assert {name for name, value in saved(trained).items() if torch.equal(kept[name], value)} == {
        name for name in saved(trained) if name.startswith("trunk")
    }
    with caplog.at_level(logging.INFO, "hybrid_trainer"):
        trainer = begun(config_of(trained, "model.window_norm=last", f"model.init_from={run.bundle}"))
    count = len(saved(trained))
    assert f"{count} of {count} tensors taken over" in caplog.text
    assert "window_norm was revin and is last" in caplog.text
    assert all(torch.equal(value, kept[name]) for name, value in weights(trainer.model).items())


def test_another_vector_size_begins_fresh(trained: Trained, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "hybrid_trainer"):
        begun(config_of(trained, "model.embeddings.instrument=2"))
    assert "begins fresh: side.embedding.tables.0.weight, trunk.linear.weight\n" in caplog.text
    assert "embeddings were {'instrument': 4} and are {'instrument': 2}" in caplog.text


def test_another_family_or_other_features_are_refused(trained: Trained) -> None:
    where = f"model.init_from: {trained.run.bundle}"
    family = make_config(
        *("data=csv", f"data.path={trained.file}", "data.instrument=instrument", "model=linear"),
        f"model.init_from={trained.run.bundle}",
    )
    assert refused(family) == f"{where} is a model of the family 'hybrid', not 'linear'; choose that one"
    assert refused(config_of(trained, "data.feature_set=core", "data.extra_features=[rsi_14]")) == (
        f"{where} reads other features: it knows no rsi_14; bring the same ones"
    )
    fewer = config_of(trained, "data.feature_set=none", "data.extra_features=[return_1]")
    assert "reads other features: here is no return_5, " in refused(fewer)
    names = ",".join(reversed(Origin.read(trained.run.bundle).schema.feature_names))
    other = config_of(trained, "data.feature_set=none", f"data.extra_features=[{names}]")
    assert refused(other) == f"{where} reads other features: in another order; bring the same ones"


def test_where_nothing_fits_it_is_refused(trained: Trained) -> None:
    config = config_of(trained, "model.heads=[volatility]")
    data = made(config)
    origin = Origin.read(trained.run.bundle)
    origin = Origin(origin.folder, origin.sha256, origin.schema, {"other": torch.zeros(1)})
    with pytest.raises(ConfigError, match="none of its weights fits this model"):
        build.trainer(config, build.model_spec(config, data), data, ON, [], origin=origin)


def test_an_altered_or_missing_model_is_told_before_a_run_begins(trained: Trained, tmp_path: Path) -> None:
    shutil.copytree(trained.run.bundle, tmp_path / "model")
    with (tmp_path / "model" / "weights.safetensors").open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\1")
    for folder, said in ((tmp_path / "model", "the file was altered"), (tmp_path / "none", "there is no such folder")):
        config = config_of(trained, f"model.init_from={folder}", f"paths.root={tmp_path}")
        told = f"^model.init_from: {folder}.*: {said}"
        with pytest.raises(BundleError, match=told):
            train(config, tmp_path / "run", [])
        with pytest.raises(BundleError, match=told):
            build.origin_of(config)
        assert not (tmp_path / "run").exists()


def test_a_run_says_where_it_came_from_and_goes_on_when_that_is_gone(trained: Trained, tmp_path: Path) -> None:
    shutil.copytree(trained.run.bundle, tmp_path / "source")
    config = config_of(
        trained, f"model.init_from={tmp_path / 'source'}", "model.freeze=[trunk]", f"paths.root={tmp_path}"
    )
    run = train(config, tmp_path / "run", [])
    told = {"folder": str(tmp_path / "source"), "sha256": bundle_digest(trained.run.bundle)}
    assert json.loads((run.path / "run.json").read_text())["init_from"] == told
    assert load_bundle(run.bundle).schema.origin["init_from"] == told
    shutil.rmtree(tmp_path / "source")
    resume(run.path, ["training.epochs=2"])
    record = json.loads((run.path / "run.json").read_text())
    assert (record["status"], record["epochs"], record["init_from"]) == ("complete", 2, told)
    assert load_bundle(run.bundle).schema.origin["init_from"] == told
    trunk = {name: value for name, value in saved(trained).items() if name.startswith("trunk")}
    kept = load_file(run.bundle / "weights.safetensors")
    assert all(torch.equal(kept[name], value) for name, value in trunk.items())


def test_prices_of_others_are_scaled_anew(trained: Trained, tmp_path: Path) -> None:
    file = tmp_path / "others.csv"
    price_frame(300, seed=5).with_columns(pl.col("volume") * 1e3).write_csv(file)
    data = made(config_of(trained, f"data.path={file}"))
    train_rows = data.tensors.features[torch.from_numpy(data.split.rows["train"])]
    assert float(train_rows.mean(0).abs().max()) < 0.2
