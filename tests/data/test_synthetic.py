"""The synthetic market: it is what its page says, and what can be known of it at best is exact."""

from __future__ import annotations

from itertools import product

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from hybrid_trainer.config.data import SyntheticData
from hybrid_trainer.config.targets import SignalTarget
from hybrid_trainer.data.labelling import build_targets
from hybrid_trainer.data.sources import load_table
from hybrid_trainer.data.synthetic import (
    DRIFT,
    REGIMES,
    STAY,
    WEIGHTS,
    best_signal_probabilities,
    digest,
    draw,
    frame,
)
from hybrid_trainer.errors import ConfigError, TableError

TARGET = SignalTarget(horizon=1)


def labels_of(config: SyntheticData, target: SignalTarget = TARGET) -> np.ndarray:
    (made,) = build_targets(load_table(config, {"signal": target}), {"signal": target})
    return made.values


def test_the_same_config_gives_the_same_table_and_another_seed_another() -> None:
    config = SyntheticData(rows=200)
    assert frame(config).equals(frame(config))
    assert digest(frame(config)) == digest(frame(SyntheticData(rows=200)))
    assert digest(frame(config)) != digest(frame(SyntheticData(rows=200, generator_seed=1)))


def test_the_columns_are_bars_on_one_clock() -> None:
    made = frame(SyntheticData(rows=150, instruments=11))
    assert made["instrument"].unique(maintain_order=True).to_list() == [f"S{number:02d}" for number in range(11)]
    assert made.group_by("timestamp").len()["len"].unique().to_list() == [11]
    body_top, body_low = pl.max_horizontal("open", "close"), pl.min_horizontal("open", "close")
    assert made.select((pl.col("high") >= body_top).all() & (pl.col("low") <= body_low).all()).item()
    assert made["timestamp"].diff().median() == np.timedelta64(1, "m")


def test_the_signal_is_a_weighted_sum_of_the_drivers_and_moves_the_next_return() -> None:
    config = SyntheticData(rows=120, instruments=2, signal_strength=2.0)
    market, made = draw(config), frame(config)
    driver = made["driver"].to_numpy().reshape(2, 120)
    close = made["close"].to_numpy().reshape(2, 120)
    for row in (7, 50, 118):
        by_hand = sum(WEIGHTS[lag] * driver[1, row - lag] for lag in range(8))
        assert market.signal[1, row] == pytest.approx(by_hand, abs=1e-12)
        assert np.log(close[1, row + 1] / close[1, row]) == pytest.approx(market.step[1, row], abs=1e-9)
    assert (WEIGHTS**2).sum() == pytest.approx(1)


def test_moments_are_those_of_the_description() -> None:
    config = SyntheticData(rows=40_000, instruments=5)
    market = draw(config)
    shocks = market.step / market.volatility - config.signal_strength * market.signal - DRIFT * market.regime
    assert shocks.mean() == pytest.approx(0, abs=0.01)
    assert shocks.std() == pytest.approx(1, abs=0.01)
    assert market.signal.std() == pytest.approx(1, abs=0.01)
    log = np.log(market.volatility)
    assert log.std() == pytest.approx(0.5, abs=0.03)
    assert np.corrcoef(log[0, 1:], log[0, :-1])[0, 1] == pytest.approx(0.98, abs=0.005)
    assert (market.regime[:, 1:] == market.regime[:, :-1]).mean() == pytest.approx(STAY, abs=0.003)
    assert [(market.regime == z).mean() for z in REGIMES] == pytest.approx([1 / 3] * 3, abs=0.05)


def test_the_best_probabilities_are_bayes_rule_over_every_path_of_regimes() -> None:
    config = SyntheticData(rows=100, instruments=1)
    market = draw(config)
    target = SignalTarget(horizon=1, lookback=2)
    table = load_table(config, {"signal": target})
    found = best_signal_probabilities(config, target, table)
    last = 5  # rows 0 .. 4 have been seen to move, row 5 is to be told
    close = table.prices["close"]
    returns = np.diff(np.log(close))
    deviation = np.sqrt((returns[last - 1] ** 2 + returns[last - 2] ** 2) / 2)
    weights, probabilities = [], []
    for path in product(REGIMES, repeat=last + 1):
        weight = 1.0
        for row in range(last + 1):
            if row:
                weight *= STAY if path[row] == path[row - 1] else (1 - STAY) / 2
            if row < last:
                mean = market.volatility[0, row] * (config.signal_strength * market.signal[0, row] + DRIFT * path[row])
                weight *= norm(mean, market.volatility[0, row]).pdf(returns[row])
        scale = market.volatility[0, last]
        move = norm(scale * (config.signal_strength * market.signal[0, last] + DRIFT * path[last]), scale)
        below, above = move.cdf(-0.5 * deviation), move.sf(0.5 * deviation)
        weights.append(weight)
        probabilities.append([below, 1 - below - above, above])
    expected = np.average(probabilities, axis=0, weights=weights)
    assert found[last] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("classes", [3, 5])
def test_the_best_probabilities_are_calibrated(classes: int) -> None:
    target = SignalTarget(horizon=1, classes=classes)
    config = SyntheticData(rows=20_000)
    known = best_signal_probabilities(config, target, load_table(config, {"signal": target}))
    label = labels_of(config, target)
    has = label >= 0
    known, label = known[has], label[has]
    assert np.isfinite(known).all()
    assert known.sum(axis=1) == pytest.approx(np.ones(len(known)))
    assert known.mean(axis=0) == pytest.approx(np.bincount(label) / len(label), abs=0.006)
    hits = known.argmax(axis=1) == label
    assert hits.mean() == pytest.approx(known.max(axis=1).mean(), abs=0.006)
    sure = known.max(axis=1) > 0.8
    assert hits[sure].mean() == pytest.approx(known.max(axis=1)[sure].mean(), abs=0.02)


def test_without_a_signal_the_best_is_hardly_above_the_most_frequent_class() -> None:
    config = SyntheticData(rows=20_000, signal_strength=0.0)
    known = best_signal_probabilities(config, TARGET, load_table(config, {"signal": TARGET}))
    label = labels_of(config)
    has = label >= 0
    share = np.bincount(label[has]).max() / has.sum()
    assert known[has].max(axis=1).mean() == pytest.approx(share, abs=0.05)


def test_over_more_bars_the_best_is_not_known() -> None:
    config = SyntheticData(rows=100)
    with pytest.raises(ValueError, match="a horizon of 1, not 5"):
        best_signal_probabilities(config, SignalTarget(), load_table(config, {"signal": TARGET}))


def test_a_wrong_size_and_a_wrong_column_are_told() -> None:
    with pytest.raises(ConfigError, match=r"data\.rows: 99 is out of range; it must be at least 100"):
        SyntheticData(rows=99)
    config = SyntheticData(features=["drivers"])
    with pytest.raises(TableError, match=r"data=synthetic: there is no column 'drivers' \(data\.features\); did you"):
        load_table(config, {"signal": TARGET})
