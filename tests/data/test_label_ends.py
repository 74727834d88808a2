"""When a label's interval ends."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.data.calendar import NEVER, common_calendar
from hybrid_trainer.data.label_ends import LabelEnds
from tests.data.tables import SOME_EXAMPLES

TIMES = np.array([10, 20, 25, 70, 10, 15, 90])
BLOCKS = [(0, 4), (4, 7)]


def ends(horizon: int, calendar: list[int]) -> list[int]:
    found: list[int] = LabelEnds.of(TIMES, BLOCKS, np.array(calendar, dtype=np.int64), horizon)[np.arange(7)].tolist()
    return found


def test_a_label_ends_horizon_bars_later_on_its_instruments_own_clock_and_then_on_that_of_all() -> None:
    calendar = [10, 15, 20, 25, 70, 90]
    # behind an instrument's last row on the calendar of all, behind that without an end
    assert ends(2, calendar) == [25, 70, 90, NEVER, 90, NEVER, NEVER]
    assert ends(1, calendar) == [20, 25, 70, 90, 15, 90, NEVER]


def test_sequences_that_share_no_calendar_end_without_an_end() -> None:
    assert ends(2, []) == [25, 70, NEVER, NEVER, 90, NEVER, NEVER]


def test_a_horizon_beyond_any_calendar_takes_no_memory() -> None:
    assert ends(10**12, [10, 15, 20, 25, 70, 90]) == ends(10**12, []) == [NEVER] * 7


@SOME_EXAMPLES
@given(
    parts=st.lists(st.sets(st.integers(0, 40), min_size=1).map(sorted), min_size=1, max_size=4),
    horizon=st.integers(1, 9),
)
def test_any_row_is_looked_up_alone(parts: list[list[int]], horizon: int) -> None:
    edges = np.cumsum([0, *map(len, parts)]).tolist()
    blocks = list(pairwise(edges))
    timestamps = np.array([time for part in parts for time in part])
    calendar = common_calendar(timestamps, blocks)
    found = LabelEnds.of(timestamps, blocks, calendar, horizon)
    for (start, _), part in zip(blocks, parts, strict=True):
        ahead = part + [time for time in calendar.tolist() if time > part[-1]] + [NEVER] * horizon
        for row in range(len(part)):
            assert found[np.array([start + row])].tolist() == [ahead[row + horizon]]
