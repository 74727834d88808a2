"""Triple barrier (Lopez de Prado, 2018, ch. 3): stop-loss, time-out or take-profit, whichever comes first.

The barriers stand at close * exp(multiple * sd), sd the standard deviation of one bar's log return at t. Imports no
torch.
"""

from __future__ import annotations

import numpy as np

from hybrid_trainer.config.targets import BARRIERS, TripleBarrierTarget
from hybrid_trainer.data.ahead import future, per_row
from hybrid_trainer.data.features import Bars, Values, root_mean_square_return
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.targets import NO_CLASS, TARGET_BUILDERS, Target
from hybrid_trainer.data.weights import average_uniqueness
from hybrid_trainer.types import TargetSpec


@TARGET_BUILDERS.register("triple_barrier")
def build_triple_barrier(name: str, table: Table, config: TripleBarrierTarget) -> Target:
    """The barrier that the bars (t, t + horizon] touch first, by their highs and lows; none of them: time_out.

    A bar that touches both is a stop-loss: which came first isn't known, and the worse is assumed. A row has a label
    only where all bars of the horizon are there, also when the first of them decides: else the last rows of an
    instrument would have no time-outs. The label interval that purging counts with is the whole horizon.
    """
    signed = per_row(table, lambda bars: first_touch(bars, config), behind=config.rows_behind, ahead=config.horizon)
    labelled = np.isfinite(signed)
    held = np.where(labelled, np.minimum(np.abs(signed), config.horizon), 0).astype(np.int64)
    values = np.full(len(table), NO_CLASS, dtype=np.int64)
    values[labelled] = np.where(np.abs(signed) > config.horizon, 1, np.where(signed < 0, 0, 2))[labelled]
    weights = average_uniqueness(held, table.blocks) if config.uniqueness_weights else None
    spec = TargetSpec(name=name, kind="classification", dim=3, horizon=config.horizon, labels=BARRIERS)
    return Target(spec=spec, values=values, weights=weights)


def first_touch(bars: Bars, config: TripleBarrierTarget) -> Values:
    """How many bars after t the first barrier is touched: negative: stop-loss; horizon + 1: none; NaN: no label."""
    deviation = root_mean_square_return(bars.close, config.lookback)
    deviation[deviation == 0] = np.nan  # barriers without any distance
    upper = bars.close * np.exp(config.take_profit * deviation)
    lower = bars.close * np.exp(-config.stop_loss * deviation)
    touched = np.full_like(bars.close, config.horizon + 1.0)
    complete = np.isfinite(deviation)
    for bar in range(config.horizon, 0, -1):  # from the last to the first: what comes first overwrites
        high, low = future(bars.high, bar), future(bars.low, bar)
        complete &= np.isfinite(high) & np.isfinite(low)
        touched[high >= upper] = bar
        touched[low <= lower] = -bar
    touched[~complete] = np.nan
    return touched
