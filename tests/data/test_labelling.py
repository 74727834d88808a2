"""What targets learn is learned from training rows alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hybrid_trainer.config.targets import (
    ColumnTarget,
    FutureTarget,
    RegimeTarget,
    SignalTarget,
    TargetConfig,
    VolatilityTarget,
)
from hybrid_trainer.data.labelling import build_targets, fit_targets, shuffle_labels
from hybrid_trainer.data.targets import NO_CLASS, Target
from hybrid_trainer.errors import TableError
from tests.data.tables import closes_table, price_table, random_prices

TRAIN = np.arange(10, 80)


def built(config: TargetConfig, seed: int = 0) -> Target:
    prices = random_prices(120, seed)
    return build_targets(price_table({"A": prices}, numbers={"x": prices["close"] % 1}), {"task": config})[0]


@pytest.mark.parametrize(
    "config",
    [
        SignalTarget(horizon=2, lookback=5, threshold_quantiles=[0.2, 0.7]),
        SignalTarget(horizon=2, lookback=5, classes=5, threshold_quantiles=[0.1, 0.3, 0.6, 0.9]),
        RegimeTarget(horizon=3, threshold_quantiles=[0.25, 0.75]),
    ],
)
def test_borders_are_quantiles_of_the_scores_of_training_rows(config: SignalTarget | RegimeTarget) -> None:
    target = built(config)
    assert target.score is not None and config.threshold_quantiles is not None
    known = TRAIN[np.isfinite(target.score[TRAIN])]
    assert np.array_equal(target.labelled, np.isfinite(target.score))
    (fitted,) = fit_targets([target], TRAIN, 4)
    assert fitted.spec.borders == tuple(np.quantile(target.score[known], config.threshold_quantiles))
    for row, score in enumerate(target.score):
        expected = NO_CLASS if np.isnan(score) else sum(score > border for border in fitted.spec.borders)
        assert fitted.values[row] == expected
    shares = np.bincount(fitted.values[known], minlength=fitted.spec.dim) / len(known)
    np.testing.assert_allclose(np.cumsum(shares)[:-1], config.threshold_quantiles, atol=1 / len(known))


def test_a_score_on_a_fitted_border_belongs_to_the_class_below() -> None:
    target = replace(
        built(SignalTarget(threshold_quantiles=[0.5, 0.75])), score=np.array([1.0, 2, 3, 4, 5]), values=np.zeros(5, int)
    )
    (fitted,) = fit_targets([target], np.arange(5), 1)
    assert fitted.spec.borders == (3.0, 4.0)
    assert fitted.values.tolist() == [0, 0, 0, 1, 2]


def test_borders_that_leave_a_class_empty_are_refused() -> None:
    target = replace(
        built(SignalTarget(threshold_quantiles=[0.5, 0.75])), score=np.array([1.0, 1, 1, 2]), values=np.zeros(4, int)
    )
    with pytest.raises(TableError, match=r"^data\.targets\.task: class 'flat' is in no training row"):
        fit_targets([target], np.arange(4), 1)


CONFIGS: list[TargetConfig] = [
    SignalTarget(horizon=2, lookback=5, threshold_quantiles=[0.2, 0.7]),
    VolatilityTarget(horizon=2),
    VolatilityTarget(horizon=2, quantiles=[0.1, 0.5, 0.9]),
    FutureTarget(columns=["x"], steps=2),
    ColumnTarget(column="x", kind="regression", quantiles=[0.5, 0.9]),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_rows_behind_the_training_part_change_nothing_that_is_fitted(config: TargetConfig) -> None:
    one, other = random_prices(120, 0), random_prices(120, 1)
    last = TRAIN[-1] + config.horizon + 1
    mixed = {name: np.concatenate([one[name][:last], other[name][last:]]) for name in one}
    specs = []
    for prices in (one, mixed):
        table = price_table({"A": prices}, numbers={"x": prices["close"] % 1})
        specs.append(fit_targets(build_targets(table, {"task": config}), TRAIN, 4)[0].spec)
    assert specs[0] == specs[1]
    assert specs[0].borders or specs[0].scale


def test_the_quantiles_of_a_number_share_its_scale() -> None:
    config = VolatilityTarget(horizon=2, quantiles=[0.1, 0.5, 0.9])
    target, plain = built(config), built(VolatilityTarget(horizon=2))
    np.testing.assert_array_equal(target.values, plain.values)
    (fitted,), (number,) = fit_targets([target], TRAIN, 4), fit_targets([plain], TRAIN, 4)
    assert (fitted.spec.shift, fitted.spec.scale) == (number.spec.shift, number.spec.scale)
    assert (fitted.spec.kind, fitted.spec.dim, fitted.spec.link) == ("quantile", 3, "outwards")
    assert (fitted.spec.labels, fitted.spec.quantiles) == (("q0.1", "q0.5", "q0.9"), (0.1, 0.5, 0.9))
    assert fitted.spec.output_name == "task_pred"


def test_a_column_of_numbers_can_be_told_by_its_quantiles() -> None:
    table = closes_table([1, 2, 3], numbers={"y": np.array([1.5, np.nan, -2.0])})
    (target,) = build_targets(table, {"mine": ColumnTarget(column="y", kind="regression", quantiles=[0.25, 0.5])})
    assert (target.spec.kind, target.spec.labels) == ("quantile", ("q0.25", "q0.5"))
    assert target.labelled.tolist() == [True, False, True]


@pytest.mark.parametrize("extreme", [1e200, 1e308])
def test_training_labels_that_no_scale_can_hold_are_refused(extreme: float) -> None:
    labels = np.linspace(-1, 1, 120)
    labels[30] = extreme
    table = price_table({"A": random_prices(120, 0)}, numbers={"y": labels})
    targets = build_targets(table, {"mine": ColumnTarget(column="y", kind="regression")})
    with pytest.raises(TableError, match=r"^data\.targets\.mine: the training labels are too large for a mean"):
        fit_targets(targets, TRAIN, 4)
    assert fit_targets(targets, np.arange(40, 80), 4)[0].spec.scale[0] < 1  # what is elsewhere is no training label


def test_scores_are_shuffled_with_their_labels() -> None:
    target = built(SignalTarget(horizon=2, lookback=5, threshold_quantiles=[0.2, 0.7]))
    (shuffled,) = shuffle_labels([target], 0)
    assert shuffled.score is not None and target.score is not None
    assert np.array_equal(np.isnan(shuffled.score), np.isnan(target.score))
    np.testing.assert_array_equal(np.sort(shuffled.score), np.sort(target.score))
    assert (shuffled.score != target.score)[target.labelled].mean() > 0.5
