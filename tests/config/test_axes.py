"""What tune-engine measures: each key's schema default is its first value, and the rest are valid."""

from __future__ import annotations

import os

import pytest

from hybrid_trainer.config.axes import AXES, Axis, cores, thread_counts
from hybrid_trainer.config.known_keys import known_keys
from tests.conftest import make_config


@pytest.mark.parametrize(
    ("available", "counts"), [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (6, (1, 2, 4, 6)), (8, (1, 2, 4, 8))]
)
def test_thread_counts_double_up_to_all_cores(available: int, counts: tuple[int, ...]) -> None:
    assert thread_counts(available) == counts


@pytest.mark.parametrize("axis", AXES, ids=lambda axis: axis.key)
def test_a_key_begins_with_its_default_and_every_value_is_one(axis: Axis) -> None:
    values = axis.values(4)
    assert values[0] == known_keys()[axis.key].default
    assert len(set(values)) == len(values) > 1
    for value in values:
        make_config(f"{axis.key}={value}")


def test_the_cores_of_this_process_are_counted() -> None:
    assert cores() == len(os.sched_getaffinity(0))
