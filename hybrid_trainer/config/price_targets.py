"""The config of the targets that are made from prices."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_trainer.config.keys import check_range, key
from hybrid_trainer.config.target_base import QUANTILES, TargetConfig, check_probabilities, check_quantiles
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.types import Kind

_HORIZONS = "several horizons in place of horizon: the target becomes one per horizon, NAME_1, NAME_5, ..."
SIGNAL_CLASSES = {3: ("down", "flat", "up"), 5: ("strong_down", "down", "flat", "up", "strong_up")}
REGIME_CLASSES = ("bear", "range", "bull")
BARRIERS = ("stop_loss", "time_out", "take_profit")


@dataclass(kw_only=True)
class PriceTarget(TargetConfig):
    """A target made from prices."""

    horizons: list[int] | None = key(None, _HORIZONS)  # spread over several entries before this class is made

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.horizons is not None:
            raise ConfigError(
                f"horizons: {self.horizons} is for an entry of data.targets, which it spreads over several"
            )


@dataclass(kw_only=True)
class SignalTarget(PriceTarget):
    """Classes of the log return over the horizon, divided by its expected standard deviation at t."""

    builder: str = key("signal", "which builder makes the labels")
    classes: int = key(3, "3 (down, flat, up) or 5 (strong_down, down, flat, up, strong_up)")
    thresholds: list[float] | None = key(
        None, "class borders in standard deviations, symmetric around zero; [0.5] for 3 classes, [0.4, 1.2] for 5"
    )
    threshold_quantiles: list[float] | None = key(
        None, "class borders as quantiles of the training rows, in place of thresholds: [0.33, 0.67] for 3 classes"
    )
    lookback: int = key(20, "bars of past returns from which the standard deviation at t is taken")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.classes not in (3, 5):
            raise ConfigError(f"classes: {self.classes} must be 3 or 5")
        check_range("lookback", self.lookback, low=2)
        if self.threshold_quantiles is not None:
            if self.thresholds is not None:
                raise ConfigError("thresholds: give either thresholds or threshold_quantiles")
            check_probabilities("threshold_quantiles", self.threshold_quantiles, self.classes - 1)
            return
        if self.thresholds is None:
            self.thresholds = [0.5] if self.classes == 3 else [0.4, 1.2]
        want = (self.classes - 1) // 2
        increasing = all(a < b for a, b in zip([0.0, *self.thresholds], self.thresholds, strict=False))
        if len(self.thresholds) != want or not increasing:
            raise ConfigError(f"thresholds: {self.thresholds} must be {want} positive, increasing number(s)")

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """From down to up."""
        return SIGNAL_CLASSES[self.classes]

    @property
    def head_kind(self) -> Kind:
        """Classes."""
        return "classification"

    @property
    def rows_behind(self) -> int:
        """The returns of the standard deviation."""
        return self.lookback


@dataclass(kw_only=True)
class VolatilityTarget(PriceTarget):
    """Log of the realised volatility: log sqrt(sum of squared log returns over the horizon)."""

    builder: str = key("volatility", "which builder makes the labels")
    quantiles: list[float] | None = key(None, QUANTILES)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_quantiles(self.quantiles)

    @property
    def log_volatility(self) -> bool:
        """It is."""
        return True

    @property
    def head_kind(self) -> Kind:
        """A number, or its quantiles."""
        return "quantile" if self.quantiles else "regression"


@dataclass(kw_only=True)
class RegimeTarget(PriceTarget):
    """Bear, range or bull: the signed efficiency ratio (net move / path length) of the horizon."""

    builder: str = key("regime", "which builder makes the labels")
    horizon: int = key(20, "how many bars after the decision row the label reaches")
    threshold: float = key(0.2, "an efficiency ratio beyond plus or minus this is a trend")
    threshold_quantiles: list[float] | None = key(
        None, "class borders as quantiles of the training rows, in place of threshold: [0.33, 0.67]"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("threshold", self.threshold, above=0, high=1)
        if self.threshold_quantiles is not None:
            check_probabilities("threshold_quantiles", self.threshold_quantiles, 2)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Of the three regimes."""
        return REGIME_CLASSES

    @property
    def head_kind(self) -> Kind:
        """Classes."""
        return "classification"


@dataclass(kw_only=True)
class SlTpTarget(PriceTarget):
    """Largest adverse and favourable excursion from the close over the horizon, in ATR multiples."""

    builder: str = key("sl_tp", "which builder makes the labels")
    horizon: int = key(10, "how many bars after the decision row the label reaches")
    atr_window: int = key(14, "bars of the average true range at t, the unit of both excursions")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("atr_window", self.atr_window, low=1)

    @property
    def rows_behind(self) -> int:
        """The bars of the average true range, and the close before them."""
        return self.atr_window


@dataclass(kw_only=True)
class TripleBarrierTarget(PriceTarget):
    """Which of three barriers is touched first: stop_loss, time_out or take_profit (Lopez de Prado, 2018, ch. 3)."""

    builder: str = key("triple_barrier", "which builder makes the labels")
    horizon: int = key(10, "bars after which the position is closed: time_out")
    take_profit: float = key(2.0, "the upper barrier above the close, in standard deviations of one bar's log return")
    stop_loss: float = key(2.0, "the lower barrier below the close, in the same unit")
    lookback: int = key(20, "bars of past returns from which the standard deviation at t is taken")
    uniqueness_weights: bool = key(
        False, "weigh a row in the loss by how little its label shares its bars with other labels"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("take_profit", self.take_profit, above=0)
        check_range("stop_loss", self.stop_loss, above=0)
        check_range("lookback", self.lookback, low=2)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Of the three barriers."""
        return BARRIERS

    @property
    def head_kind(self) -> Kind:
        """Classes."""
        return "classification"

    @property
    def rows_behind(self) -> int:
        """The returns of the standard deviation."""
        return self.lookback
