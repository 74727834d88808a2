"""The Pareto front: what no other point beats in everything."""

from __future__ import annotations

import math


def front(points: list[list[float]]) -> list[int]:
    """Indices, ascending, of the points that none dominates: as good in all objectives and better in one.

    Args:
        points: N points of O objectives, smaller is better; one that isn't finite is never on the front.
    """
    kept: list[int] = []
    # In this order, whatever dominates a point comes before it.
    for index in sorted(range(len(points)), key=lambda index: points[index]):
        point = points[index]
        if all(map(math.isfinite, point)) and not any(_dominates(points[other], point) for other in kept):
            kept.append(index)
    return sorted(kept)


def _dominates(one: list[float], other: list[float]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
