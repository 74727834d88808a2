"""Naive predictions, beside the same by hand; whatever is fitted in them is fitted on training rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import log_loss

from hybrid_trainer.config.schema import Config
from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.data.features import Bars
from hybrid_trainer.data.targets import NO_CLASS, Target
from hybrid_trainer.evaluation.baselines import Baseline, baselines, ewma_volatility, persistent_volatility
from hybrid_trainer.links import to_prediction
from tests.conftest import price_frame
from tests.evaluation.conftest import dataset_of


def bars_of(close: np.ndarray) -> Bars:
    return Bars({"open": close, "high": close, "low": close, "close": close})


def target_of(data: Dataset, name: str) -> Target:
    return next(target for target in data.targets if target.spec.name == name)


def baselines_of(config: Config, data: Dataset, target: Target, part: str = "test") -> dict[str, Baseline]:
    found = baselines(data, target, config.active_targets[target.spec.name], part)
    assert len({base.name for base in found}) == len(found)
    return {base.name: base for base in found}


def in_units(base: Baseline) -> np.ndarray:
    return to_prediction(base.raw, base.spec).numpy()


def known_rows(data: Dataset, target: Target, part: str) -> np.ndarray:
    rows = data.split.rows[part]
    return rows[target.labelled[rows]]


@pytest.fixture
def no_warnings_of_the_first_rows() -> Iterator[None]:
    """What the caller, per_instrument, does: the first rows of an instrument are log(0)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        yield


@pytest.mark.parametrize("name", ["signal", "regime"])
def test_the_class_prior_is_the_shares_of_the_training_labels(config: Config, data: Dataset, name: str) -> None:
    target = target_of(data, name)
    (base,) = baselines_of(config, data, target).values()
    train = target.values[known_rows(data, target, "train")]
    shares = [(train == code).mean() for code in range(3)]
    assert base.name == "class prior"
    assert base.raw.shape == (len(data.split.rows["test"]), 3)
    np.testing.assert_allclose(in_units(base), np.tile(shares, (len(base.raw), 1)), rtol=1e-6)
    # and its log-loss on the training rows is the entropy of the shares
    (fitted,) = baselines_of(config, data, target, "train").values()
    labelled = target.labelled[data.split.rows["train"]]
    probabilities = fitted.raw[labelled].double().softmax(dim=1).numpy()
    loss = log_loss(train, probabilities, labels=[0, 1, 2])
    assert loss == pytest.approx(-sum(share * np.log(share) for share in shares), rel=1e-6)


def test_the_training_mean_is_that_of_the_training_labels_in_units(config: Config, data: Dataset) -> None:
    target = target_of(data, "sl_tp")
    found = baselines_of(config, data, target)
    assert list(found) == ["training mean", "training median", "last known label"]
    labels = target.values[known_rows(data, target, "train")]
    for name, constant in (("training mean", labels.mean(axis=0)), ("training median", np.median(labels, axis=0))):
        expected = np.tile(constant, (len(data.split.rows["test"]), 1))
        np.testing.assert_allclose(in_units(found[name]), expected, rtol=1e-6)


def test_the_last_known_label_is_the_youngest_that_has_ended_calibrated_on_training_rows(
    config: Config, data: Dataset
) -> None:
    target = target_of(data, "sl_tp")
    earlier = np.full(target.values.shape, np.nan)
    for start, stop in data.table.blocks:
        for row in range(start + target.spec.horizon, stop):
            earlier[row] = target.values[row - target.spec.horizon]  # its interval ends in this very row
    train = known_rows(data, target, "train")
    train = train[np.isfinite(earlier[train]).all(axis=1)]
    rows = data.split.rows["test"]
    for number in range(2):
        slope, intercept = np.polyfit(earlier[train, number], target.values[train, number], 1)
        said = in_units(baselines_of(config, data, target)["last known label"])[:, number]
        np.testing.assert_allclose(said, intercept + slope * earlier[rows, number], rtol=1e-5)


def test_volatility_has_its_own_forecasts_beside_the_constants(config: Config, data: Dataset) -> None:
    found = baselines_of(config, data, target_of(data, "volatility"))
    assert list(found) == ["training mean", "training median", "EWMA volatility", "persistence"]


@pytest.mark.usefixtures("no_warnings_of_the_first_rows")
def test_ewma_by_hand_on_three_bars() -> None:
    close = np.array([100.0, 110.0, 99.0, *[99.0] * 80])  # the later bars are there to see that they don't matter
    forecast = ewma_volatility(bars_of(close), 5)
    first, second = np.log(1.1) ** 2, np.log(0.9) ** 2
    assert np.isnan(forecast[0])  # nothing is known yet
    assert forecast[1] == pytest.approx(0.5 * np.log(5 * first), rel=1e-12)
    assert forecast[2] == pytest.approx(0.5 * np.log(5 * (second + 0.94 * first) / (1 + 0.94)), rel=1e-12)
    # the second return is the oldest of the 75 that bar 76 sees, and bar 77 sees neither
    weights = sum(0.94**age for age in range(75))
    assert forecast[76] == pytest.approx(0.5 * np.log(5 * second * 0.94**74 / weights), rel=1e-12)
    assert forecast[77] == -np.inf


@pytest.mark.usefixtures("no_warnings_of_the_first_rows")
def test_ewma_is_the_riskmetrics_recursion() -> None:
    generator = np.random.default_rng(5)
    returns = generator.normal(0, 0.02, 400)
    close = 100 * np.exp(np.concatenate([[0.0], np.cumsum(returns)]))
    variance = np.empty(401)
    variance[1] = returns[0] ** 2
    for t in range(2, 401):
        variance[t] = 0.94 * variance[t - 1] + (1 - 0.94) * returns[t - 1] ** 2
    forecast = np.exp(ewma_volatility(bars_of(close), 3))
    np.testing.assert_allclose(forecast[76:], np.sqrt(3 * variance[76:]), rtol=1e-2)


@pytest.mark.usefixtures("no_warnings_of_the_first_rows")
def test_persistence_by_hand() -> None:
    close = np.array([100.0, 110.0, 99.0, 99.0, 99.0])
    forecast = persistent_volatility(bars_of(close), 2)
    first, second = np.log(1.1) ** 2, np.log(0.9) ** 2
    assert np.isnan(forecast[:2]).all()
    assert forecast[2] == pytest.approx(0.5 * np.log(first + second), rel=1e-12)
    assert forecast[3] == pytest.approx(np.log(abs(np.log(0.9))), rel=1e-12)
    assert forecast[4] == -np.inf


@pytest.mark.usefixtures("no_warnings_of_the_first_rows")
@pytest.mark.parametrize("name", ["EWMA volatility", "persistence"])
def test_a_volatility_forecast_is_calibrated_by_a_regression_on_training_rows(
    config: Config, data: Dataset, name: str
) -> None:
    target = target_of(data, "volatility")
    compute = {"EWMA volatility": ewma_volatility, "persistence": persistent_volatility}[name]
    forecast = np.concatenate([compute(Bars.of(data.table.prices, *block), 5) for block in data.table.blocks])[:, None]
    train, test = known_rows(data, target, "train"), data.split.rows["test"]
    fitted = LinearRegression().fit(forecast[train], target.values[train])
    np.testing.assert_allclose(
        in_units(baselines_of(config, data, target)[name]), fitted.predict(forecast[test]), rtol=1e-5
    )


def test_where_nothing_has_moved_the_training_mean_stands_in(tmp_path: Path) -> None:
    day = pl.int_range(pl.len()).over("instrument")
    still = pl.when(day.is_between(270, 280)).then(pl.lit(100.0))
    frame = price_frame(300).with_columns(
        still.otherwise(pl.col(name)).alias(name) for name in ("open", "high", "low", "close")
    )
    config, data = dataset_of(tmp_path, frame, "model.heads=[volatility]")
    target = target_of(data, "volatility")
    found = baselines_of(config, data, target)
    position = {row: index for index, row in enumerate(data.split.rows["test"].tolist())}
    values = in_units(found["persistence"])
    assert np.isfinite(values).all()
    mean = in_units(found["training mean"])
    for row in (276, 280, 576, 580):  # five bars without a move lie behind, bars that move lie ahead
        assert values[position[row]] == pytest.approx(mean[0], rel=1e-6)
    assert values[position[282]] != pytest.approx(mean[0], rel=1e-6)


@pytest.mark.parametrize("name", ["signal", "volatility", "sl_tp"])
def test_labels_of_other_rows_than_the_training_rows_change_no_baseline(
    config: Config, data: Dataset, name: str
) -> None:
    target = target_of(data, name)
    before = baselines_of(config, data, target)
    values = target.values.copy()
    outside = np.setdiff1d(np.arange(len(values)), data.split.rows["train"])
    values[outside] = 0 if target.spec.kind == "classification" else 1e6
    values[outside[::3]] = NO_CLASS if target.spec.kind == "classification" else np.nan
    after = baselines_of(config, data, replace(target, values=values))
    assert before.keys() == after.keys()
    for base in before.keys() - {"last known label"}:  # which is about later labels that have ended
        assert before[base].raw.equal(after[base].raw)


@pytest.mark.parametrize("name", ["signal", "volatility", "sl_tp"])
def test_labels_of_training_rows_do_change_them(config: Config, data: Dataset, name: str) -> None:
    target = target_of(data, name)
    values = target.values.copy()
    train = data.split.rows["train"]
    values[train[::2]] = 0 if target.spec.kind == "classification" else 1.0
    before, after = baselines_of(config, data, target), baselines_of(config, data, replace(target, values=values))
    for base in before:
        assert not before[base].raw.equal(after[base].raw)


def test_quantiles_are_compared_with_those_of_the_training_labels(tmp_path: Path) -> None:
    config, data = dataset_of(
        tmp_path, price_frame(300), "model.heads=[volatility]", "data.targets.volatility.quantiles=[0.2,0.5,0.9]"
    )
    target = target_of(data, "volatility")
    (base,) = baselines_of(config, data, target).values()
    constant = np.quantile(target.values[known_rows(data, target, "train")], [0.2, 0.5, 0.9])
    assert base.name == "training quantiles"
    np.testing.assert_allclose(in_units(base), np.tile(constant, (len(data.split.rows["test"]), 1)), rtol=1e-6)


def test_a_forecast_is_compared_with_the_last_value_and_the_mean(tmp_path: Path) -> None:
    frame = price_frame(300)
    gone = pl.int_range(pl.len()).over("instrument") == 280
    frame = frame.with_columns(load=pl.when(~gone).then(pl.col("close") * 2), other=pl.col("volume"))
    config, data = dataset_of(
        tmp_path, frame, "model.heads=[x]", "data.targets.x={builder: future, columns: [load,other], steps: 3}"
    )
    target = target_of(data, "x")
    found = baselines_of(config, data, target)
    assert list(found) == ["last value", "training mean"]
    rows = data.split.rows["test"]
    last = np.stack([data.table.numbers["load"], data.table.numbers["other"]], axis=1)[rows]
    mean = np.array(target.spec.shift)[:2]
    assert np.isnan(last).sum() == 2
    expected = np.where(np.isnan(last), mean, last)
    np.testing.assert_allclose(in_units(found["last value"]), np.tile(expected, (1, 3)), rtol=1e-5)
    np.testing.assert_allclose(in_units(found["training mean"]), np.tile(mean, (len(rows), 3)), rtol=1e-6)
