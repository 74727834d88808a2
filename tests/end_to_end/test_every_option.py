"""Every option of every group, every experiment and every value of every key: composed, and trained for one step."""

from __future__ import annotations

import math
from importlib.resources import files
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from hybrid_trainer import build, prepare
from hybrid_trainer.config import user_files
from hybrid_trainer.config.known_keys import known_keys
from hybrid_trainer.config.losses import LOSS_CONFIGS
from hybrid_trainer.config.schema import OPTIONS
from hybrid_trainer.config.targets import TARGETS
from hybrid_trainer.data.sources import load_table
from hybrid_trainer.seeding import seed_everything
from hybrid_trainer.train import train
from tests.conftest import make_config, price_frame
from tests.end_to_end.stand_ins import TABLES
from tests.engine.helpers import same, weights

CONF = Path(str(files("hybrid_trainer.conf")))
SMALL = ["model.time_window=8", "training.batch_size=4096", "training.epochs=1", "training.threads=1"]
TABLE = ["data=csv", "data.path=t.csv", "data.instrument=instrument"]
SYNTHETIC = ["data=synthetic", "data.instruments=2", "data.rows=300"]
OF_GROUP = {
    "data=csv": ["data.path=t.csv", "data.instrument=instrument"],
    "data=parquet": ["data.path=t.parquet", "data.instrument=instrument"],
    "data=synthetic": SYNTHETIC[1:],
}

SEQUENCES = (
    "data.independent_sequences=true data.instrument=sequence data.features=[a] data.targets.own.column=b "
    "data.targets.own.kind=regression model.heads=[own]"
)
WALK = "data.split.kind=walk_forward"
DATES = "data.split.kind=date data.split.valid_from=2020-07-01 data.split.test_from=2020-09-01"
CPCV = "data.split.kind=cpcv"
LOAD = "data.features=[a,b] data.targets.load={builder:future,columns:[b,a],steps:2} model.heads=[load]"
# What a run looks at where valid/loss is not what it minimises.
MONITORS = " ".join(
    f"{key}.monitor=valid/signal/loss"
    for key in ("callbacks.checkpoint", "callbacks.early_stopping", "training.schedule")
)

# For each key the values that are tried, each with what it needs beside it; a new key must be entered here.
VALUES: dict[str, list[str]] = {
    "seed": ["7"],
    "run.id": ["mine"],
    "plugins": ["[my_feature] data.extra_features=[mine]"],
    "paths.cache_dir": ["cache data.cache=always"],
    "paths.machine_profile": ["auto", "null"],
    "paths.root": ["elsewhere"],
    "paths.processed_data_path": ["t.csv data=csv data.instrument=instrument"],
    "paths.model_save_path": ["models"],
    "paths.log_dir": ["boards"],
    "data.timestamp": ["day"],
    "data.instrument": ["ticker"],
    "data.columns": ["{close:last}"],
    "data.adjusted_close": ["adjusted"],
    "data.feature_set": ["core", "none data.features=[a,b]", "auto data.features=[a]"],
    "data.features": ["[a,b]"],
    "data.context": ["[a,b]"],
    "data.missing": ["error", "gap data.features=[holes]"],
    "data.targets": ["{signal:{builder:signal,classes:5}}", "{own:{column:b,kind:regression}}"],
    "data.shuffle_labels": ["true"],
    "data.extra_features": ["[rsi_14]", "[rsi_14] data.features=[a]"],
    "data.expressions": ["{step:\"col('close').log().diff(3)\"}"],
    "data.categories": ["[b]"],
    "data.context_missing": ["fallback data.context=[a,holes]", "error data.context=[a]"],
    "data.in_memory_mib": ["0 data.cache=always paths.cache_dir=cache", "1024 data.cache=always paths.cache_dir=cache"],
    "data.max_gap": ["auto", "5", "3d", "null"],
    "data.independent_sequences": [f"true {SEQUENCES}"],
    "data.on_error": ["raise", "drop"],
    "data.cache": ["auto", "never", "always paths.cache_dir=cache"],
    "data.split.kind": ["chronological", "walk_forward", "cpcv", f"date {DATES}", "column data.split.column=part"],
    "data.split.fractions": ["[0.5,0.25,0.25]"],
    "data.split.embargo": ["5", "3d", f"2 {WALK}", f"2d {CPCV}"],
    "data.split.valid_from": [f"2020-06-20 {DATES}"],
    "data.split.test_from": [f"2020-09-10 {DATES}"],
    "data.split.train_from": [f"2020-04-01 {DATES}"],
    "data.split.test_until": [f"2020-10-15 {DATES}"],
    "data.split.folds": [f"3 {WALK} data.split.test_size=0.15 data.split.valid_size=0.15"],
    "data.split.fold": [f"1 {WALK}", f"3 {CPCV}"],
    "data.split.window": [f"rolling {WALK}"],
    "data.split.test_size": [f"0.12 {WALK}"],
    "data.split.valid_size": [f"0.2 {WALK} data.split.folds=2", f"0.2 {CPCV}"],
    "data.split.groups": [f"4 {CPCV}"],
    "data.split.test_groups": [f"1 {CPCV}"],
    "data.split.column": ["part data.split.kind=column"],
    "data.split.order": [f"{order} {SEQUENCES}" for order in ("shuffled", "file")],
    "data.split.seed": [f"4 {SEQUENCES}"],
    "data.scaler": ["standard", "robust", "none"],
    "data.clip": ["null", "3.0"],
    "data.path": ["t.parquet"],
    "data.instruments": ["3"],
    "data.rows": ["400"],
    "data.generator_seed": ["5"],
    "data.signal_strength": ["0"],
    "model.time_window": ["2", "20"],
    "model.heads": ["[regime]", "[volatility,signal]"],
    "model.init_from": ["run/model"],
    "model.freeze": ["[convolution]", "[heads.head_signal,recurrent,side.*]"],
    "model.embeddings": ["{}", "{instrument:3}", "{instrument:null}"],
    "model.use_context": ["false data.context=[a,b]"],
    "model.unknown_rate": ["0.2", "0.2 data.context=[a,holes]"],
    "model.pooling": ["last", "mean", "attention"],
    "model.linear_path": ["true", "true model=lstm model.window_norm=revin"],
    "model.context_units": ["4 data.context=[a,b]"],
    "model.trunk_units": ["8"],
    "model.dropout": ["0", "0.5"],
    "model.cnn_filters": ["[8]", "[8,16,8]"],
    "model.kernel_size": ["1", "5", "2 model=tcn", "4 model=lstnet model.skip=2"],
    "model.lstm_units": ["8"],
    "model.lstm_layers": ["3"],
    "model.bidirectional": ["true", "true model.pooling=attention"],
    "model.dilations": ["[1,2]", "[2] model=cnn model.cnn_filters=[8]"],
    "model.residual": ["true", "true model.cnn_filters=[8,16]"],
    "model.layer_norm": ["false"],
    "model.cell": ["lstm", "gru", "gru model=lstm model.bidirectional=true"],
    "model.forget_bias": ["null", "2.0"],
    "model.window_norm": ["none", "last", "revin", f"last {LOAD}", f"none model=patchtst {LOAD}"],
    "model.window_affine": [f"true model.window_norm=revin {LOAD}", "true model.window_norm=last"],
    "model.individual": [f"true model=dlinear {LOAD}", f"true model=patchtst {LOAD}"],
    "model.moving_average": ["5 model=dlinear"],
    "model.channels": ["[8,16] model=tcn"],
    "model.filters": ["8 model=lstnet", "8 model=deeplob", "[8,16,8] model=mlstm_fcn"],
    "model.gru_units": ["8 model=lstnet"],
    "model.skip": ["0 model=lstnet", "3 model=lstnet"],
    "model.skip_units": ["2 model=lstnet"],
    "model.highway": [f"0 model=lstnet {LOAD}", f"4 model=lstnet {LOAD}", f"4 {LOAD}", f"2 model=cnn {LOAD}"],
    "model.inception_filters": ["8 model=deeplob"],
    "model.kernel_sizes": ["[5,3] model=mlstm_fcn model.filters=[8,8]"],
    "model.reduction": ["4 model=mlstm_fcn"],
    "model.lstm_dropout": ["0 model=mlstm_fcn"],
    "model.patch_len": ["4 model=patchtst"],
    "model.stride": ["4 model=patchtst model.patch_len=5"],
    "model.d_model": ["8 model=patchtst"],
    "model.attention_heads": ["2 model=patchtst"],
    "model.d_ff": ["8 model=patchtst"],
    "model.layers": ["1 model=patchtst"],
    "model.pre_norm": ["true model=patchtst"],
    "training.epochs": ["2"],
    "training.batch_size": ["16"],
    "training.accumulate": ["3 training.batch_size=16"],
    "training.learning_rate": ["0.01"],
    "training.optimizer": ["adamw", "adam", "sgd"],
    "training.weight_decay": ["0"],
    "training.momentum": ["0 training.optimizer=sgd"],
    "training.clip_norm": ["null", "0.1"],
    "training.loss_weights": ["{signal:0.5}"],
    "training.losses": ["{volatility:mse}", "{signal:cross_entropy,sl_tp:huber}"],
    "training.balancing.kind": [f"{kind} {MONITORS}" for kind in ("fixed", "uncertainty", "dwa", "gradnorm", "pcgrad")],
    "training.balancing.alpha": [f"0 training.balancing.kind=gradnorm {MONITORS}"],
    "training.balancing.temperature": [f"1 training.balancing.kind=dwa training.epochs=3 {MONITORS}"],
    "training.task_gradients_every": ["1", "2 training.batch_size=64"],
    "training.class_weights": ["none", "balanced", "capped"],
    "training.class_weight_cap": ["2 training.class_weights=capped"],
    "training.reshard": ["true"],
    "training.resume": ["off", "auto run.id=mine"],
    "training.augment.input_noise": ["0.1"],
    "training.augment.time_mask": ["0.5"],
    "training.augment.feature_mask": ["0.2"],
    "training.augment.mixup": ["0.2", "0.2 data.context=[a,holes] training.class_weights=balanced"],
    "training.ema_decay": ["0.5"],
    "training.on_nonfinite": ["stop", "skip", "rollback"],
    "training.max_rollbacks": ["1 training.on_nonfinite=rollback"],
    "training.data_device": ["auto", "device", "host"],
    "training.compile": ["off", "graphs"],  # inductor takes a minute: tests/engine/test_inductor.py
    "training.schedule.kind": ["none", "plateau", "cosine", "onecycle"],
    "training.schedule.warmup_steps": ["5", "5 training.schedule.kind=cosine", "5 training.schedule.kind=none"],
    "training.schedule.monitor": ["valid/signal/macro_f1", "auto", "{valid/signal/loss:1,normalise:true}"],
    "training.schedule.factor": ["0.1"],
    "training.schedule.patience": ["0"],
    "training.schedule.options": ["{every:2} plugins=[my_feature] training.schedule.kind=my_steps"],
    "training.schedule.min_learning_rate": ["0", "1e-4 training.schedule.kind=cosine"],
    "training.precision": ["auto", "fp32", "bf16", "fp16"],
    "training.device": ["auto", "cpu"],
    "training.threads": ["1"],  # more would be this process's for good
    "training.deterministic": ["true", "false"],
    "callbacks.early_stopping.enabled": ["false"],
    "callbacks.early_stopping.monitor": ["valid/volatility/r2", "all_stalled", "{stalled:2}", "{valid/regime/mcc:2}"],
    "callbacks.early_stopping.task_patience": ["{signal:1} callbacks.early_stopping.monitor=all_stalled"],
    "callbacks.early_stopping.mode": ["min", "max"],
    "callbacks.early_stopping.patience": ["1"],
    "callbacks.early_stopping.min_delta": ["0.5"],
    "callbacks.task_metrics": ["{signal:auroc} callbacks.checkpoint.per_task=true"],
    "callbacks.checkpoint.per_task": ["true"],
    "callbacks.checkpoint.monitor": ["valid/regime/mcc", "{valid/signal/macro_f1:1.0,valid/volatility/r2:0.5}"],
    "callbacks.checkpoint.mode": ["min", "max"],
    "callbacks.checkpoint.every_steps": ["1"],
    "callbacks.checkpoint.every_minutes": ["null", "0.0001"],
    "callbacks.tensorboard.enabled": ["false"],
    "callbacks.resources.enabled": ["false"],
    "callbacks.resources.every_seconds": ["0.001"],
    "callbacks.progress.enabled": ["false"],
    "training.metrics": ["{mine:{}} plugins=[my_feature] callbacks.task_metrics.signal=mine"],
    "callbacks.extra": ["{my_look:{}} plugins=[my_feature]"],
}
TARGET_VALUES: dict[str, dict[str, list[str]]] = {
    "signal": {
        "horizon": ["1"],
        "classes": ["3", "5"],
        "thresholds": ["[0.3]"],
        "lookback": ["10"],
        "horizons": ["[1,5] model.heads=[mine_1,mine_5]"],
        "threshold_quantiles": ["[0.3,0.7]"],
    },
    "volatility": {"horizon": ["3"], "horizons": ["[1,5] model.heads=[mine_1,mine_5]"], "quantiles": ["[0.1,0.5,0.9]"]},
    "regime": {
        "horizon": ["5"],
        "threshold": ["0.3"],
        "horizons": ["[5,9] model.heads=[mine_5,mine_9]"],
        "threshold_quantiles": ["[0.3,0.7]"],
    },
    "sl_tp": {"horizon": ["3"], "atr_window": ["5"], "horizons": ["[2,4] model.heads=[mine_2,mine_4]"]},
    "triple_barrier": {
        "horizon": ["5"],
        "horizons": ["[3,6] model.heads=[mine_3,mine_6]"],
        "take_profit": ["1.5"],
        "stop_loss": ["1.5"],
        "lookback": ["10"],
        "uniqueness_weights": ["true"],
    },
    "future": {"columns": ["[a,close]"], "steps": ["4"], "horizon": ["0"]},
    "column": {
        "horizon": ["4"],
        "column": ["b"],
        "kind": ["regression", "classification"],
        "quantiles": ["[0.2,0.5] data.targets.mine.kind=regression"],
        "allow_contemporaneous": ["true data.features=[a,b]"],
    },
}
# For each loss its options, and for which task each value is tried.
LOSS_VALUES: dict[str, dict[str, list[str]]] = {
    "cross_entropy": {"label_smoothing": ["signal 0.1"]},
    "focal": {"gamma": ["signal 0", "signal 3"]},
    "huber": {"delta": ["sl_tp 0.5"]},
    "mse": {},
    "qlike": {"of": ["volatility null", "volatility log_volatility"]},
    "gaussian": {},
    "pinball": {},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with every sort of column, as CSV and as Parquet."""
    path = tmp_path_factory.mktemp("options")
    frame = price_frame(rows=300)
    generator = np.random.default_rng(0)
    (path / "my_feature.py").write_text(
        "from dataclasses import dataclass\n"
        "from hybrid_trainer.extend import *\n\n"
        "feature('mine', 2)(lambda bars: bars.close / lagged(bars.close, 1) - 1)\n\n"
        "@dataclass(kw_only=True)\nclass Every(ScheduleOptions):\n    every: int = key(1, 'epochs')\n\n"
        "schedule('my_steps', Every)(lambda optimizer, steps, every: Schedule(optimizer, every))\n"
        "callback('my_look')(lambda folder: Callback())\n"
        "metric('mine', kinds=('classification',), better='larger')(lambda predicted, label, spec: label.mean())\n"
    )
    days = np.tile(np.arange(300), 2)
    holes = [None if row % 50 == 7 else float(row % 9) for row in range(len(frame))]
    frame = frame.with_columns(
        day=pl.col("timestamp"),
        ticker=pl.col("instrument"),
        last=pl.col("close") * 1.5,
        adjusted=pl.col("close") * 0.5,
        a=pl.Series(generator.normal(size=len(frame))),
        b=pl.Series(generator.integers(0, 3, len(frame))),
        holes=pl.Series(holes, dtype=pl.Float64),
        part=pl.Series(np.select([days < 170, days < 235], ["train", "valid"], "test")),
        sequence=pl.Series([f"s{row // 20}" for row in range(len(frame))]),
    )
    frame.write_csv(path / "t.csv")
    frame.write_parquet(path / "t.parquet")
    train(make_config(*TABLE, f"data.path={path / 't.csv'}", *SMALL, f"paths.root={path}"), path / "run", [])
    return path


def train_one_step(folder: Path, run: Path, overrides: list[str]) -> None:
    """Compose, load, and train for an epoch of one step (or the few that the overrides ask for)."""
    config = make_config(*overrides)
    seed_everything(config.seed, deterministic=config.training.deterministic, threads=config.training.threads)
    on = build.machine(config)
    data = prepare.dataset(config, load_table(config.data, config.active_targets), on.device)
    looking_on = build.callbacks(config, run, run / "board")
    spec = build.model_spec(config, data)
    trainer = build.trainer(config, spec, data, on, looking_on, origin=build.origin_of(config))
    before = weights(trainer.model)
    batch_size = config.training.batch_size
    history = trainer.fit(data.loader("train", batch_size, shuffle_seed=config.seed), data.loader("valid", batch_size))
    assert len(history) == trainer.epoch >= 1
    assert math.isfinite(history[-1]["valid/loss"])
    after = weights(trainer.model)
    assert not same(before, after)
    assert all(bool(torch.isfinite(value).all()) for value in after.values())


def options() -> list[str]:
    return [f"{group}={path.stem}" for group in OPTIONS for path in sorted((CONF / group).glob("*.yaml"))]


@pytest.mark.parametrize("option", options())
def test_every_option_of_every_group_trains(
    option: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    table = [] if option.startswith("data=") else TABLE
    if option == "data=etth2":  # as the experiments upon it: its table does not come with the package
        write, file = TABLES["etth2"]
        write(tmp_path)
        table = [f"data.path={tmp_path / file}", "model.heads=[load]"]
    train_one_step(folder, tmp_path, [*table, option, *OF_GROUP.get(option, []), *SMALL])


@pytest.mark.parametrize("experiment", sorted(path.stem for path in (CONF / "experiment").glob("*.yaml")))
def test_every_experiment_trains(
    experiment: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    table = []
    if experiment in TABLES:  # it is for a table that does not come with the package
        write, file = TABLES[experiment]
        write(tmp_path)
        table = [f"data.path={tmp_path / file}"]
    shorter = ["model.highway=8"] if experiment == "etth2" else []  # than the window
    train_one_step(folder, tmp_path, [f"experiment={experiment}", *table, *SMALL, *shorter])


def test_every_key_and_every_target_builder_has_values_to_try() -> None:
    names = {f"{group}.name" for group in OPTIONS}  # what picks the option
    assert set(VALUES) == set(known_keys()) - names
    for builder, schema in TARGETS.items():
        assert set(TARGET_VALUES[builder]) == set(schema.__dataclass_fields__) - {"builder"}, builder
    assert {name: set(LOSS_CONFIGS.get(name, "")().options) for name in LOSS_CONFIGS} == {
        name: set(options) for name, options in LOSS_VALUES.items()
    }
    assert set(OPTIONS) | {"experiment"} == set(user_files.GROUPS)


@pytest.mark.parametrize("given", [f"{key}={value}" for key, values in VALUES.items() for value in values])
def test_every_key_trains(given: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    known = known_keys()[given.partition("=")[0]]
    table = SYNTHETIC if known.options == ["data=synthetic"] else TABLE
    train_one_step(folder, tmp_path, [*table, *SMALL, *given.split()])


@pytest.mark.parametrize(
    ("builder", "given"),
    [
        (builder, f"{key}={value}")
        for builder, keys in TARGET_VALUES.items()
        for key, values in keys.items()
        for value in values
    ],
)
def test_every_key_of_every_target_trains(
    builder: str, given: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    needed = [f"builder={builder}"]
    if builder == "column":
        needed += ["column=b", "kind=classification"]
    if builder == "future":
        needed += ["columns=[a]", "steps=2"]
    first, *rest = given.split()
    entry = [f"data.targets.mine.{word}" for word in (*needed, first)]
    train_one_step(folder, tmp_path, [*TABLE, *SMALL, "model.heads=[mine]", *entry, *rest])


@pytest.mark.parametrize(
    ("loss", "given"),
    [
        *(
            (loss, f"{option} {value}")
            for loss, options in LOSS_VALUES.items()
            for option, values in options.items()
            for value in values
        ),
        ("mse", "name volatility mse"),
        ("gaussian", "name sl_tp gaussian"),
        ("pinball", "name volatility pinball data.targets.volatility.quantiles=[0.1,0.5,0.9]"),
    ],
)
def test_every_option_of_every_loss_trains(
    loss: str, given: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    option, task, value, *rest = given.split()
    entry = [f"training.losses.{task}.name={loss}", f"training.losses.{task}.{option}={value}"]
    train_one_step(folder, tmp_path, [*TABLE, *SMALL, f"model.heads=[{task}]", *entry, *rest])
