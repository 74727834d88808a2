"""A target: what is to be predicted, made from the rows (t, t + horizon]."""

from dataclasses import dataclass

import numpy as np

from hybrid_trainer.extend import (
    Bars,
    PriceTarget,
    Table,
    Target,
    TargetSpec,
    Values,
    future_extreme,
    key,
    per_row,
    target,
)


@dataclass(kw_only=True)
class DrawdownTarget(PriceTarget):
    """How far the price falls under today's close within the horizon, as a log return: 0 or less."""

    horizon: int = key(10, "how many bars after the decision row the label reaches")
    from_lows: bool = key(True, "look at the lows; else at the closes")


@target("drawdown", DrawdownTarget)
def drawdown(name: str, table: Table, config: DrawdownTarget) -> Target:
    """One number per row, NaN where the horizon reaches past the end."""

    def fall(bars: Bars) -> Values:
        prices = bars.low if config.from_lows else bars.close
        lowest = future_extreme(prices, config.horizon, np.minimum)
        return np.minimum(np.log(lowest / bars.close), 0.0)

    spec = TargetSpec(name=name, kind="regression", dim=1, horizon=config.horizon, labels=("drawdown",))
    return Target(spec=spec, values=per_row(table, fall, behind=0, ahead=config.horizon)[:, None])
