"""Average uniqueness by hand and by a loop; class weights beside scikit-learn's."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from hybrid_trainer.data.weights import average_uniqueness, class_weights
from tests.data.tables import FEW_EXAMPLES


def test_uniqueness_by_hand() -> None:
    # Label of row 0: bars 1, 2; of row 1: bar 2; of row 2: none; of row 3: bar 4. Bar 2 has two labels.
    weights = average_uniqueness(np.array([2, 1, 0, 1, 0]), [(0, 5)])
    np.testing.assert_allclose(weights, [(1 + 0.5) / 2, 0.5, 0, 1, 0])


def test_labels_of_two_instruments_share_no_bar() -> None:
    held = np.array([1, 0, 2, 1, 0])
    weights = average_uniqueness(held, [(0, 2), (2, 5)])
    np.testing.assert_allclose(weights, [1, 0, 0.75, 0.5, 0])


@FEW_EXAMPLES
@given(st.integers(1, 40), st.integers(0, 2**31))
def test_uniqueness_is_the_mean_of_one_by_the_concurrent_labels(rows: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    held = np.minimum(generator.integers(0, 6, rows), rows - 1 - np.arange(rows))
    alive = [sum(t < bar <= t + held[t] for t in range(rows)) for bar in range(rows)]
    expected = [np.mean([1 / alive[b] for b in range(t + 1, t + held[t] + 1)]) if held[t] else 0 for t in range(rows)]
    np.testing.assert_allclose(average_uniqueness(held, [(0, rows)]), expected, rtol=1e-5)


@FEW_EXAMPLES
@given(st.lists(st.integers(0, 3), min_size=1, max_size=60))
def test_balanced_weights_are_scikit_learns(more: list[int]) -> None:
    labels = np.array([0, 1, 2, 3, *more])
    expected = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    np.testing.assert_allclose(class_weights(labels, 4), expected, rtol=1e-12)


def test_capped_weights_are_balanced_ones_up_to_a_multiple_of_the_smallest() -> None:
    labels = np.repeat([0, 1, 2], [8, 3, 1])  # balanced: 0.5, 4/3, 4
    np.testing.assert_allclose(class_weights(labels, 3, cap=5.0), [0.5, 4 / 3, 2.5])
    np.testing.assert_allclose(class_weights(labels, 3, cap=1.0), [0.5, 0.5, 0.5])
