"""Labels by hand, and the proof that each is about the bars (t, t + horizon] of its own instrument."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.config.targets import (
    ColumnTarget,
    RegimeTarget,
    SignalTarget,
    SlTpTarget,
    TargetConfig,
    VolatilityTarget,
)
from hybrid_trainer.data.ahead import future, future_extreme, future_sum
from hybrid_trainer.data.labelling import build_targets, fit_targets, shuffle_labels
from hybrid_trainer.data.table import Coded, Table
from hybrid_trainer.data.targets import NO_CLASS, Target
from hybrid_trainer.errors import ConfigError, TableError
from hybrid_trainer.types import TargetSpec
from tests.data.tables import FEW_EXAMPLES, PRICES, Values, closes_table, price_table, random_prices

LN_2 = np.log(2.0)


def labels(table: Table, config: TargetConfig) -> np.ndarray:
    return build_targets(table, {"task": config})[0].values


# What each label is, by hand.


def test_a_signal_is_the_move_in_standard_deviations_at_t() -> None:
    # Log closes 0 1 0 1 | 3 1 2 (times ln 2): each return up to row 3 is 1 in size, so is the deviation of two.
    table = closes_table([2.0**power for power in (0, 1, 0, 1, 3, 1, 2)])
    # At row 2: +1 (row 3), deviation 1 -> up. Row 3: +2 -> up. Row 4: -2 / sqrt(2.5) = -1.26 -> down. Row 5: +1 / 2.
    config = SignalTarget(horizon=1, lookback=2, thresholds=[0.6])
    assert labels(table, config).tolist() == [-1, -1, 2, 2, 0, 1, -1]


def test_a_signal_over_h_bars_is_divided_by_the_root_of_h() -> None:
    table = closes_table([2.0**power for power in (0, 1, 0, 0.5, 0.75, 0.875, 1.0)])
    # At row 2 the deviation is 1; four bars later the move is 1 = 0.5 sqrt(4).
    assert labels(table, SignalTarget(horizon=4, lookback=2, thresholds=[0.49]))[2] == 2
    assert labels(table, SignalTarget(horizon=4, lookback=2, thresholds=[0.51]))[2] == 1


@pytest.mark.parametrize(("move", "code"), [(-1.5, 0), (-0.8, 1), (0.1, 2), (0.8, 3), (1.5, 4)])
def test_five_classes_run_from_strong_down_to_strong_up(move: float, code: int) -> None:
    table = closes_table([2.0**power for power in (0, 1, 0, move)])
    (target,) = build_targets(table, {"task": SignalTarget(horizon=1, lookback=2, classes=5)})
    assert target.values.tolist() == [-1, -1, code, -1]
    assert target.spec == TargetSpec(
        name="task",
        kind="classification",
        dim=5,
        horizon=1,
        labels=("strong_down", "down", "flat", "up", "strong_up"),
    )


def test_a_regime_is_the_net_move_by_the_path_with_its_sign() -> None:
    table = closes_table([2.0**power for power in (0, 1, 2, 1, 2, 0, -1, -1, -1)])
    # Returns +1 +1 -1 +1 -2 -1 0 0: over three bars 1/3, 1/3, -2/4, -2/4, -3/3, -1/1.
    assert labels(table, RegimeTarget(horizon=3, threshold=0.3)).tolist() == [2, 2, 0, 0, 0, 0, -1, -1, -1]
    assert labels(table, RegimeTarget(horizon=3, threshold=0.4)).tolist() == [1, 1, 0, 0, 0, 0, -1, -1, -1]
    assert labels(table, RegimeTarget(horizon=3, threshold=0.6)).tolist() == [1, 1, 1, 1, 0, 0, -1, -1, -1]


def test_a_score_on_a_border_is_not_beyond_it() -> None:
    # Two bars: net / path is exactly 1, -1 or 0, and 1/2 after +3 -1, -1/2 after -3 +1 (in powers of two).
    up, down = closes_table([1, 8, 4]), closes_table([8, 1, 2])
    assert labels(up, RegimeTarget(horizon=2, threshold=0.499))[0] == 2
    assert labels(down, RegimeTarget(horizon=2, threshold=0.499))[0] == 0
    assert labels(up, RegimeTarget(horizon=2, threshold=0.501))[0] == 1
    assert labels(down, RegimeTarget(horizon=2, threshold=0.501))[0] == 1
    assert labels(closes_table([1, 2, 4]), RegimeTarget(horizon=2, threshold=1.0))[0] == 1
    assert labels(closes_table([4, 2, 1]), RegimeTarget(horizon=2, threshold=1.0))[0] == 1


def test_a_volatility_is_the_log_of_the_root_of_the_sum_of_squares() -> None:
    table = closes_table([2.0**power for power in (0, 3, 7, 7, 7)])
    values = labels(table, VolatilityTarget(horizon=2))
    assert values.shape == (5, 1)
    np.testing.assert_allclose(values[:2, 0], [np.log(5 * LN_2), np.log(4 * LN_2)], rtol=1e-14)
    assert np.isnan(values[2:]).all()  # row 2: nothing moved; 3 and 4: no two bars are left


def test_excursions_are_counted_from_the_close_in_average_true_ranges() -> None:
    prices: dict[str, Values] = {
        "open": np.array([10, 10, 10, 10, 10.0]),
        "high": np.array([12, 12, 15, 11, 30.0]),
        "low": np.array([8, 8, 9, 4, 9.5]),
        "close": np.array([10, 10, 10, 10, 10.0]),
    }
    (target,) = build_targets(price_table({"A": prices}), {"task": SlTpTarget(horizon=2, atr_window=1)})
    # Row 1: unit 12 - 8 = 4; lowest of 9, 4 -> 6 / 4; highest of 15, 11 -> 5 / 4.
    # Row 2: unit 15 - 9 = 6; lowest of 4, 9.5 -> 6 / 6; highest of 11, 30 -> 20 / 6.
    np.testing.assert_allclose(target.values[1:3], [[1.5, 1.25], [1.0, 20 / 6]], rtol=1e-14)
    assert target.labelled.tolist() == [False, True, True, False, False]
    assert (target.spec.labels, target.spec.link, target.spec.dim) == (("stop_loss", "take_profit"), "softplus", 2)


def test_an_excursion_is_never_negative() -> None:
    rising = closes_table([10, 20, 30, 40])  # every low of the future is above the close
    values = labels(rising, SlTpTarget(horizon=1, atr_window=1))
    # unit at row 1: 21 - 10 = 11, at row 2: 31 - 20 = 11; the high is 11 above the close
    np.testing.assert_allclose(values[1:3], [[0, 1], [0, 1]])


def test_where_the_unit_is_zero_there_is_no_label() -> None:
    assert labels(closes_table([5.0] * 6 + [6.0]), SignalTarget(horizon=1, lookback=2)).tolist() == [-1] * 7
    assert labels(closes_table([5.0] * 6), RegimeTarget(horizon=2)).tolist() == [-1] * 6


# That it is about the future, the whole of it and nothing else.

BUILDERS: list[tuple[TargetConfig, int]] = [  # with the rows before t that define the unit
    (SignalTarget(horizon=4, lookback=6), 6),
    (SignalTarget(horizon=1, lookback=2, classes=5), 2),
    (VolatilityTarget(horizon=4), 0),
    (RegimeTarget(horizon=5), 0),
    (SlTpTarget(horizon=4, atr_window=3), 3),
]
EACH_BUILDER = pytest.mark.parametrize(
    ("config", "unit"), BUILDERS, ids=["signal", "signal-5", "volatility", "regime", "sl_tp"]
)
SEEDS = st.integers(0, 2**32 - 2)


def one(prices: dict[str, Values]) -> Table:
    return price_table({"A": prices})


@EACH_BUILDER
@FEW_EXAMPLES
@given(seed=SEEDS, before=st.integers(0, 10), after=st.integers(0, 10))
def test_a_label_depends_on_its_unit_and_its_horizon_alone(
    config: TargetConfig, unit: int, seed: int, before: int, after: int
) -> None:
    rows = before + unit + 1 + config.horizon + after
    t = before + unit
    prices, other = random_prices(rows, seed), random_prices(rows, seed + 1)
    outside = np.ones(rows, dtype=bool)
    outside[before : t + config.horizon + 1] = False
    changed = {column: np.where(outside, other[column], prices[column]) for column in PRICES}
    np.testing.assert_array_equal(labels(one(changed), config)[t], labels(one(prices), config)[t])
    cut_off = {column: values[before : t + config.horizon + 1] for column, values in prices.items()}
    np.testing.assert_array_equal(labels(one(cut_off), config)[unit], labels(one(prices), config)[t])
    assert build_targets(one(prices), {"task": config})[0].labelled[t]


@EACH_BUILDER
@FEW_EXAMPLES
@given(seed=SEEDS, factor=st.sampled_from([3.0, 1 / 3]))
def test_a_label_follows_the_last_bar_of_its_horizon(config: TargetConfig, unit: int, seed: int, factor: float) -> None:
    t = unit + 2
    prices = random_prices(t + config.horizon + 3, seed)

    def with_last_bar(by: float) -> np.ndarray:
        changed = {column: values.copy() for column, values in prices.items()}
        for column in PRICES[:4]:
            changed[column][t + config.horizon] = prices["close"][t] * by
        return labels(one(changed), config)[t]

    assert (with_last_bar(factor) != with_last_bar(1 / factor)).any()


@pytest.mark.parametrize("config", [VolatilityTarget(horizon=4), RegimeTarget(horizon=4), SlTpTarget(horizon=4)])
@pytest.mark.parametrize("bar", [1, 2, 3, 4])
def test_a_label_of_the_whole_path_follows_each_bar_of_its_horizon(config: TargetConfig, bar: int) -> None:
    rising = [10 * 1.01**row for row in range(24)]
    t = 17
    crash = rising.copy()
    crash[t + bar] = 5.0
    assert (labels(closes_table(crash), config)[t] != labels(closes_table(rising), config)[t]).any()


@EACH_BUILDER
def test_the_last_rows_and_the_warm_up_of_each_instrument_have_no_label(config: TargetConfig, unit: int) -> None:
    table = price_table({"A": random_prices(30, 1), "B": random_prices(25, 2)})
    (target,) = build_targets(table, {"task": config})
    expected = np.zeros(55, dtype=bool)
    expected[unit : 30 - config.horizon] = True
    expected[30 + unit : 55 - config.horizon] = True
    np.testing.assert_array_equal(target.labelled, expected)
    assert (target.spec.name, target.spec.horizon) == ("task", config.horizon)


@EACH_BUILDER
def test_an_instruments_labels_are_made_from_its_own_bars_alone(config: TargetConfig, unit: int) -> None:
    first, second = random_prices(30, 1), random_prices(25, 2)
    together = labels(price_table({"A": first, "B": second}), config)
    np.testing.assert_array_equal(together[:30], labels(price_table({"A": first}), config))
    np.testing.assert_array_equal(together[30:], labels(price_table({"B": second}), config))


@EACH_BUILDER
def test_a_missing_price_masks_the_labels_that_need_it(config: TargetConfig, unit: int) -> None:
    prices = random_prices(40, 1)
    for column in PRICES:
        prices[column][20] = np.nan
    (target,) = build_targets(one(prices), {"task": config})
    assert not target.labelled[20 - config.horizon]
    assert target.labelled[20 - config.horizon - 1]
    assert not target.labelled[20]
    assert target.labelled[20 + unit + 1]


def test_an_instrument_that_is_shorter_than_the_horizon_has_no_label() -> None:
    table = closes_table([1, 2, 4], [1, 2, 4, 8, 16, 32, 64])
    for config in (VolatilityTarget(horizon=5), RegimeTarget(horizon=5)):
        (target,) = build_targets(table, {"task": config})
        assert target.labelled.tolist() == [False] * 3 + [True] * 2 + [False] * 5


def test_the_targets_come_in_the_order_of_the_heads() -> None:
    table = closes_table([1, 2, 4, 8])
    found = build_targets(table, {"b": VolatilityTarget(horizon=1), "a": RegimeTarget(horizon=1)})
    assert [(target.spec.name, target.spec.kind) for target in found] == [("b", "regression"), ("a", "classification")]


def test_a_builder_that_is_not_there_is_told_with_its_key() -> None:
    with pytest.raises(ConfigError) as caught:
        build_targets(closes_table([1, 2]), {"mine": TargetConfig(builder="signla")})
    assert str(caught.value) == (
        "data.targets.mine.builder: there is no target builder 'signla'; did you mean 'signal'?"
    )


# Columns of the user's own.


def column_table(texts: list[str | None]) -> Table:
    return closes_table([1.0] * len(texts), labels={"y": Coded.of(texts)})


def test_the_classes_of_a_column_are_numbered_by_value_and_empty_cells_are_masked() -> None:
    table = column_table(["10", "9", None, "b", "a", "-1", "9"])
    (target,) = build_targets(table, {"mine": ColumnTarget(column="y", kind="classification", horizon=3)})
    assert target.spec.labels == ("-1", "9", "10", "a", "b")
    assert target.values.tolist() == [2, 1, NO_CLASS, 4, 3, 0, 1]
    assert (target.spec.dim, target.spec.horizon, target.spec.output_name) == (5, 3, "mine_probs")


def test_a_column_of_numbers_is_taken_as_it_is_and_empty_cells_are_masked() -> None:
    numbers = np.array([1.5, np.nan, -2.0])
    table = closes_table([1, 2, 3], numbers={"y": numbers})
    (target,) = build_targets(table, {"mine": ColumnTarget(column="y", kind="regression")})
    np.testing.assert_array_equal(target.values, [[1.5], [np.nan], [-2.0]])
    assert target.labelled.tolist() == [True, False, True]
    assert (target.spec.labels, target.spec.output_name) == (("y",), "mine_pred")
    with pytest.raises(ValueError, match="read-only"):
        target.values[0] = 0  # they are the table's own


@pytest.mark.parametrize(("texts", "count"), [(["a", "a", None], 1), ([None, None], 0)])
def test_a_column_with_fewer_than_two_classes_is_refused(texts: list[str | None], count: int) -> None:
    with pytest.raises(TableError) as caught:
        labels(column_table(texts), ColumnTarget(column="y", kind="classification"))
    assert str(caught.value) == (
        f"t.csv: column 'y' (data.targets.task) holds {count} class; a classification needs two or more"
    )


def test_a_column_with_too_many_classes_is_taken_for_numbers() -> None:
    config = ColumnTarget(column="y", kind="classification")
    assert labels(column_table([str(number) for number in range(1000)]), config).max() == 999
    with pytest.raises(ConfigError, match=r"^data\.targets\.task\.kind: column 'y' holds 1001 different values"):
        labels(column_table([str(number) for number in range(1001)]), config)


# What is fitted on training rows.


def scale_target(target: Target, train_rows: np.ndarray) -> Target:
    return fit_targets([target], train_rows, 1)[0]


def a_target(values: Any, link: str = "identity", **spec: Any) -> Target:
    array = np.array(values)
    kind = "classification" if array.ndim == 1 else "regression"
    dim = len(spec["labels"]) if "labels" in spec else array.shape[1]
    fields: dict[str, Any] = {"name": "mine", "kind": kind, "dim": dim, "horizon": 1, "labels": ("a", "b")[:dim]}
    return Target(spec=TargetSpec(**fields | {"link": link} | spec), values=array)


def test_numbers_are_scaled_by_mean_and_deviation_of_the_labelled_training_rows() -> None:
    nan = np.nan
    target = a_target([[1.0, 10.0], [3.0, 30.0], [nan, 99.0], [99.0, nan], [77.0, 77.0]])
    scaled = scale_target(target, np.array([0, 1, 2, 3]))
    assert (scaled.spec.shift, scaled.spec.scale) == ((2.0, 20.0), (1.0, 10.0))
    assert scaled.values is target.values
    assert target.spec.shift == ()


def test_a_positive_number_is_scaled_but_not_shifted() -> None:
    scaled = scale_target(a_target([[1.0], [3.0]], link="softplus"), np.array([0, 1]))
    assert (scaled.spec.shift, scaled.spec.scale) == ((0.0,), (1.0,))


def test_a_constant_label_is_not_scaled() -> None:
    scaled = scale_target(a_target([[5.0], [5.0]]), np.array([0, 1]))
    assert (scaled.spec.shift, scaled.spec.scale) == ((5.0,), (1.0,))


def test_a_target_without_a_label_in_training_is_refused() -> None:
    for target in (a_target([[np.nan], [1.0]]), a_target([-1, 0], labels=("a", "b"))):
        with pytest.raises(TableError, match=r"^data\.targets\.mine: no training row has a label$"):
            scale_target(target, np.array([0]))


def test_a_class_that_is_absent_in_training_is_refused() -> None:
    target = a_target([0, 1, -1, 2], labels=("a", "b", "c"))
    assert scale_target(target, np.array([0, 1, 3])) is target
    with pytest.raises(TableError) as caught:
        scale_target(target, np.array([0, 1, 2]))
    assert str(caught.value) == (
        "data.targets.mine: class 'c' is in no training row; it cannot be learned "
        "(change the class borders, the split, or the column)"
    )


# The helpers.


def test_looking_ahead_by_hand() -> None:
    x = np.array([1.0, 5.0, 2.0, 4.0])
    nan = np.nan
    np.testing.assert_array_equal(future(x, 1), [5, 2, 4, nan])
    np.testing.assert_array_equal(future(x, 9), [nan] * 4)
    np.testing.assert_array_equal(future_sum(x, 2), [7, 6, nan, nan])
    np.testing.assert_array_equal(future_extreme(x, 2, np.maximum), [5, 4, nan, nan])
    np.testing.assert_array_equal(future_extreme(x, 2, np.minimum), [2, 2, nan, nan])


# Shuffled labels.


def test_shuffled_labels_are_the_same_labels_on_other_rows_and_rows_without_one_stay_so() -> None:
    table = price_table({"A": random_prices(400, seed=0)})
    made = build_targets(table, {"signal": SignalTarget(), "sl_tp": SlTpTarget()})
    for before, after in zip(made, shuffle_labels(made, 3), strict=True):
        assert after.spec == before.spec
        assert (after.labelled == before.labelled).all()
        kept = before.labelled
        moved = (after.values[kept] != before.values[kept]).reshape(kept.sum(), -1).any(axis=1)
        assert moved.mean() > 0.3
        order = [np.lexsort(values[kept].reshape(kept.sum(), -1).T) for values in (before.values, after.values)]
        assert (before.values[kept][order[0]] == after.values[kept][order[1]]).all()
    assert all(
        np.array_equal(one.values, other.values, equal_nan=True)
        for one, other in zip(shuffle_labels(made, 3), shuffle_labels(made, 3), strict=True)
    )
