"""Segments: what a window may lie in, and what is said of those too short for one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.data.segments import find_segments, segments_report
from tests.data.tables import SOME_EXAMPLES

ROWS = st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.booleans()), max_size=40).map(
    lambda rows: sorted(rows, key=lambda row: row[0])
)


@SOME_EXAMPLES
@given(rows=ROWS)
def test_segments_end_at_an_instrument_a_gap_and_an_unusable_row_and_nowhere_else(
    rows: list[tuple[int, bool, bool]],
) -> None:
    expected: list[list[int]] = []
    for index, (instrument, usable, gap) in enumerate(rows):
        if not usable:
            continue
        if expected and expected[-1][1] == index and rows[index - 1][0] == instrument and not gap:
            expected[-1][1] = index + 1
        else:
            expected.append([index, index + 1])
    instrument, usable, gap = (np.array([row[column] for row in rows]) for column in range(3))
    found = find_segments(usable.astype(bool), instrument, np.flatnonzero(gap).astype(np.int64))
    assert found.tolist() == expected


def test_nothing_has_no_segments() -> None:
    assert find_segments(np.empty(0, dtype=bool), np.empty(0, dtype=np.int64)).shape == (0, 2)


def test_short_segments_are_counted_with_their_rows() -> None:
    # Three stretches: one with two segments of which one is long enough, one with none, one that is one short segment.
    segments = np.array([[2, 5], [6, 12], [30, 34]])
    assert segments_report(segments, [(0, 12), (12, 30), (30, 34)], time_window=5, gaps=2) == {
        "gaps": 2,
        "count": 3,
        "too_short": 2,
        "rows_lost": 7,
        "stretches": 3,
        "stretches_without_a_window": 2,
    }
    assert segments_report(np.empty((0, 2), dtype=np.int64), [(0, 3)], time_window=2, gaps=0)["count"] == 0
