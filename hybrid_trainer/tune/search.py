"""The largest size that fits: doubling, then bisection. What 'fits' means is the caller's."""

from __future__ import annotations

from collections.abc import Callable

STEP = 8
"""Sizes are multiples of it, up to the cap, which is what it is."""


def largest(fits: Callable[[int], bool], start: int, cap: int) -> int | None:
    """The largest size up to `cap` for which `fits` is true, if it is for all below; None where not even STEP fits.

    Args:
        start: the first size that is tried; it is doubled while it fits, up to the cap.
    """
    good, size = 0, min(_multiple(start), cap)
    while fits(size):
        good = size
        if size == cap:
            return cap
        size = min(2 * size, cap)
    bad = size
    while True:
        size = good + (bad - good) // 2 // STEP * STEP
        if size == good:  # nearer than two steps; a cap may be no multiple
            size = good + STEP
            if size >= bad:
                return good or None
        if fits(size):
            good = size
        else:
            bad = size


def _multiple(size: int) -> int:
    return max(size // STEP, 1) * STEP
