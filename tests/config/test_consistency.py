"""Checks across sections: what each section cannot see alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from hybrid_trainer.config import consistency
from hybrid_trainer.config.balancing import BalancingConfig
from hybrid_trainer.config.callbacks import CallbacksConfig, CheckpointConfig, EarlyStoppingConfig
from hybrid_trainer.config.data import TableData, UsStocksData
from hybrid_trainer.config.forecasters import DLinearModelConfig, PatchTSTModelConfig
from hybrid_trainer.config.model import HybridModelConfig
from hybrid_trainer.config.schema import Config
from hybrid_trainer.config.split import SplitConfig
from hybrid_trainer.config.targets import (
    ColumnTarget,
    FutureTarget,
    RegimeTarget,
    SignalTarget,
    SlTpTarget,
    VolatilityTarget,
)
from hybrid_trainer.config.training import ScheduleConfig, TrainingConfig
from hybrid_trainer.errors import ConfigError

TARGETS = {
    "signal": SignalTarget(),
    "volatility": VolatilityTarget(),
    "regime": RegimeTarget(),
    "sl_tp": SlTpTarget(),
    "grade": ColumnTarget(column="grade", kind="classification"),
    "yield_": ColumnTarget(column="yield", kind="regression"),
}


def config(**sections: Any) -> Config:
    return Config(**{"data": UsStocksData(targets=copy.deepcopy(TARGETS)), **sections})


def refused(given: Config) -> str:
    with pytest.raises(ConfigError) as caught:
        consistency.check(given)
    return str(caught.value)


def test_a_config_without_contradictions_passes() -> None:
    consistency.check(config())


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        ("signal", "classification"),
        ("regime", "classification"),
        ("grade", "classification"),
        ("volatility", "regression"),
        ("sl_tp", "regression"),
        ("yield_", "regression"),
    ],
)
def test_the_kind_of_a_task_follows_from_its_target(task: str, kind: str) -> None:
    assert consistency.kind_of(config(), task) == kind


def test_a_head_needs_a_target() -> None:
    given = config(model=HybridModelConfig(heads=["signal", "volatilty"]))
    assert refused(given) == "model.heads: 'volatilty' is not in data.targets; did you mean 'volatility'?"


def test_there_must_be_something_to_predict() -> None:
    assert refused(config(data=UsStocksData(targets={}))) == "data.targets: name at least one target"


@pytest.mark.parametrize("name", ["a-b", "a.b", "a b", "1a", ""])
def test_a_head_is_named_like_a_variable(name: str) -> None:
    text = f"data.targets: '{name}' must be letters, digits and underscores: it becomes part of names"
    assert refused(config(data=UsStocksData(targets={name: SignalTarget()}))) == text


@pytest.mark.parametrize("key", ["loss_weights", "losses"])
def test_a_task_of_the_training_is_an_active_head(key: str) -> None:
    entry: dict[str, Any] = {"sl_tp": 1.0 if key == "loss_weights" else "mse"}
    training = TrainingConfig(**{key: entry})
    consistency.check(config(training=training))
    given = config(training=training, model=HybridModelConfig(heads=["signal", "grade"]))
    assert refused(given) == f"training.{key}.sl_tp: 'sl_tp' is not an active head; known: signal, grade"


@pytest.mark.parametrize(
    ("task", "loss", "text"),
    [
        ("signal", "mse", "'mse' does not fit classification; use cross_entropy or focal"),
        ("grade", "huber", "'huber' does not fit classification; use cross_entropy or focal"),
        (
            "volatility",
            "cross_entropy",
            "'cross_entropy' does not fit regression; use huber or mse or qlike or gaussian",
        ),
    ],
)
def test_a_loss_fits_the_kind_of_its_task(task: str, loss: str, text: str) -> None:
    assert refused(config(training=TrainingConfig(losses={task: loss}))) == f"training.losses.{task}: {text}"


@pytest.mark.parametrize("kind", ["fixed", "uncertainty", "dwa", "gradnorm", "pcgrad"])
def test_a_loss_that_may_be_negative_has_no_ratio(kind: str) -> None:
    monitor = "valid/signal/loss"
    given = config(
        training=TrainingConfig(
            losses={"volatility": "gaussian"},
            balancing=BalancingConfig(kind=kind),
            schedule=ScheduleConfig(monitor=monitor),
        ),
        callbacks=CallbacksConfig(
            early_stopping=EarlyStoppingConfig(monitor=monitor), checkpoint=CheckpointConfig(monitor=monitor)
        ),
    )
    if kind in ("fixed", "pcgrad"):
        consistency.check(given)
    else:
        assert refused(given) == (
            f"training.balancing.kind: {kind} needs losses that are never below zero, which 'gaussian' of task "
            "'volatility' is not; use fixed or pcgrad"
        )


def test_some_head_must_have_a_weight() -> None:
    some = TrainingConfig(loss_weights={"signal": 0.0})
    consistency.check(config(training=some))  # the others count 1 each
    alone = config(training=some, model=HybridModelConfig(heads=["signal"]))
    assert refused(alone) == "training.loss_weights: every active head has weight 0; nothing would be trained"


def test_a_label_is_not_the_embedded_instrument() -> None:
    def with_embeddings(embeddings: dict[str, int]) -> Config:
        data = UsStocksData(targets={"mine": ColumnTarget(column="Ticker", kind="classification")})
        return config(data=data, model=HybridModelConfig(embeddings=embeddings))

    assert refused(with_embeddings({"instrument": 4})) == (
        "data.targets.mine.column: 'Ticker' is in model.embeddings.instrument as well, so the label would be read off "
        "the input; remove it there, or set data.targets.mine.allow_contemporaneous=true"
    )
    consistency.check(with_embeddings({}))


@pytest.mark.parametrize("key", ["features", "context", "categories"])
def test_a_label_is_not_an_input(key: str) -> None:
    def with_input(contemporaneous: bool, heads: list[str] | None) -> Config:
        target = ColumnTarget(column="y", kind="regression", allow_contemporaneous=contemporaneous)
        targets = {"signal": SignalTarget(), "mine": target}
        data = UsStocksData(feature_set="core", targets=targets, **{key: ["x", "y"]})
        return config(data=data, model=HybridModelConfig(heads=heads))

    assert refused(with_input(False, None)) == (
        f"data.targets.mine.column: 'y' is in data.{key} as well, so the label would be read off the input; "
        "remove it there, or set data.targets.mine.allow_contemporaneous=true"
    )
    consistency.check(with_input(True, None))
    consistency.check(with_input(False, ["signal"]))  # the label isn't used


def test_the_instrument_is_an_input_as_well() -> None:
    def told(contemporaneous: bool) -> Config:
        target = ColumnTarget(column="Ticker", kind="classification", allow_contemporaneous=contemporaneous)
        return config(data=UsStocksData(targets={"who": target}))

    assert refused(told(False)).startswith(
        "data.targets.who.column: 'Ticker' is in model.embeddings.instrument as well"
    )
    consistency.check(told(True))


def test_a_pattern_is_no_label_column_of_that_name_and_a_named_block_is_looked_at() -> None:
    targets = {"mine": ColumnTarget(column="y", kind="regression")}
    consistency.check(config(data=UsStocksData(targets=targets, context={"text": ["t_*"]})))
    text = "data.targets.mine.column: 'y' is in data.context.text as well"
    assert refused(config(data=UsStocksData(targets=targets, context={"text": ["t", "y"]}))).startswith(text)


def test_only_the_instrument_and_the_tables_categories_can_be_embedded() -> None:
    embeddings = {"instrument": 2, "sector": 3}
    given = config(model=HybridModelConfig(embeddings=embeddings))
    assert refused(given) == "model.embeddings.sector: not a categorical input; known: instrument"
    with_sector = UsStocksData(targets=copy.deepcopy(TARGETS), categories=["sector"])
    consistency.check(config(data=with_sector, model=HybridModelConfig(embeddings=embeddings)))
    misspelt = HybridModelConfig(embeddings={"sectr": 3})
    text = "model.embeddings.sectr: not a categorical input; did you mean 'sector'?"
    assert refused(config(data=with_sector, model=misspelt)) == text
    consistency.check(config(model=HybridModelConfig(embeddings={})))


@pytest.mark.parametrize("key", ["features", "categories"])
def test_the_column_of_the_split_is_no_input(key: str) -> None:
    split = SplitConfig(kind="column", column="part")
    targets = {"mine": ColumnTarget(column="y", kind="regression")}
    given = config(data=UsStocksData(targets=targets, split=split, **{key: ["part"]}))
    assert refused(given) == (
        f"data.split.column: 'part' is in data.{key} as well; the split is no input: remove it there"
    )


def forecasting(model: Any, columns: list[str], **data: Any) -> Config:
    targets = {"load": FutureTarget(columns=columns, steps=2)}
    return config(data=TableData(path="t.csv", features=["a", "close"], targets=targets, **data), model=model)


@pytest.mark.parametrize(
    ("model", "asks"),
    [
        (DLinearModelConfig(), "model=dlinear forecasts"),
        (HybridModelConfig(highway=4), "model.highway=4 forecasts"),
        (PatchTSTModelConfig(window_norm="none"), "model=patchtst forecasts"),
        (HybridModelConfig(window_norm="last"), "model.window_norm=last restores"),
    ],
)
def test_what_forecasts_a_column_from_its_own_window_needs_it_as_a_feature(model: Any, asks: str) -> None:
    consistency.check(forecasting(model, ["close", "a"]))
    assert refused(forecasting(model, ["a", "b"])) == (
        f"data.targets.load.columns: {asks} a column from its own window, and 'b' is no feature; "
        "add it to data.features"
    )
    assert refused(forecasting(model, ["a", "close"], adjusted_close="adjusted")) == (
        f"data.targets.load.columns: {asks} a column from its own window, and 'close' is no feature; take "
        "data.adjusted_close out: it changes that column"
    )


def test_a_highway_without_a_forecast_is_refused() -> None:
    assert refused(config(model=HybridModelConfig(highway=4))) == (
        "model.highway: no head forecasts a feature (builder: future); leave it at 0"
    )


def test_other_models_forecast_any_column() -> None:
    consistency.check(forecasting(HybridModelConfig(), ["b"], adjusted_close="adjusted"))
