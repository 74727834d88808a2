"""Text columns become numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.data.coder import Coder
from hybrid_trainer.data.table import Coded
from tests.data.tables import SOME_EXAMPLES


def coded(blocks: list[list[Any]], *, classes: bool = False, dtype: Any = None) -> list[str | None]:
    coder = Coder(classes=classes)
    codes = np.concatenate([coder.encode(pl.Series(block, dtype=dtype)) for block in blocks])
    names = coder.finish(codes)
    assert codes.dtype == np.int32
    assert list(names) == sorted(set(names))
    return Coded(codes, names).texts()


@SOME_EXAMPLES
@given(
    blocks=st.lists(st.lists(st.none() | st.text(max_size=3), max_size=8), min_size=1, max_size=4),
    times=st.sampled_from([1, 9]),  # one after the other, or in long runs
)
def test_the_texts_come_back_whatever_they_are(blocks: list[list[str | None]], times: int) -> None:
    blocks = [[text for text in block for _ in range(times)] for block in blocks]
    assert coded(blocks, dtype=pl.String) == [text for block in blocks for text in block]


def test_two_coders_know_nothing_of_each_other() -> None:
    first, second = Coder(), Coder()
    first.encode(pl.Series(["x", "y"]))
    codes = second.encode(pl.Series(["b", "a"])).copy()
    assert second.finish(codes) == ("a", "b")
    assert codes.tolist() == [1, 0]


def test_a_text_whose_rows_were_dropped_is_no_name() -> None:
    coder = Coder()
    codes = coder.encode(pl.Series(["c", "b", "a"]))[[0, 2]]
    assert coder.finish(codes) == ("a", "c")
    assert codes.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("blocks", "dtype", "texts"),
    [
        ([["1", "1.0"], ["2.00"]], pl.String, ["1", "1", "2"]),
        ([["1", "2"], ["1.5"]], pl.String, ["1", "2", "1.5"]),
        ([["007", "7"]], pl.String, ["007", "7"]),
        ([["-1.0", "0"]], pl.String, ["-1", "0"]),
        ([[1.0, float("nan")], [2.0, None]], pl.Float64, ["1", None, "2", None]),
        ([[1.0], [2.5]], pl.Float64, ["1.0", "2.5"]),
        ([[1, None], [3]], pl.Int64, ["1", None, "3"]),
        ([[True, False]], pl.Boolean, ["true", "false"]),
        ([[2.0**53, 1.0]], pl.Float64, ["9007199254740992.0", "1.0"]),
    ],
)
def test_whole_numbers_are_one_class_however_they_are_written(
    blocks: list[list[Any]], dtype: Any, texts: list[str | None]
) -> None:
    assert coded(blocks, classes=True, dtype=dtype) == texts
