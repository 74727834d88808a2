"""Planted leaks are found, all of them; the built-in features have none."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage, signal

from hybrid_trainer.data.causality import feature_leaks, perturbed, refuse_leaks, same_bits
from hybrid_trainer.data.expressions import parse
from hybrid_trainer.data.features import CORE, FEATURES, TECHNICAL, TIME, Bars, Feature, Values, lagged, rolling_mean
from hybrid_trainer.errors import ConfigError
from tests.data.tables import FEW_EXAMPLES, random_prices

Compute = Callable[[dict[str, Values]], Values]

EXPRESSIONS = {
    "momentum": "col('close').log().diff(5)",
    "spread": "((col('high') / col('low')).log().rolling_mean(10) - 0.01).clip(-1, 1)",
    "place": "(col('close') - col('low').rolling_min(14)) / (col('high').rolling_max(14) - col('low').rolling_min(14))",
    "surge": "col('volume').log1p().pct_change(3).shift(2).rolling_std(7) ** 2",
}
WHEN = [entry for entry in FEATURES._entries.values() if entry.reads == (TIME,)]
ALL = [*CORE.values(), *TECHNICAL.values(), *WHEN, *(parse(name, text) for name, text in EXPRESSIONS.items())]


def of(feature: Feature) -> Compute:
    def compute(columns: dict[str, Values]) -> Values:
        return feature.compute(Bars(columns))

    return compute


def bars_by_the_hour(rows: int, seed: int) -> dict[str, Values]:
    return random_prices(rows, seed) | {TIME: 3600.0 * np.arange(1, rows + 1)}


def test_every_registered_feature_is_tried() -> None:
    assert {entry.name for entry in ALL} >= set(FEATURES)


@pytest.mark.parametrize("feature", ALL, ids=lambda feature: feature.name)
@FEW_EXAMPLES
@given(seed=st.integers(0, 2**32 - 1), more=st.integers(1, 60))
def test_no_feature_reads_another_row_than_its_lookback_holds(feature: Feature, seed: int, more: int) -> None:
    prices = bars_by_the_hour(feature.lookback + more, seed)
    assert feature_leaks(of(feature), prices, feature.lookback, np.random.default_rng(seed)) == []


# An exponential mean knows the row at the end of its lookback by a thousandth of its weight.
@pytest.mark.parametrize("feature", ALL, ids=lambda feature: feature.name)
def test_no_lookback_is_longer_than_what_is_read(feature: Feature) -> None:
    lookback = feature.lookback
    for seed in range(20):  # an extreme is moved by its oldest row now and then
        prices = bars_by_the_hour(lookback + 1, seed)
        oldest = perturbed(prices, np.arange(lookback + 1) == 1, np.random.default_rng(seed))
        if not same_bits(of(feature)(prices)[-1], of(feature)(oldest)[-1]):
            return
    pytest.fail(f"{feature.name}: the oldest of {lookback} rows is never read")


def centred_mean(columns: dict[str, Values]) -> Values:
    return np.asarray(ndimage.uniform_filter1d(columns["close"], 5))


def next_close(columns: dict[str, Values]) -> Values:
    return np.append(columns["close"][1:], np.nan)


def scaled_by_the_sample(columns: dict[str, Values]) -> Values:
    close = columns["close"]
    return (close - close.mean()) / close.std()


def filtered_both_ways(columns: dict[str, Values]) -> Values:
    numerator, denominator = signal.butter(2, 0.2)
    return np.asarray(signal.filtfilt(numerator, denominator, columns["close"], padlen=0))


def backfilled(columns: dict[str, Values]) -> Values:
    mean = rolling_mean(columns["close"], 5)
    return np.where(np.isnan(mean), mean[4] if len(mean) > 4 else np.nan, mean)


@pytest.mark.parametrize("leak", [centred_mean, next_close, scaled_by_the_sample, filtered_both_ways])
@FEW_EXAMPLES
@given(seed=st.integers(0, 2**32 - 1))
def test_a_planted_look_into_the_future_is_found(leak: Compute, seed: int) -> None:
    found = feature_leaks(leak, random_prices(80, seed), None, np.random.default_rng(seed), tries=6)
    assert any(text.startswith("reads rows after its own") for text in found), found


def test_a_value_that_was_filled_from_later_rows_is_found() -> None:
    found = feature_leaks(backfilled, random_prices(6, 0), None, np.random.default_rng(0), tries=30)
    assert len(found) == 2
    assert found[0].startswith("reads rows after its own (they were cut off): the value of row ")
    assert found[0].endswith(" is then another")


def test_a_running_sum_reads_more_than_it_says() -> None:
    def running(columns: dict[str, Values]) -> Values:
        total = np.cumsum(columns["close"])
        return total - np.nan_to_num(lagged(total, 5))

    found = feature_leaks(running, random_prices(200, 1), 5, np.random.default_rng(1), tries=10)
    assert [text.split(":")[0] for text in found] == [
        "reads rows before its lookback of 5 (they were cut off)",
        "reads rows before its lookback of 5 (they were changed)",
    ]
    assert feature_leaks(running, random_prices(200, 1), None, np.random.default_rng(1), tries=10) == []


def test_a_lookback_that_is_one_row_too_short_is_found() -> None:
    found = feature_leaks(lambda c: rolling_mean(c["close"], 6), random_prices(90, 1), 5, np.random.default_rng(1))
    assert len(found) == 2


def test_many_features_at_once() -> None:
    def two(columns: dict[str, Values]) -> Values:
        return np.stack([columns["close"], next_close(columns)], axis=1)

    assert len(feature_leaks(two, random_prices(50, 0), 1, np.random.default_rng(0))) == 2
    assert feature_leaks(lambda c: two(c)[:, :1], random_prices(50, 0), 1, np.random.default_rng(0)) == []


def test_other_rows_keep_low_below_high_and_leave_the_rest_alone() -> None:
    prices = random_prices(50, 0)
    where = np.arange(50) > 30
    other = perturbed(prices, where, np.random.default_rng(0))
    assert (other["low"] <= other["high"]).all()
    np.testing.assert_array_equal(other["close"][~where], prices["close"][~where])
    assert (other["close"][where] != prices["close"][where]).all()


def test_bits_are_compared_and_nan_is_nan() -> None:
    assert same_bits(np.array([1.0, np.nan]), np.array([1.0, -np.nan]))
    assert not same_bits(np.array(1.0), np.nextafter(np.array(1.0), 2))


@pytest.mark.parametrize(
    ("compute", "said"),
    [
        (lambda bars: np.append(bars.close[1:], np.nan), "reads rows after its own (they were cut off)"),
        (lambda bars: lagged(bars.close, 5), "reads rows before its lookback of 5 (they were cut off)"),
        (lambda bars: bars.close - bars.close.mean(), "reads rows after its own (they were cut off)"),
    ],
)
def test_a_feature_that_is_not_what_it_says_is_refused(compute: Callable[[Bars], Values], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        refuse_leaks([Feature("mine", 5, compute)], random_prices(900, 0), (100, 900))
    assert str(caught.value).startswith(f"data.extra_features: 'mine' {said}: the value of row ")
    assert str(caught.value).endswith(
        " is then another; a feature is a function of its row and the 4 before it (lookback=5)"
    )


@pytest.mark.parametrize("rows", [0, 1, 5, 900])
def test_a_feature_that_is_what_it_says_passes_however_short_the_table(rows: int) -> None:
    refuse_leaks([Feature("mine", 6, lambda bars: lagged(bars.close, 5))], random_prices(rows, 0), (0, rows))


def fails(bars: Bars) -> Values:
    return np.log(bars["nowhere"])


FAULTS: list[tuple[Any, str]] = [
    (fails, rf"KeyError: 'nowhere' \({re.escape(__file__)}:{fails.__code__.co_firstlineno + 1}\)"),
    (lambda bars: bars.close.__setitem__(0, 1.0), rf"ValueError: .*read-only \({re.escape(__file__)}:\d+\)"),
    (lambda bars: ["a"] * len(bars.close), rf"ValueError: could not convert .* \(returned by {__name__}\)"),
    (lambda bars: None, r"returned the shape \(\) for 268 rows"),
    (lambda bars: bars.close[1:], r"returned the shape \(267,\) for 268 rows"),
]


@pytest.mark.parametrize(("compute", "said"), FAULTS)
def test_a_feature_of_ones_own_that_fails_is_one_line(compute: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"^feature 'mine': {said}$"):
        refuse_leaks([Feature("mine", 6, compute)], random_prices(900, 0), (0, 900))


def test_a_built_in_feature_that_fails_is_a_bug_and_shown_as_one() -> None:
    def broken(bars: Bars) -> Values:
        raise ZeroDivisionError

    broken.__module__ = "hybrid_trainer.data.core_features"
    with pytest.raises(ZeroDivisionError):
        Feature("built_in", 6, broken).values(Bars(random_prices(9, 0)), 9)
