"""The whole config as dataclasses: meanings, options, and what each section refuses."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from omegaconf import OmegaConf

from hybrid_trainer.config.callbacks import CheckpointConfig, EarlyStoppingConfig
from hybrid_trainer.config.data import ParquetData, TableData, UsStocksData
from hybrid_trainer.config.model import HybridModelConfig
from hybrid_trainer.config.schema import OPTIONS, Config, PathsConfig, TopLevelConfig
from hybrid_trainer.config.split import SplitConfig
from hybrid_trainer.config.targets import (
    TARGETS,
    ColumnTarget,
    RegimeTarget,
    SignalTarget,
    SlTpTarget,
    VolatilityTarget,
    builder_of,
)
from hybrid_trainer.config.training import ScheduleConfig, TrainingConfig
from hybrid_trainer.errors import ConfigError

CONF = Path(str(files("hybrid_trainer.conf")))


def leaves(schema: type[Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    found = []
    hints = get_type_hints(schema)
    for field in fields(schema):
        found.append((f"{path}{field.name}", dict(field.metadata)))
        if is_dataclass(hints[field.name]):
            found += leaves(hints[field.name], f"{path}{field.name}.")  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("schema", [Config, *(schema for options in OPTIONS.values() for schema in options.values())])
def test_every_key_carries_its_meaning(schema: type[Any]) -> None:
    silent = [name for name, metadata in leaves(schema) if not str(metadata.get("help", "")).strip()]
    assert silent == []


@pytest.mark.parametrize("builder", TARGETS)
def test_every_key_of_a_target_carries_its_meaning(builder: str) -> None:
    assert [name for name, metadata in leaves(TARGETS[builder]) if not metadata.get("help")] == []


@pytest.mark.parametrize("group", OPTIONS)
def test_every_built_in_option_has_a_dataclass_and_the_reverse(group: str) -> None:
    in_files = {
        OmegaConf.load(path).get("name", path.stem): path  # a file may name the dataclass that it varies
        for path in (CONF / group).glob("*.yaml")
    }
    assert set(in_files) == set(OPTIONS[group])
    for name, schema in OPTIONS[group].items():
        field = next(field for field in fields(schema) if field.name == "name")
        assert field.default_factory() == name  # type: ignore[misc]


def test_the_top_of_the_config_is_the_promised_one() -> None:
    assert [field.name for field in fields(Config)] == [
        "seed",
        "run",
        "plugins",
        "paths",
        "data",
        "model",
        "training",
        "callbacks",
    ]
    assert [field.name for field in fields(PathsConfig)] == [
        "root",
        "processed_data_path",
        "model_save_path",
        "log_dir",
        "cache_dir",
        "machine_profile",
    ]


def test_all_targets_are_heads_unless_some_are_chosen() -> None:
    data = UsStocksData(targets={"b": VolatilityTarget(), "a": VolatilityTarget(), "c": VolatilityTarget()})
    assert Config(data=data).heads == ["b", "a", "c"]
    chosen = Config(data=data, model=HybridModelConfig(heads=["c", "b"]))
    assert chosen.heads == ["c", "b"]
    assert list(chosen.active_targets.items()) == [("c", data.targets["c"]), ("b", data.targets["b"])]


def test_two_configs_share_no_mutable_default() -> None:
    first, second = Config(), Config()
    first.model.embeddings["sector"] = 3  # type: ignore[attr-defined]
    first.training.loss_weights["a"] = 2.0
    assert second == Config()


def refused(make: Any, **keys: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        make(**keys)
    return str(caught.value)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_is_an_unsigned_32_bit_number(seed: int) -> None:
    assert refused(TopLevelConfig, seed=seed).startswith(f"seed: {seed} is out of range; it must be at least 0")
    assert TopLevelConfig(seed=2**32 - 1).seed == 4294967295


@pytest.mark.parametrize(
    ("key", "value", "bound"),
    [
        ("epochs", 0, "at least 1"),
        ("batch_size", 0, "at least 1"),
        ("learning_rate", -1e-3, "above 0"),
        ("weight_decay", -0.1, "at least 0"),
        ("momentum", 1.0, "at least 0 and at most 0.9999"),
        ("clip_norm", 0.0, "above 0"),
        ("threads", 0, "at least 1"),
    ],
)
def test_a_number_of_the_training_outside_its_range_is_refused(key: str, value: float, bound: str) -> None:
    assert refused(TrainingConfig, **{key: value}) == f"training.{key}: {value} is out of range; it must be {bound}"


@pytest.mark.parametrize(
    ("key", "value", "names"),
    [
        ("optimizer", "rmsprop", "adamw, adam, sgd"),
        ("precision", "tf", "auto, fp32, bf16, fp16"),
        ("device", "tpux", "auto, cpu, cuda"),
    ],
)
def test_a_choice_of_the_training_that_is_none_is_refused(key: str, value: str, names: str) -> None:
    assert refused(TrainingConfig, **{key: value}).startswith(f"training.{key}: '{value}' is not one of {names}")


def test_the_loss_of_a_task_is_a_known_one_and_its_weight_not_negative() -> None:
    assert refused(TrainingConfig, losses={"a": "hinge"}) == (
        "training.losses.a: there is no loss 'hinge'; known: cross_entropy, focal, huber, mse, qlike, gaussian, pinball"
    )
    assert refused(TrainingConfig, loss_weights={"a": -1.0}).startswith("training.loss_weights.a: -1.0 is out of range")
    assert TrainingConfig(losses={"a": "mse"}, loss_weights={"a": 0.0}).loss_weights == {"a": 0.0}


@pytest.mark.parametrize(
    ("key", "value"),
    [("kind", "linear"), ("factor", 0.0), ("factor", 1.0), ("patience", -1), ("min_learning_rate", -1)],
)
def test_a_schedule_that_cannot_work_is_refused(key: str, value: Any) -> None:
    assert refused(ScheduleConfig, **{key: value}).startswith(f"training.schedule.{key}: ")


def test_callbacks_refuse_what_they_cannot_do() -> None:
    assert refused(EarlyStoppingConfig, patience=0).startswith("callbacks.early_stopping.patience: 0 is out of range")
    assert refused(EarlyStoppingConfig, min_delta=-0.1).startswith("callbacks.early_stopping.min_delta: -0.1 is out")
    assert refused(EarlyStoppingConfig, mode="up") == "callbacks.early_stopping.mode: 'up' is not one of auto, min, max"
    assert refused(CheckpointConfig, mode="up") == "callbacks.checkpoint.mode: 'up' is not one of auto, min, max"


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"time_window": 1}, "model.time_window: 1 is out of range; it must be at least 2"),
        ({"heads": []}, "model.heads: [] must name at least one target, and each once"),
        ({"heads": ["a", "a"]}, "model.heads: ['a', 'a'] must name at least one target, and each once"),
        (
            {"linear_path": True, "window_norm": "last"},
            "model.linear_path: window_norm=last takes the last row off, so that it is the same in every window; use "
            "window_norm=revin or none, or leave linear_path at false",
        ),
        ({"cnn_filters": []}, "model.cnn_filters: [] must be one or more positive integers"),
        ({"cnn_filters": [8, 0]}, "model.cnn_filters: [8, 0] must be one or more positive integers"),
        ({"kernel_size": 4}, "model.kernel_size: 4 must be odd and at least 1"),
        ({"kernel_size": -1}, "model.kernel_size: -1 must be odd and at least 1"),
        ({"lstm_units": 0}, "model.lstm_units: 0 is out of range; it must be at least 1"),
        ({"lstm_layers": 0}, "model.lstm_layers: 0 is out of range; it must be at least 1"),
        ({"unknown_rate": 1.0}, "model.unknown_rate: 1.0 is out of range; it must be at least 0 and at most 0.95"),
        ({"context_units": 0}, "model.context_units: 0 is out of range; it must be at least 1"),
        ({"trunk_units": 0}, "model.trunk_units: 0 is out of range; it must be at least 1"),
        ({"dropout": 1.0}, "model.dropout: 1.0 is out of range; it must be at least 0 and at most 0.95"),
        ({"embeddings": {"instrument": 0}}, "model.embeddings.instrument: 0 is out of range; it must be at least 1"),
    ],
)
def test_a_model_that_cannot_be_built_is_refused(keys: dict[str, Any], text: str) -> None:
    assert refused(HybridModelConfig, **keys) == text


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"feature_set": "none"}, "data.features: name at least one column, or set data.feature_set=core"),
        (
            {"feature_set": "cor"},
            "data.feature_set: 'cor' is not one of auto, core, technical, none; did you mean 'core'?",
        ),
        ({"extra_features": ["b", "b"]}, "data.extra_features: 'b' is named twice"),
        ({"missing": "drop"}, "data.missing: 'drop' is not one of error, gap"),
        ({"scaler": "minmax"}, "data.scaler: 'minmax' is not one of standard, robust, none"),
        ({"clip": 0.0}, "data.clip: 0.0 is out of range; it must be above 0"),
        ({"columns": {"bid": "Bid"}}, "data.columns: 'bid' is not one of open, high, low, close, volume"),
        ({"features": ["b", "a", "a"]}, "data.features: 'a' is named twice"),
        ({"context": ["b", "b"]}, "data.context: 'b' is named twice"),
        ({"context": {"text": ["b", "b"]}}, "data.context.text: 'b' is named twice"),
        ({"context": {"text": []}}, "data.context.text: [] must be column names: data.context.text=[a,b] or text_*"),
        ({"context": {"text": 1.5}}, "data.context.text: 1.5 must be column names: data.context.text=[a,b] or text_*"),
        ({"context": [True]}, "data.context: [True] must be column names: data.context=[a,b] or text_*"),
        ({"context": {"a-b": ["c"]}}, "data.context: 'a-b' must be letters, digits and underscores: it names a block"),
        ({"context_missing": "none"}, "data.context_missing: 'none' is not one of fallback, error"),
        ({"categories": ["b", "b"]}, "data.categories: 'b' is named twice"),
        ({"categories": ["Ticker"]}, "data.categories: 'Ticker' is embedded already: model.embeddings.instrument"),
        (
            {"categories": ["instrument"]},
            "data.categories: 'instrument' is embedded already: model.embeddings.instrument",
        ),
    ],
)
def test_data_that_cannot_be_read_is_refused(keys: dict[str, Any], text: str) -> None:
    assert refused(UsStocksData, **keys) == text


@pytest.mark.parametrize(
    ("given", "blocks"),
    [
        (None, {}),
        ([], {}),
        (["a", "b"], {"context": ["a", "b"]}),
        ("text_*", {"context": ["text_*"]}),
        ({"text": "text_*", "rest": ["a", 7]}, {"text": ["text_*"], "rest": ["a", "7"]}),
    ],
)
def test_context_is_a_list_or_named_blocks(given: Any, blocks: dict[str, list[str]]) -> None:
    data = UsStocksData(context=given)
    assert data.context_blocks == blocks
    assert UsStocksData(context=data.context).context_blocks == blocks  # as from a run's own config.yaml


@pytest.mark.parametrize(
    "fractions", [[0.5, 0.5], [0.5, 0.3, 0.3], [1.0, 0.0, 0.0], [1.2, -0.1, -0.1], [0.25, 0.25, 0.25, 0.25]]
)
def test_fractions_are_three_positive_numbers_with_sum_one(fractions: list[float]) -> None:
    text = f"data.split.fractions: {fractions} must be three positive numbers with sum 1"
    assert refused(SplitConfig, fractions=fractions) == text


def test_fractions_that_are_no_numbers_are_refused() -> None:
    refused(SplitConfig, fractions=[float("nan")] * 3)


@pytest.mark.parametrize(
    ("features", "asked", "effective"),
    [([], "auto", "core"), (["x"], "auto", "none"), (["x"], "core", "core"), (["x"], "none", "none")],
)
def test_the_feature_set_is_left_out_where_the_table_brings_features(
    features: list[str], asked: str, effective: str
) -> None:
    assert UsStocksData(features=features, feature_set=asked).feature_set == effective


def test_single_features_and_expressions_are_features_as_well() -> None:
    assert TableData(path="x", extra_features=["rsi_14"]).feature_set == "none"
    assert TableData(path="x", expressions={"m": "col('close')"}).feature_set == "none"
    assert TableData(path="x", expressions={"m": "col('close')"}, feature_set="technical").feature_set == "technical"


@pytest.mark.parametrize(("schema", "name"), [(TableData, "csv"), (ParquetData, "parquet")])
def test_a_table_of_the_users_own_needs_a_file(schema: type[TableData], name: str) -> None:
    assert refused(schema) == f"data.path: data={name} needs a file: data.path=prices.csv"
    assert schema(path="x").path == "x"


def test_a_signal_takes_the_usual_thresholds_for_its_classes() -> None:
    assert SignalTarget().thresholds == [0.5]
    assert SignalTarget(classes=5).thresholds == [0.4, 1.2]
    assert SignalTarget(classes=5, thresholds=[1.0, 2.0]).thresholds == [1.0, 2.0]


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"classes": 4}, "classes: 4 must be 3 or 5"),
        ({"lookback": 1}, "lookback: 1 is out of range; it must be at least 2"),
        ({"thresholds": [0.0]}, "thresholds: [0.0] must be 1 positive, increasing number(s)"),
        ({"thresholds": []}, "thresholds: [] must be 1 positive, increasing number(s)"),
        ({"thresholds": [0.4, 1.2]}, "thresholds: [0.4, 1.2] must be 1 positive, increasing number(s)"),
        ({"classes": 5, "thresholds": [1.0, 1.0]}, "thresholds: [1.0, 1.0] must be 2 positive, increasing number(s)"),
    ],
)
def test_a_signal_that_cannot_be_is_refused(keys: dict[str, Any], text: str) -> None:
    assert refused(SignalTarget, **keys) == text


@pytest.mark.parametrize("schema", [SignalTarget, VolatilityTarget, RegimeTarget, SlTpTarget])
def test_a_horizon_is_at_least_one_bar(schema: Any) -> None:
    assert refused(schema, horizon=0) == "horizon: 0 is out of range; it must be at least 1"


def test_a_column_target_needs_its_column_and_its_kind() -> None:
    assert refused(ColumnTarget, kind="regression") == "column: name the column that holds the labels"
    assert refused(ColumnTarget, column="y", kind="class").startswith("kind: 'class' is not one of classification, reg")
    assert ColumnTarget(column="y", kind="regression").horizon == 1


def test_a_regime_threshold_and_an_atr_window_stay_in_their_ranges() -> None:
    assert refused(RegimeTarget, threshold=0.0) == "threshold: 0.0 is out of range; it must be above 0 and at most 1"
    assert refused(RegimeTarget, threshold=1.5) == "threshold: 1.5 is out of range; it must be above 0 and at most 1"
    assert refused(SlTpTarget, atr_window=0) == "atr_window: 0 is out of range; it must be at least 1"


@pytest.mark.parametrize(
    ("name", "entry", "builder"),
    [
        ("signal", {}, "signal"),
        ("mine", {"builder": "regime"}, "regime"),
        ("mine", {"column": "y"}, "column"),
        ("signal", {"column": "y"}, "column"),
        ("mine", {"builder": "signal", "column": "y"}, "signal"),
        ("mine", {"builder": "", "column": ""}, "mine"),
    ],
)
def test_an_entry_names_its_builder_or_has_a_column_or_goes_by_its_own_name(
    name: str, entry: dict[str, Any], builder: str
) -> None:
    assert builder_of(name, entry) == builder
