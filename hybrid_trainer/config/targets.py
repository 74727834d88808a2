"""The config of each target builder: the entries of the open mapping `data.targets`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybrid_trainer.config.keys import check_choice, check_range, key
from hybrid_trainer.errors import ConfigError


@dataclass(kw_only=True)
class TargetConfig:
    """What every target says; a row's label interval is (t, t + horizon] in bars of its instrument."""

    builder: str = key("", "which builder makes the labels: signal | volatility | regime | sl_tp | column")
    horizon: int = key(5, "how many bars after the decision row the label reaches")

    def __post_init__(self) -> None:
        check_range("horizon", self.horizon, low=1)


@dataclass(kw_only=True)
class SignalTarget(TargetConfig):
    """Classes of the log return over the horizon, divided by its expected standard deviation at t."""

    builder: str = key("signal", "which builder makes the labels")
    classes: int = key(3, "3 (down, flat, up) or 5 (strong_down, down, flat, up, strong_up)")
    thresholds: list[float] | None = key(
        None, "class borders in standard deviations, symmetric around zero; [0.5] for 3 classes, [0.4, 1.2] for 5"
    )
    lookback: int = key(20, "bars of past returns from which the standard deviation at t is taken")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.classes not in (3, 5):
            raise ConfigError(f"classes: {self.classes} must be 3 or 5")
        check_range("lookback", self.lookback, low=2)
        if self.thresholds is None:
            self.thresholds = [0.5] if self.classes == 3 else [0.4, 1.2]
        want = (self.classes - 1) // 2
        increasing = all(a < b for a, b in zip([0.0, *self.thresholds], self.thresholds, strict=False))
        if len(self.thresholds) != want or not increasing:
            raise ConfigError(f"thresholds: {self.thresholds} must be {want} positive, increasing number(s)")


@dataclass(kw_only=True)
class VolatilityTarget(TargetConfig):
    """Log of the realised volatility: log sqrt(sum of squared log returns over the horizon)."""

    builder: str = key("volatility", "which builder makes the labels")


@dataclass(kw_only=True)
class RegimeTarget(TargetConfig):
    """Bear, range or bull: the signed efficiency ratio (net move / path length) of the horizon."""

    builder: str = key("regime", "which builder makes the labels")
    horizon: int = key(20, "how many bars after the decision row the label reaches")
    threshold: float = key(0.2, "an efficiency ratio beyond plus or minus this is a trend")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("threshold", self.threshold, above=0, high=1)


@dataclass(kw_only=True)
class SlTpTarget(TargetConfig):
    """Largest adverse and favourable excursion from the close over the horizon, in ATR multiples."""

    builder: str = key("sl_tp", "which builder makes the labels")
    horizon: int = key(10, "how many bars after the decision row the label reaches")
    atr_window: int = key(14, "bars of the average true range at t, the unit of both excursions")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("atr_window", self.atr_window, low=1)


@dataclass(kw_only=True)
class ColumnTarget(TargetConfig):
    """A column of the user's table that holds the label of its row; an empty cell means: no label."""

    builder: str = key("column", "which builder makes the labels")
    horizon: int = key(1, "how many bars after the decision row the label reaches")
    column: str = key("", "the column with the labels")
    kind: str = key("", "classification or regression")
    allow_contemporaneous: bool = key(False, "accept a label column that is an input feature as well")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.column:
            raise ConfigError("column: name the column that holds the labels")
        if not self.kind:
            raise ConfigError("kind: say classification or regression")
        check_choice("kind", self.kind, ["classification", "regression"])


TARGETS: dict[str, type[TargetConfig]] = {
    "signal": SignalTarget,
    "volatility": VolatilityTarget,
    "regime": RegimeTarget,
    "sl_tp": SlTpTarget,
    "column": ColumnTarget,
}


def builder_of(name: str, entry: dict[str, Any]) -> str:
    """Which builder an entry of data.targets means: the one it names, `column` for a column, else its own name."""
    return str(entry.get("builder") or ("column" if entry.get("column") else name))
