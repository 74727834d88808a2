"""The probe learns from other stretches of time than it judges by."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.leaks.probe import _stretches
from tests.data.tables import FEW_EXAMPLES


@FEW_EXAMPLES
@given(times=st.integers(40, 300), horizon=st.integers(1, 30), seed=st.integers(0, 2**31))
def test_no_label_reaches_from_what_is_learned_into_what_is_judged_or_back(times: int, horizon: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    clock = np.sort(generator.choice(times, size=2 * times))  # two instruments, with the same time now and then
    data: Any = SimpleNamespace(panel=SimpleNamespace(timestamps=clock))
    rows = np.arange(len(clock))
    fit, judge = _stretches(data, rows, horizon)
    calendar, place = np.unique(clock, return_inverse=True)
    length = max(len(calendar) // 20, 1)
    for some, others in ((fit, judge), (judge, fit)):
        assert (len(some) > 0) == (horizon < length)
        for row in some.tolist():
            reached = np.arange(place[row], place[row] + horizon + 1)
            assert not np.isin(place[others], reached).any()
