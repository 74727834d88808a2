"""The search for the largest size, with a made-up border."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.tune.search import largest


def tried(border: int, start: int, cap: int) -> tuple[int | None, list[int]]:
    sizes: list[int] = []

    def fits(size: int) -> bool:
        sizes.append(size)
        return size <= border

    return largest(fits, start, cap), sizes


def test_doubling_then_bisection_in_steps_of_eight() -> None:
    assert tried(100, 16, 10_000) == (96, [16, 32, 64, 128, 96, 112, 104])
    assert tried(103, 16, 1000) == (96, [16, 32, 64, 128, 96, 112, 104])


def test_the_cap_itself_is_tried_whatever_it_is() -> None:
    assert tried(10_000, 16, 50) == (50, [16, 32, 50])
    assert tried(49, 16, 50) == (48, [16, 32, 50, 40, 48])
    assert tried(10_000, 16, 5) == (5, [5])


def test_nothing_fits() -> None:
    assert tried(7, 16, 100) == (None, [16, 8])
    assert tried(0, 16, 5) == (None, [5])


@given(border=st.integers(0, 5000), start=st.integers(1, 200), cap=st.integers(1, 4000))
def test_the_largest_multiple_of_eight_below_the_border_is_found(border: int, start: int, cap: int) -> None:
    found, sizes = tried(border, start, cap)
    assert found == (cap if border >= cap else border // 8 * 8 or None)
    assert len(sizes) == len(set(sizes)) <= 2 + 2 * cap.bit_length()
    assert max(sizes) <= max(2 * border, start, 8)
