"""When each row's label interval (t, t + horizon] ends. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hybrid_trainer.data.calendar import NEVER, Blocks, Times

_RECENT = 1024  # rows that a usual step is taken from
_FARTHEST = 2**62


def own_bars(times: Times, count: int) -> Times:
    """(count,) int64: the times at which an instrument's next bars would come, at its usual (median) step."""
    recent = times[-_RECENT:]
    step = float(np.median(np.diff(recent))) if len(recent) > 1 else 0.0
    reach = np.minimum(np.arange(1, count + 1) * step, float(min(_FARTHEST, NEVER - int(times[-1]))))
    later: Times = np.minimum(reach.astype(np.int64), NEVER - int(times[-1])) + int(times[-1])
    return later


class Ends(Protocol):
    """The time at which the label interval of each of some rows ends, (R,) int64; an array of all rows will do."""

    def __getitem__(self, rows: Times, /) -> Times: ...


@dataclass(frozen=True)
class LabelEnds:
    """The ends, looked up row by row: of a table of any size nothing is made but what is asked for.

    Behind an instrument's last row, where a label column may still say something of later times, the interval goes on
    along the calendar of all instruments, a bar of which lasts no less than the instrument's own usual step: weekly
    bars beside daily ones speak of weeks. Behind the calendar's end it is unbounded. A gap does not shorten it: a label
    column may speak of the rows behind the gap.

    Attributes:
        timestamps: (N,), ascending within each instrument. horizon: in bars.
        starts, stops: (I,) row range of each instrument. behind: (I, W) the times that follow its last row, where W is
            the horizon or, if that is less, the length of the calendar.
    """

    timestamps: Times
    horizon: int
    starts: Times
    stops: Times
    behind: Times

    @classmethod
    def of(cls, timestamps: Times, blocks: Blocks, calendar: Times, horizon: int) -> LabelEnds:
        """The ends for labels of `horizon` bars; an empty calendar stands for sequences that share none."""
        borders = np.array(blocks, dtype=np.int64).reshape(-1, 2)
        behind = np.full((len(blocks), min(horizon, len(calendar))), NEVER)
        for line, (start, stop) in zip(behind, blocks, strict=True):
            if len(calendar) and stop > start:
                last = int(np.searchsorted(calendar, timestamps[stop - 1], side="right"))
                line[: len(calendar) - last] = calendar[last : last + len(line)]
                np.maximum(line, own_bars(timestamps[start:stop], len(line)), out=line)
        return cls(timestamps, horizon, borders[:, 0], borders[:, 1], behind)

    def __getitem__(self, rows: Times) -> Times:
        """(R,) int64: the time at which each row's interval ends."""
        whose = np.searchsorted(self.starts, rows, side="right") - 1
        ahead = rows + self.horizon
        over = ahead - self.stops[whose]  # how far behind its instrument's last row, from 0
        inside = over < 0
        known = ~inside & (over < self.behind.shape[1])
        ends = np.full(len(rows), NEVER, dtype=np.int64)
        ends[inside] = self.timestamps[ahead[inside]]
        ends[known] = self.behind[whose[known], over[known]]
        return ends
