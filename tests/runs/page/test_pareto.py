"""The Pareto front."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.runs.page.pareto import front


def test_by_hand() -> None:
    assert front([[1, 3], [2, 2], [3, 1], [3, 3], [2, 2], [1, 4]]) == [0, 1, 2, 4]  # equal points don't beat each other
    assert front([[0, math.nan], [1, 1], [math.inf, 0], [-math.inf, 5]]) == [1]
    assert front([]) == []


@given(st.lists(st.lists(st.integers(0, 6), min_size=3, max_size=3), max_size=30))
def test_as_the_definition_says(points: list[list[int]]) -> None:
    def dominated(point: list[int]) -> bool:
        return any(other != point and all(a <= b for a, b in zip(other, point, strict=True)) for other in points)

    assert front([list(map(float, point)) for point in points]) == [
        index for index, point in enumerate(points) if not dominated(point)
    ]
