"""Context blocks: float32, missing as a whole or not at all, scaled by the training rows that have them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.preprocessing import StandardScaler

from hybrid_trainer.data.context import context_matrix, fit_context_scaler, parts, shares
from hybrid_trainer.data.table import Table
from hybrid_trainer.errors import TableError
from tests.data.tables import SOME_EXAMPLES, Values, closes_table

NAN = np.nan
BLOCKS = {"text": ("a", "b"), "mood": ("c",)}


def table_of(**columns: list[float]) -> Table:
    numbers = {name: np.array(values, dtype=np.float64) for name, values in columns.items()}
    return replace(closes_table([1.0] * len(next(iter(columns.values())))), numbers=numbers)


@pytest.fixture
def table() -> Table:
    return table_of(a=[1, NAN, 3, 4, 5], b=[10, 20, NAN, 40, 50], c=[NAN, -2, -3, NAN, -5])


def test_a_block_is_missing_as_a_whole_or_not_at_all(table: Table) -> None:
    matrix = context_matrix(table, BLOCKS)
    assert matrix is not None
    assert matrix.dtype == np.float32
    assert matrix.flags["C_CONTIGUOUS"]
    expected = [[1, 10, NAN], [NAN, NAN, -2], [NAN, NAN, -3], [4, 40, NAN], [5, 50, -5]]
    np.testing.assert_array_equal(matrix, np.array(expected, dtype=np.float32))
    text, mood = parts(matrix, BLOCKS)
    assert (text.shape, mood.shape) == ((5, 2), (5, 1))
    assert np.shares_memory(text, matrix)


def test_without_blocks_there_is_no_matrix(table: Table) -> None:
    assert context_matrix(table, {}) is None


def test_shares_are_of_the_rows_that_are_asked_for(table: Table) -> None:
    matrix = context_matrix(table, BLOCKS)
    assert matrix is not None
    assert shares(matrix, BLOCKS, np.arange(5)) == {"text": pytest.approx(0.6), "mood": pytest.approx(0.6)}
    assert shares(matrix, BLOCKS, np.array([0, 3])) == {"text": 1.0, "mood": 0.0}


def test_a_value_that_is_too_large_for_float32_is_told_with_its_place() -> None:
    text = r"^t\.csv:3: column 'a': 1e\+39 is too large for a context column"
    with pytest.raises(TableError, match=text):
        context_matrix(table_of(a=[1.0, 1e39]), {"text": ("a",)})


def test_a_block_that_no_training_row_has_is_refused_under_its_key(table: Table) -> None:
    matrix = context_matrix(table, BLOCKS)
    assert matrix is not None
    text = (
        r"^t\.csv: data\.context\.mood: no training row has a value in every column of the block \(c\); there is "
        r"nothing to learn from it: fill its columns or remove it$"
    )
    with pytest.raises(TableError, match=text):
        fit_context_scaler(matrix, BLOCKS, np.array([0, 3]), None, "t.csv")
    alone = {"context": ("c",)}
    with pytest.raises(TableError, match=r"^t\.csv: data\.context: no training row"):
        fit_context_scaler(matrix[:, 2:], alone, np.array([0, 3]), None, "t.csv")


def test_the_scaler_sees_the_training_rows_that_have_the_block_and_no_others(table: Table) -> None:
    matrix = context_matrix(table, BLOCKS)
    assert matrix is not None
    train = np.array([0, 1, 2, 3])
    scaled = fit_context_scaler(matrix, BLOCKS, train, 10.0, "t.csv")(matrix)
    assert scaled.dtype == np.float32
    # a: rows 0 and 3 (1, 4), mean 2.5, deviation 1.5; row 2 has an `a` but not the block. c: rows 1, 2 (-2, -3).
    np.testing.assert_allclose(scaled[:, 0], [-1, NAN, NAN, 1, 5 / 3], rtol=1e-6)
    np.testing.assert_allclose(scaled[:, 1], [-1, NAN, NAN, 1, 5 / 3], rtol=1e-6)
    np.testing.assert_allclose(scaled[:, 2], [NAN, 1, -1, NAN, -5], rtol=1e-6)
    cut = fit_context_scaler(matrix, BLOCKS, train, 1.5, "t.csv")(matrix)
    np.testing.assert_allclose(cut[4], [1.5, 1.5, -1.5], rtol=1e-6)


NUMBERS = st.floats(-1e3, 1e3, width=32) | st.just(NAN)


@SOME_EXAMPLES
@given(values=arrays(np.float64, (8, 3), elements=NUMBERS))
def test_each_block_is_scaled_as_if_its_complete_training_rows_were_the_whole_table(values: Values) -> None:
    table = table_of(a=values[:, 0].tolist(), b=values[:, 1].tolist(), c=values[:, 2].tolist())
    train = np.arange(6)
    matrix = context_matrix(table, BLOCKS)
    assert matrix is not None
    columns = {"text": [0, 1], "mood": [2]}
    whole = {name: ~np.isnan(values[:, own]).any(axis=1) for name, own in columns.items()}
    if not all(have[train].any() for have in whole.values()):
        with pytest.raises(TableError):
            fit_context_scaler(matrix, BLOCKS, train, None, "t.csv")
        return
    scaled = fit_context_scaler(matrix, BLOCKS, train, None, "t.csv")(matrix)
    for name, own in columns.items():
        raw, have = matrix[:, own].astype(np.float64), whole[name]
        expected = StandardScaler().fit(raw[train][have[train]]).transform(raw[have])
        np.testing.assert_allclose(scaled[have][:, own], expected, rtol=1e-4, atol=1e-4)
        assert np.isnan(scaled[~have][:, own]).all()
