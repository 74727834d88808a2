"""Windows put together from powers of two: their values by definition, and the same bits wherever the rows stand."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from hybrid_trainer.data.kernels import (
    Values,
    change,
    geometric_sum,
    lagged,
    mean_absolute_deviation,
    memory,
    ratio,
    rolling_max,
    rolling_mean,
    rolling_mean_and_std,
    rolling_min,
    rolling_std,
    rolling_sum,
    truncated_mean,
)
from tests.data.tables import FEW_EXAMPLES, SOME_EXAMPLES

Kernel = Callable[[Values, int], Values]

# What each is by definition, from the (rows, window) view of all windows.
DEFINITIONS: dict[str, tuple[Kernel, Callable[[Values], Values]]] = {
    "sum": (rolling_sum, lambda windows: windows.sum(axis=1)),
    "mean": (rolling_mean, lambda windows: windows.mean(axis=1)),
    "max": (rolling_max, lambda windows: windows.max(axis=1)),
    "min": (rolling_min, lambda windows: windows.min(axis=1)),
    "std": (rolling_std, lambda windows: windows.std(axis=1)),
    "mean deviation": (
        mean_absolute_deviation,
        lambda windows: np.abs(windows - windows.mean(axis=1, keepdims=True)).mean(axis=1),
    ),
    "decaying sum": (
        lambda x, window: geometric_sum(x, 0.9, window),
        lambda windows: windows @ 0.9 ** np.arange(windows.shape[1])[::-1],
    ),
}


def bits(values: Values) -> np.ndarray:
    return np.asarray(values, dtype=np.float64).view(np.int64)


@pytest.mark.parametrize("name", DEFINITIONS)
@SOME_EXAMPLES
@given(rows=st.integers(0, 70), window=st.integers(1, 70), seed=st.integers(0, 2**32 - 1))
def test_a_kernel_is_what_its_definition_says(name: str, rows: int, window: int, seed: int) -> None:
    kernel, definition = DEFINITIONS[name]
    x = np.random.default_rng(seed).normal(size=rows)
    before = x.copy()
    found = kernel(x, window)
    assert found.shape == (rows,)
    assert np.isnan(found[: window - 1]).all()
    if rows >= window:
        np.testing.assert_allclose(found[window - 1 :], definition(sliding_window_view(x, window)), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("name", DEFINITIONS)
@FEW_EXAMPLES
@given(window=st.integers(1, 40), before=st.integers(0, 40), after=st.integers(0, 40), seed=st.integers(0, 2**32 - 1))
def test_a_value_has_the_bits_of_its_window_alone(name: str, window: int, before: int, after: int, seed: int) -> None:
    kernel, _ = DEFINITIONS[name]
    x = np.random.default_rng(seed).normal(size=before + window + after)
    t = before + window - 1
    assert bits(kernel(x, window)[t]) == bits(kernel(x[before : t + 1], window)[-1])


@pytest.mark.parametrize("name", DEFINITIONS)
@pytest.mark.parametrize("window", [1, 2, 3, 7, 8, 13])
def test_nan_reaches_exactly_the_windows_that_hold_it(name: str, window: int) -> None:
    x = np.random.default_rng(0).normal(size=40)
    x[20] = np.nan
    missing = np.flatnonzero(np.isnan(DEFINITIONS[name][0](x, window))).tolist()
    assert missing == [*range(window - 1), *range(20, 20 + window)]


def test_lags_by_hand() -> None:
    x = np.array([1.0, 2.0, 4.0])
    np.testing.assert_array_equal(lagged(x, 0), x)
    np.testing.assert_array_equal(lagged(x, 2), [np.nan, np.nan, 1])
    np.testing.assert_array_equal(lagged(x, 5), [np.nan] * 3)


def test_the_deviation_of_a_sample_divides_by_one_less() -> None:
    assert rolling_std(np.array([1.0, 3.0]), 2, ddof=1)[1] == pytest.approx(np.sqrt(2), rel=1e-15)


def test_a_memory_leaves_less_behind_than_it_says() -> None:
    for decay in (0.5, 13 / 14, 25 / 27):
        assert decay ** memory(decay) <= 1e-3 < decay ** (memory(decay) - 1)


@SOME_EXAMPLES
@given(window=st.integers(1, 70), level=st.sampled_from([0.0, 1.0, 4.6, 1e4]), seed=st.integers(0, 2**32 - 1))
def test_a_deviation_is_as_exact_as_the_rows_are(window: int, level: float, seed: int) -> None:
    x = level + np.random.default_rng(seed).normal(size=80)
    mean, deviation = rolling_mean_and_std(x, window)
    np.testing.assert_array_equal(bits(mean), bits(rolling_mean(x, window)))
    found = deviation[window - 1 :]
    for value, rows in zip(found.tolist(), sliding_window_view(x, window).tolist(), strict=True):
        assert value == pytest.approx(statistics.pstdev(rows), rel=1e-15 * (10 + 10 * level), abs=1e-15 * level)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_there_is_no_deviation_around_an_infinity_and_none_where_nothing_moves() -> None:
    x = np.array([1.0, 2.0, np.inf, 4.0, 5.0, 5.0])
    np.testing.assert_array_equal(rolling_std(x, 2), [np.nan, 0.5, np.nan, np.nan, 0.5, 0.0])
    assert rolling_std(np.full(40, 0.1), 32)[-1] == 0


def test_a_change_is_the_difference_to_a_lag() -> None:
    x = np.array([1.0, 2.0, 4.0])
    for lag in (0, 1, 2, 5):
        np.testing.assert_array_equal(change(x, lag), x - lagged(x, lag))


def test_the_weights_of_a_truncated_mean_sum_to_one() -> None:
    assert truncated_mean(np.full(50, 7.0), 0.9, 50)[-1] == pytest.approx(7, rel=1e-14)
    # weights 1, 1/2, 1/4 over 7/4
    assert truncated_mean(np.array([4.0, 2.0, 8.0]), 0.5, 3)[-1] == pytest.approx((8 + 1 + 1) * 4 / 7, rel=1e-15)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_ratio_has_a_value_where_nothing_is_divided_by() -> None:
    found = ratio(np.array([1.0, 0.0, np.nan]), np.array([4.0, 0.0, np.nan]), 0.5)
    np.testing.assert_array_equal(found, [0.25, 0.5, np.nan])
