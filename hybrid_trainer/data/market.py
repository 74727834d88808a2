"""What all instruments do at one time: means over them, made before the features that read them. Imports no torch.

Shape legend: N rows of a table, C times of the calendar that all instruments share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.data.calendar import Blocks, Times, common_calendar, positions
from hybrid_trainer.data.feature_registry import Feature
from hybrid_trainer.data.features import compute_features
from hybrid_trainer.data.kernels import Values
from hybrid_trainer.data.room import Room


def market_means(
    selected: Sequence[Feature], columns: Mapping[str, Values], timestamps: Times, blocks: Blocks, room: Room
) -> dict[str, Values]:
    """The (N,) columns that features with `.market_mean()` read beside the table's own, by name.

    A mean is over the instruments that have a row at that time with a number in it; a row whose lookback isn't full has
    none. It is added up in the order of the instruments: the same rows give the same bits wherever a table ends.

    Args:
        selected: the features. columns: what they read, (N,) each, sorted by instrument, then time.
        timestamps: (N,). blocks: [start, stop) rows of each instrument, without a gap. room: where the columns go.
    """
    wanted = {each.name: each for entry in selected for each in entry.market}  # what one reads of others comes first
    made: dict[str, Values] = {}
    calendar = common_calendar(timestamps, blocks) if wanted else timestamps
    for name, entry in wanted.items():
        values = room.empty((len(timestamps), 1), np.float32)
        compute_features({**columns, **made}, blocks, [entry], values)
        made[name] = _means(values[:, 0], timestamps, blocks, calendar, room)
    return made


def _means(values: NDArray[np.float32], timestamps: Times, blocks: Blocks, calendar: Times, room: Room) -> Values:
    """(N,) the mean of the (N,) values of all blocks at the time of each row; NaN where none has a number."""
    total, count = np.zeros(len(calendar)), np.zeros(len(calendar))
    for start, stop in blocks:
        place = positions(calendar, timestamps[start:stop])  # each time once, so that += reaches each row
        there = np.isfinite(values[start:stop])
        total[place[there]] += values[start:stop][there]
        count[place[there]] += 1
    with np.errstate(invalid="ignore"):
        mean = total / count  # (C,)
    out: Values = room.empty((len(timestamps),), np.float64)
    for start, stop in blocks:
        out[start:stop] = mean[positions(calendar, timestamps[start:stop])]
    return out
