"""Where in the day and in the week a row stands, as points on a circle; in no set. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hybrid_trainer.data.bars import Bars
from hybrid_trainer.data.feature_registry import TIME, feature
from hybrid_trainer.data.kernels import Values

_DAY = 86_400
_WEEK = 7 * _DAY
_MONDAY = 4 * _DAY  # 1970-01-05 was one


def _enter(name: str, period: int, begin: int, wave: Callable[[Values], Values]) -> None:
    """Enter sin or cos of how much of a period of so many seconds has gone by (UTC)."""

    def turned(bars: Bars) -> Values:
        return wave(2 * np.pi * (((bars[TIME] - begin) % period) / period))

    feature(name, 1, reads=(TIME,))(turned)


_enter("time_of_day_sin", _DAY, 0, np.sin)
_enter("time_of_day_cos", _DAY, 0, np.cos)
_enter("time_of_week_sin", _WEEK, _MONDAY, np.sin)
_enter("time_of_week_cos", _WEEK, _MONDAY, np.cos)
