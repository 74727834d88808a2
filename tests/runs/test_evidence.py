"""What must be the same between two runs: digests see every bit, and the first place where they part is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from hybrid_trainer.runs.evidence import _columns, _history, _plain, digest, first_difference


def array(values: Any, kind: str = "f4") -> dict[str, Any]:
    return {"a": np.array(values, dtype=kind)}


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (array([1, 2]), array([1, 3]), "a[1]: 2.0 and 3.0 (1 of 2 differ)"),
        (array([[1, 2], [3, 4]]), array([[1, 2], [0, 0]]), "a[1, 0]: 3.0 and 0.0 (2 of 4 differ)"),
        (array([0.0]), array([-0.0]), "a[0]: 0.0 and -0.0"),
        (array(1.0), array(2.0), "a: 1.0 and 2.0"),
        (array([1]), array([1], "f8"), "a: float32 of 1 and float64 of 1"),
        (array([1]), array([1, 1]), "a: float32 of 1 and float32 of 2"),
        (array([True, False], "?"), array([True, True], "?"), "a[1]: False and True (1 of 2 differ)"),
        (array(["x", "y"], "O"), array(["x", "z"], "O"), "a[1]: 'y' and 'z' (1 of 2 differ)"),
        (array([1]), {}, "a: only in the first"),
        ({}, array([1]), "a: only in the second"),
        (array([1]) | {"b": np.zeros(1)}, array([1]) | {"b": np.ones(1)}, "b[0]: 0.0 and 1.0"),
    ],
)
def test_the_first_place_where_two_parts_differ_is_named(one: Any, other: Any, said: str) -> None:
    assert first_difference(one, other) == said
    assert digest(one) != digest(other)


@pytest.mark.parametrize(
    "values", [[np.nan, 1.0], [[1.0, 2.0]], 3.0, []], ids=["with NaN", "two axes", "one number", "none"]
)
def test_the_same_bits_have_one_digest(values: Any) -> None:
    one, other = array(values), array(values)
    assert digest(one) == digest(other)
    assert first_difference(one, other) is None


def test_a_digest_knows_names_and_shapes() -> None:
    shapes = [array([1, 2, 3, 4]), array([[1, 2], [3, 4]]), {"b": np.array([1, 2, 3, 4], "f4")}]
    assert len({digest(part) for part in shapes}) == 3


def test_epochs_and_keys_are_places() -> None:
    rows = [{"epoch": 1, "valid/loss": 0.5}, {"epoch": 2, "valid/loss": None}]
    assert list(_history(rows)) == ["epoch 1, epoch", "epoch 1, valid/loss", "epoch 2, epoch", "epoch 2, valid/loss"]
    other = [rows[0], {"epoch": 2, "valid/loss": 0.25}]
    assert first_difference(_history(rows), _history(other)) == "epoch 2, valid/loss: 'null' and 0.25"
    tree = {"signal": {"model": {"mae": 1}, "classes": ["a", "b"], "none": {}}}
    assert list(_plain(tree)) == ["signal/model/mae", "signal/classes/0", "signal/classes/1", "signal/none"]


FRAME = pl.DataFrame(
    {
        "timestamp": pl.Series([1, 2, 3]).cast(pl.Datetime("ns", "UTC")),
        "instrument": ["A", "B", None],
        "probs": [[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]],
        "label": [[1.0], None, [3.0]],
    }
)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (pl.col("timestamp") + pl.duration(nanoseconds=1), "timestamp[0]: 1 and 2 (3 of 3 differ)"),
        (pl.Series("instrument", ["A", "C", None]), "instrument[1]: 'B' and 'C' (1 of 3 differ)"),
        (pl.Series("instrument", ["A", "B", ""]), "instrument: missing: only in the first"),
        (pl.Series("probs", [[0.5, 0.5], [0.25, 0.5], [1.0, 0.0]]), "probs[1, 1]: 0.75 and 0.5 (1 of 6 differ)"),
        (pl.Series("label", [[1.0], [2.0], [3.0]]), "label: lengths[1]: -1 and 1 (1 of 3 differ)"),
        (pl.Series("label", [[1.0], None, [4.0]]), "label[1]: 3.0 and 4.0 (1 of 2 differ)"),
    ],
)
def test_the_values_of_a_table_are_compared_not_its_bytes(change: Any, said: str) -> None:
    one = _columns(FRAME)
    in_pieces = pl.concat([FRAME[:1], FRAME[1:]], rechunk=False)
    assert digest(one) == digest(_columns(in_pieces))
    assert first_difference(one, _columns(FRAME.with_columns(change))) == said
