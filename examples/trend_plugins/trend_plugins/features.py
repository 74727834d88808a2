"""Features: functions of the last `lookback` rows."""

import numpy as np

from hybrid_trainer.extend import Bars, Values, feature, lagged, rolling_mean


@feature("body_5", lookback=5)
def body(bars: Bars) -> Values:
    """Mean log move from open to close over five rows."""
    return rolling_mean(np.log(bars.close / bars.open), 5)


@feature("acceleration", lookback=3)
def acceleration(bars: Bars) -> Values:
    """The last log return less the one before."""
    log = np.log(bars.close)
    return log - 2 * lagged(log, 1) + lagged(log, 2)
