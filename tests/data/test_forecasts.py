"""Forecasts: labels gathered from the next rows, scales from what training reads, nothing materialised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.config.targets import FutureTarget
from hybrid_trainer.data.dataset import panel_tensors
from hybrid_trainer.data.forecasts import Forecast
from hybrid_trainer.data.labelling import build_targets, fit_targets, shuffle_labels
from hybrid_trainer.data.layout import Layout
from hybrid_trainer.data.windows import WindowLoader
from hybrid_trainer.errors import TableError
from tests.data.tables import FEW_EXAMPLES, Values, closes_table

NAN = np.nan
ETT = Path(__file__).parents[3] / "shared" / "data" / "ETTh2.csv"


def forecast(steps: int, *lengths: int, **columns: list[float] | Values) -> Forecast:
    table = closes_table(
        *([1.0] * length for length in lengths), numbers={n: np.array(v, dtype=float) for n, v in columns.items()}
    )
    (target,) = build_targets(table, {"load": FutureTarget(columns=list(columns), steps=steps)})
    assert isinstance(target, Forecast)
    return target


def test_a_label_is_the_next_rows_of_its_own_instrument_one_after_the_other() -> None:
    target = forecast(2, 4, 3, a=[1, 2, 3, 4, 5, 6, 7], b=[10, 20, 30, 40, 50, 60, 70])
    assert target.spec.labels == ("a_1", "b_1", "a_2", "b_2")
    assert (target.spec.kind, target.spec.dim, target.spec.horizon) == ("forecast", 4, 2)
    assert target.labelled.tolist() == [True, True, False, False, True, False, False]
    expected = [[2, 20, 3, 30], [3, 30, 4, 40], [NAN] * 4, [6, 60, 7, 70], [NAN] * 4]
    np.testing.assert_array_equal(target.at(np.array([0, 1, 3, 4, 6])), expected)


def test_an_empty_cell_masks_the_labels_that_reach_it_and_no_other() -> None:
    target = forecast(2, 6, a=[NAN, 2, 3, NAN, 5, 6], b=[1, 1, 1, 1, 1, 1])
    assert target.labelled.tolist() == [True, False, False, True, False, False]


def test_a_sequence_that_is_not_longer_than_the_steps_has_no_label() -> None:
    assert not forecast(3, 3, 2, a=[1, 2, 3, 4, 5]).labelled.any()
    assert forecast(3, 4, a=[1, 2, 3, 4]).labelled.tolist() == [True, False, False, False]


def test_a_price_column_is_taken_as_the_run_uses_it() -> None:
    table = closes_table(
        [1.0, 2.0, 3.0],
        numbers={"Last": np.array([9.0, 9.0, 9.0])},
        layout=Layout(timestamp="t", instrument=None, prices={"close": "Last"}),
    )
    (target,) = build_targets(table, {"load": FutureTarget(columns=["Last"])})
    assert target.at(np.array([0, 1])).tolist() == [[2.0], [3.0]]


def test_a_number_beyond_float32_is_refused_with_its_place() -> None:
    with pytest.raises(TableError) as caught:
        forecast(1, 3, a=[1, 1e39, 2])
    assert str(caught.value) == (
        "t.csv:3: column 'a': 1e+39 is too large for a forecast (float32 ends at 3.4e38); scale the column"
    )


@FEW_EXAMPLES
@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 5))
def test_scales_are_those_of_the_rows_that_labelled_training_rows_read(seed: int, steps: int, window: int) -> None:
    generator = np.random.default_rng(seed)
    values = generator.normal(3, 2, (60, 2))
    values[generator.random((60, 2)) < 0.05] = NAN
    target = forecast(steps, 60, a=values[:, 0], b=values[:, 1])
    train = np.flatnonzero(generator.random(60) < 0.3)
    train = train[train >= window - 1]
    known = [t for t in train if target.labelled[t]]
    if not known:
        return
    read = sorted({row for t in known for row in range(t - window + 1, t + steps + 1)})
    part = values.astype(np.float32).astype(float)[read]
    (fitted,) = fit_targets([target], train, window)
    np.testing.assert_allclose(fitted.spec.shift, np.tile(np.nanmean(part, axis=0), steps), rtol=1e-10)
    np.testing.assert_allclose(fitted.spec.scale, np.tile(np.nanstd(part, axis=0), steps), rtol=1e-10)


def test_a_column_that_never_changes_is_not_scaled() -> None:
    (fitted,) = fit_targets([forecast(1, 4, a=[5, 5, 5, 5])], np.array([0, 1]), 1)
    assert (fitted.spec.shift, fitted.spec.scale) == ((5.0,), (1.0,))


def test_training_rows_without_a_label_are_refused() -> None:
    with pytest.raises(TableError, match=r"^data\.targets\.load: no training row has a label$"):
        fit_targets([forecast(2, 4, a=[1, 2, 3, 4])], np.array([2, 3]), 1)


def test_batches_hold_the_scaled_labels_and_the_panel_holds_each_column_once() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(3, 2, (40, 2))
    values[7, 1] = NAN
    (target,) = fit_targets([forecast(5, 25, 15, a=values[:, 0], b=values[:, 1])], np.arange(10, 20), 3)
    tensors = panel_tensors(np.zeros((40, 1), np.float32), None, np.zeros((40, 1), np.int64), [target])
    assert tensors.targets["load"].shape == (40, 2)
    loader = WindowLoader(tensors, torch.arange(3, 40), time_window=3, batch_size=100)
    (batch,) = list(loader)
    rows = np.arange(3, 40)
    masked = ~target.labelled[rows]
    assert batch.mask["load"].tolist() == (~masked).astype(float).tolist()
    scaled = (target.at(rows) - np.array(target.spec.shift)) / np.array(target.spec.scale)
    assert batch.targets["load"].shape == (37, 10)
    assert torch.isfinite(batch.targets["load"]).all()
    np.testing.assert_allclose(batch.targets["load"].numpy()[~masked], scaled[~masked], rtol=1e-5, atol=1e-6)


def test_shuffled_columns_have_the_same_rows_elsewhere_and_the_same_labelled_rows() -> None:
    target = forecast(2, 50, a=[NAN, *range(49)], b=[*range(49), NAN])
    (shuffled,) = shuffle_labels([target], 0)
    assert shuffled.labelled.tolist() == target.labelled.tolist()
    assert sorted(map(tuple, shuffled.values[1:-1].tolist())) == list(map(tuple, target.values[1:-1].tolist()))
    assert (shuffled.values[1:-1] != target.values[1:-1]).any(axis=1).mean() > 0.5


@pytest.mark.needs_shared_data
@pytest.mark.skipif(not ETT.is_file(), reason=f"{ETT} is not here")
def test_the_last_value_repeated_scores_what_the_long_horizon_protocol_says() -> None:
    """ETTh2, 96 -> 96: scaled by the 8640 training rows, 2785 test windows; published 0.432 / 0.422."""
    series = np.loadtxt(ETT, delimiter=",", skiprows=1, usecols=range(1, 8))[:14400]
    target = forecast(96, 14400, **{f"s{column}": series[:, column] for column in range(7)})
    train, test = np.arange(95, 8640 - 96), np.arange(11519, 14400 - 96)
    (fitted,) = fit_targets([target], train, 96)
    assert isinstance(fitted, Forecast)
    np.testing.assert_allclose(fitted.spec.shift[:7], series[:8640].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(fitted.spec.scale[:7], series[:8640].std(axis=0), rtol=1e-6)
    label = (fitted.at(test) - np.array(fitted.spec.shift)) / np.array(fitted.spec.scale)
    error = np.tile(fitted.scaled_columns()[test], (1, 96)) - label
    assert len(test) == 2785
    assert ((error**2).mean(), np.abs(error).mean()) == pytest.approx((0.432, 0.422), abs=5e-4)
