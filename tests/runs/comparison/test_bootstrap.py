"""Blocks of time: drawn whole, as many times as there are, and the same draw for both sides of a pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.runs.comparison import bootstrap
from hybrid_trainer.runs.comparison.bootstrap import Draws, block_length, draw, interval


@given(st.integers(1, 40), st.data())
def test_counts_are_those_of_blocks_laid_end_to_end(times: int, data: st.DataObject) -> None:
    length = data.draw(st.integers(1, times))
    draws = draw(times, length, resamples=7, seed=data.draw(st.integers(0, 99)))
    for starts, counts in zip(draws.starts, draws.counts(), strict=True):
        laid = np.concatenate([np.arange(start, start + length) for start in starts])[:times]
        assert laid.max() < times
        assert counts.tolist() == np.bincount(laid, minlength=times).tolist()


def test_sums_in_pieces_are_the_sums_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 9, size=(30, 4)).astype(float)
    draws = draw(30, 4, resamples=11)
    at_once = draws.sums(values)
    assert at_once.tolist() == (draws.counts() @ values).tolist()
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 90)  # three resamples
    assert Draws(30, 4, draws.starts).sums(values).tolist() == at_once.tolist()


def test_a_draw_repeats_and_a_seed_is_another_one() -> None:
    assert draw(50, 5).starts.tolist() == draw(50, 5).starts.tolist() != draw(50, 5, seed=1).starts.tolist()


def test_a_block_is_as_long_as_rows_reach_but_a_fifth_of_the_times_at_most() -> None:
    assert [block_length(500, 32), block_length(100, 32), block_length(3, 32), block_length(500, 1)] == [32, 20, 1, 1]


def test_the_interval_of_a_mean_covers_it_as_often_as_it_says() -> None:
    """Of a moving average of five, blocks of ten: single rows would cover it in 60 of 100."""
    generator = np.random.default_rng(0)
    draws, single = draw(400, 10, resamples=300), draw(400, 1, resamples=300)
    covered = {10: 0, 1: 0}
    for _ in range(100):
        series = np.convolve(generator.normal(size=404), np.ones(5), mode="valid")[:, None]
        for length, drawn in ((10, draws), (1, single)):
            low, high = interval(drawn.sums(series)[:, 0] / 400)
            covered[length] += low <= 0 <= high
    assert covered[10] >= 85 > 75 > covered[1]
