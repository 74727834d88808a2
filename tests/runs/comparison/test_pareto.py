"""The front, beside its definition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.runs.comparison.pareto import front

NUMBERS = st.integers(0, 4).map(float)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), max_size=25))
def test_a_point_is_on_the_front_unless_another_dominates_it(points: list[tuple[float, ...]]) -> None:
    def dominated(point: tuple[float, ...]) -> bool:
        return any(all(a <= b for a, b in zip(one, point, strict=True)) and one != point for one in points)

    assert front(points) == [not dominated(point) for point in points]
