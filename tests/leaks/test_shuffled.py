"""What shuffled labels allow by chance: beside dealing them to the rows again and again."""

from __future__ import annotations

import numpy as np
import pytest

from hybrid_trainer.leaks.shuffled import BOUND, correlation


def test_of_one_number_it_is_the_correlation() -> None:
    labels, outputs = np.random.default_rng(0).normal(size=(2, 50, 1))
    together, error = correlation(labels, outputs)
    assert together == pytest.approx(np.corrcoef(labels[:, 0], outputs[:, 0])[0, 1], rel=1e-12)
    assert error == pytest.approx(1 / np.sqrt(50), rel=1e-12)


def test_the_standard_error_is_that_of_dealing_the_labels_anew() -> None:
    generator = np.random.default_rng(1)
    classes = np.eye(3)[generator.choice(3, 80, p=[0.7, 0.2, 0.1])]
    outputs = generator.normal(size=(80, 3)) @ generator.normal(size=(3, 3))
    dealt = [correlation(generator.permutation(classes), outputs)[0] for _ in range(4000)]
    assert correlation(classes, outputs)[1] == pytest.approx(np.std(dealt), rel=0.05)
    assert abs(np.mean(dealt)) < 0.01
    assert max(dealt) < BOUND * np.std(dealt) * 1.1


def test_outputs_that_say_the_same_of_every_row_tell_nothing() -> None:
    labels = np.random.default_rng(0).normal(size=(50, 2))
    assert correlation(labels, np.ones((50, 2))) == (0.0, 0.0)
    assert correlation(labels, labels)[0] == pytest.approx(1)
