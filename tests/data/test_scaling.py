"""Feature scaling, fitted on the rows that training windows cover and on no others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import RobustScaler, StandardScaler

from hybrid_trainer import prepare
from hybrid_trainer.config.schema import Config
from hybrid_trainer.data import scaling
from hybrid_trainer.data.scaling import covered_rows, fit_scaler
from hybrid_trainer.data.table import Table
from tests.conftest import make_config
from tests.data.tables import FEW_EXAMPLES, SOME_EXAMPLES, closes_table

CPU = torch.device("cpu")


def features(seed: int = 0, rows: int = 50) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (generator.normal(size=(rows, 3)) * [1, 100, 1e-3] + [0, 5, 2]).astype(np.float32)


@SOME_EXAMPLES
@given(data=st.data(), time_window=st.integers(1, 8), spare=st.integers(0, 30))
def test_the_covered_rows_are_those_of_the_windows(data: st.DataObject, time_window: int, spare: int) -> None:
    total = time_window + spare
    decisions = sorted(data.draw(st.sets(st.integers(time_window - 1, total - 1))))
    expected = sorted({row - back for row in decisions for back in range(time_window)})
    assert covered_rows(np.array(decisions, dtype=np.int64), time_window, total).tolist() == expected


def test_standard_scaling_has_mean_zero_and_deviation_one_on_its_rows() -> None:
    x, rows = features(), np.arange(10, 30)
    scaled = fit_scaler("standard", None, x, rows)(x)
    fitted = x[rows].astype(np.float64)
    np.testing.assert_allclose(scaled, (x - fitted.mean(axis=0)) / fitted.std(axis=0), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(
        scaled, StandardScaler().fit(fitted).transform(x.astype(np.float64)).astype(np.float32)
    )
    assert scaled.dtype == np.float32
    assert scaled.flags["C_CONTIGUOUS"]


def test_robust_scaling_uses_median_and_quartiles_of_its_rows() -> None:
    x, rows = features(), np.arange(10, 31)
    scaled = fit_scaler("robust", None, x, rows)(x)
    fitted = x[rows].astype(np.float64)
    low, median, high = np.percentile(fitted, [25, 50, 75], axis=0)
    np.testing.assert_allclose(scaled, (x - median) / (high - low), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(scaled, RobustScaler().fit(fitted).transform(x.astype(float)).astype(np.float32))


def test_no_scaling_leaves_the_values_but_cuts_them_off() -> None:
    x = features()
    np.testing.assert_array_equal(fit_scaler("none", None, x, np.arange(5))(x), x)
    np.testing.assert_array_equal(fit_scaler("none", 1.5, x, np.arange(5))(x), np.clip(x, -1.5, 1.5))


def test_scaled_values_are_cut_off_on_both_sides() -> None:
    x = np.array([[0.0], [2.0], [100.0], [-100.0]], dtype=np.float32)
    scaled = fit_scaler("standard", 3.0, x, np.array([0, 1]))(x)
    assert scaled[:, 0].tolist() == [-1.0, 1.0, 3.0, -3.0]


@pytest.mark.parametrize("kind", ["standard", "robust", "none"])
def test_a_missing_value_stays_missing_and_spoils_no_other(kind: str) -> None:
    x = features()
    holes = x.copy()
    holes[40, 1] = np.nan
    scaled = fit_scaler(kind, 10.0, holes, np.arange(30))(holes)
    expected = fit_scaler(kind, 10.0, x, np.arange(30))(x)
    expected[40, 1] = np.nan
    np.testing.assert_array_equal(scaled, expected)


@pytest.mark.parametrize("kind", ["standard", "robust"])
def test_a_constant_feature_is_centred_and_not_divided_by_zero(kind: str) -> None:
    x = np.full((10, 1), 7.0, dtype=np.float32)
    assert fit_scaler(kind, 10.0, x, np.arange(10))(x).tolist() == [[0.0]] * 10


@pytest.mark.parametrize("kind", ["standard", "robust"])
@FEW_EXAMPLES
@given(seed=st.integers(0, 10_000), chosen=st.sets(st.integers(0, 49), min_size=2))
def test_the_rows_that_are_not_fitted_on_change_nothing(kind: str, seed: int, chosen: set[int]) -> None:
    x = features(seed)
    rows = np.array(sorted(chosen))
    outside = np.ones(50, dtype=bool)
    outside[rows] = False
    other = np.where(outside[:, None], np.float32(1e6) * features(seed + 1), x)
    before, after = fit_scaler(kind, 10.0, x, rows), fit_scaler(kind, 10.0, other, rows)
    np.testing.assert_array_equal(after(x), before(x))


# The same through the whole way of a run.


@pytest.fixture(scope="module")
def config() -> Config:
    return make_config(
        "data=csv",
        "data.path=t.csv",
        "data.features=[x]",
        "data.targets.mine={column: y, kind: regression, horizon: 2}",
        "model.heads=[mine]",
        "model.time_window=4",
    )


def two_instruments() -> Table:
    """A has the days 0 to 59, B the days 20 to 59."""
    generator = np.random.default_rng(0)
    numbers = {"x": generator.normal(size=100), "y": generator.normal(size=100)}
    days = np.concatenate([np.arange(60), np.arange(20, 60)])
    return closes_table([1.0] * 60, [1.0] * 40, numbers=numbers, timestamp=days)


def test_a_run_learns_nothing_from_rows_outside_its_training_windows(config: Config) -> None:
    table = two_instruments()
    first = prepare.dataset(config, table, CPU)
    train = first.split.rows["train"]
    covered = sorted({row - back for row in train.tolist() for back in range(4)})
    outside = np.ones(100, dtype=bool)
    outside[covered] = False
    unlabelled = np.ones(100, dtype=bool)
    unlabelled[train] = False
    assert 20 < outside.sum() < 80
    changed = {
        "x": np.where(outside, 1e3 + 50 * table.numbers["x"], table.numbers["x"]),
        "y": np.where(unlabelled, 1e3 + 50 * table.numbers["y"], table.numbers["y"]),
    }
    second = prepare.dataset(config, replace(table, numbers=changed), CPU)
    np.testing.assert_array_equal(second.split.rows["train"], train)
    assert second.specs == first.specs
    for before, after in zip(first.loader("train", 16, 0), second.loader("train", 16, 0), strict=True):
        torch.testing.assert_close(after.x, before.x, rtol=0, atol=0)
        torch.testing.assert_close(after.targets["mine"], before.targets["mine"], rtol=0, atol=0)
    values = table.numbers["x"].astype(np.float32)[covered].astype(np.float64)
    expected = ((table.numbers["x"].astype(np.float32) - values.mean()) / values.std())[covered]
    np.testing.assert_allclose(first.tensors.features[covered, 0], np.clip(expected, -10, 10), rtol=1e-5, atol=1e-6)


def test_an_instrument_that_begins_after_training_is_unknown_to_a_run(config: Config) -> None:
    generator = np.random.default_rng(0)
    numbers = {"x": generator.normal(size=120), "y": generator.normal(size=120)}
    days = np.concatenate([np.arange(100), np.arange(85, 105)])
    data = prepare.dataset(config, closes_table([1.0] * 100, [1.0] * 20, numbers=numbers, timestamp=days), CPU)
    assert data.panel.instruments == ("A", "B")
    assert data.vocabularies["instrument"].names == ("A",)
    assert data.tensors.ids[:100, 0].unique().tolist() == [1]
    assert data.tensors.ids[100:, 0].unique().tolist() == [0]


@pytest.mark.parametrize("kind", ["standard", "robust", "none"])
def test_pieces_give_what_the_whole_gives(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, rows = features(rows=60), np.arange(5, 55)
    whole = fit_scaler(kind, 2.0, x, rows)
    monkeypatch.setattr(scaling, "PIECE", 7)
    pieces = fit_scaler(kind, 2.0, x, rows)
    np.testing.assert_allclose(pieces(x), whole(x), rtol=1e-6)
    np.testing.assert_array_equal(whole(x)[:20], whole(x[:20]))
    np.testing.assert_array_equal(covered_rows(rows, 3, 60), np.arange(3, 55))
