"""The Pareto front: whatever nothing else is at least as good as in everything and better in something."""

from __future__ import annotations

from collections.abc import Sequence


def front(points: Sequence[Sequence[float]]) -> list[bool]:
    """Which points are not dominated; smaller is better in every number, and equal points don't dominate each other.

    In lexicographic order a point is dominated by earlier ones only, and if by any, then by one of the front.
    """
    kept: list[int] = []
    for index in sorted(range(len(points)), key=lambda index: tuple(points[index])):
        if not any(_dominates(points[one], points[index]) for one in kept):
            kept.append(index)
    chosen = set(kept)
    return [index in chosen for index in range(len(points))]


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
