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


def test_a_coarser_instrument_goes_on_at_its_own_step() -> None:
    days, weeks = list(range(40)), [0, 7, 14, 21]
    timestamps = np.array([*days, *weeks])
    found = LabelEnds.of(timestamps, [(0, 40), (40, 44)], np.arange(40), 2)
    # two weeks behind day 21 lies day 35; on the calendar of all it would be day 23
    assert found[np.array([41, 42, 43])].tolist() == [21, 28, 35]
    assert found[np.array([37, 38])].tolist() == [39, NEVER]


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
        step = float(np.median(np.diff(part))) if len(part) > 1 else 0.0
        behind = [time for time in calendar.tolist() if time > part[-1]]
        behind = [max(time, part[-1] + int(bar * step)) for bar, time in enumerate(behind, start=1)]
        ahead = part + behind + [NEVER] * horizon
        for row in range(len(part)):
            assert found[np.array([start + row])].tolist() == [ahead[row + horizon]]
