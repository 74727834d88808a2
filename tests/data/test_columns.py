"""Columns that grow block by block and are put in order, in memory and in files alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.data import columns as module
from hybrid_trainer.data.columns import Columns, drop_rows, second_rows, sort_rows
from tests.data.tables import SOME_EXAMPLES


def grown(folder: Path, blocks: list[dict[str, list[Any]]], most_in_memory: int | None) -> Columns:
    def make() -> Path:
        folder.mkdir()
        return folder

    columns = Columns(most_in_memory, make)
    for block in blocks:
        columns.append({name: np.array(values, dtype=np.int64) for name, values in block.items()})
    columns.seal()
    return columns


@pytest.mark.parametrize(("most", "on_disk"), [(None, False), (5, False), (4, True), (3, True), (0, True)])
def test_columns_go_to_files_when_there_are_too_many_rows(tmp_path: Path, most: int | None, on_disk: bool) -> None:
    columns = grown(
        tmp_path / "new", [{"a": [1, 2], "b": [3, 4]}, {"a": [5, 6], "b": [7, 8]}, {"a": [9], "b": [0]}], most
    )
    assert (columns["a"].tolist(), columns["b"].tolist(), columns.rows) == ([1, 2, 5, 6, 9], [3, 4, 7, 8, 0], 5)
    assert isinstance(columns["a"], np.memmap) == on_disk
    assert columns.types() == [("a", "<i8"), ("b", "<i8")]
    columns["a"][0] = 7  # it can be written to
    if on_disk:
        assert columns.path("b").read_bytes() == np.array([3, 4, 7, 8, 0]).tobytes()
    columns.discard_files()
    assert not (tmp_path / "new").exists()


@SOME_EXAMPLES
@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(-3, 3)), min_size=1, max_size=40),
    block=st.integers(1, 7),
    most=st.sampled_from([None, 0, 10]),
)
def test_rows_are_sorted_as_numpy_sorts_them_whatever_the_size_of_a_block(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int]], block: int, most: int | None
) -> None:
    codes, times = (np.array(values) for values in zip(*rows, strict=True))
    order = np.lexsort((times, codes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROWS", block)
        columns = grown(
            tmp_path_factory.mktemp("columns") / "new",
            [{"timestamp": [t], "instrument": [c], "line": [n]} for n, (c, t) in enumerate(rows)],
            most,
        )
        mixed = sort_rows(columns, 4)
        assert columns["line"].tolist() == order.tolist()
        assert columns["instrument"].tolist() == codes[order].tolist()
        assert columns["timestamp"].tolist() == times[order].tolist()
        assert mixed == any((np.diff(times[codes == code]) < 0).any() for code in range(4))
        keys = [(codes[row], times[row]) for row in order]
        second = [index for index in range(1, len(keys)) if keys[index] == keys[index - 1]]
        assert second_rows(columns).tolist() == second
        drop_rows(columns, second_rows(columns))
        assert columns.rows == len(set(keys))
        assert columns["line"].tolist() == [order[index] for index in range(len(keys)) if index not in second]
    columns.discard_files()


def test_sorted_columns_are_not_written_again(tmp_path: Path) -> None:
    columns = grown(tmp_path / "new", [{"timestamp": [1, 2, 1], "instrument": [0, 0, 1]}], 0)
    columns["timestamp"].flags.writeable = False
    before = columns["timestamp"]
    assert not sort_rows(columns, 2)
    assert columns["timestamp"] is before
