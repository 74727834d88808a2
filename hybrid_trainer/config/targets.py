"""The entries of the open mapping `data.targets`: which builder has which config."""

from __future__ import annotations

from typing import Any

from hybrid_trainer.config.price_targets import (
    BARRIERS,
    REGIME_CLASSES,
    SIGNAL_CLASSES,
    PriceTarget,
    RegimeTarget,
    SignalTarget,
    SlTpTarget,
    TripleBarrierTarget,
    VolatilityTarget,
)
from hybrid_trainer.config.table_targets import ColumnTarget, FutureTarget
from hybrid_trainer.config.target_base import TargetConfig

__all__ = [
    "BARRIERS",
    "REGIME_CLASSES",
    "SIGNAL_CLASSES",
    "TARGETS",
    "ColumnTarget",
    "FutureTarget",
    "PriceTarget",
    "RegimeTarget",
    "SignalTarget",
    "SlTpTarget",
    "TargetConfig",
    "TripleBarrierTarget",
    "VolatilityTarget",
    "builder_of",
]

TARGETS: dict[str, type[TargetConfig]] = {
    "signal": SignalTarget,
    "volatility": VolatilityTarget,
    "regime": RegimeTarget,
    "sl_tp": SlTpTarget,
    "triple_barrier": TripleBarrierTarget,
    "future": FutureTarget,
    "column": ColumnTarget,
}


def builder_of(name: str, entry: dict[str, Any]) -> str:
    """Which builder an entry of data.targets means: the one it names, `column` for a column, else its own name."""
    return str(entry.get("builder") or ("column" if entry.get("column") else name))
