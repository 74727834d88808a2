"""What every target's config says, and the checks that several of them share."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_trainer.config.keys import check_range, key
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.types import Kind

QUANTILES = "predict these quantiles in place of the number: increasing, 0.5 among them, such as [0.1, 0.5, 0.9]"


@dataclass(kw_only=True)
class TargetConfig:
    """What every target says; a row's label interval is (t, t + horizon] in bars of its instrument."""

    builder: str = key(
        "", "which builder makes the labels: signal | volatility | regime | sl_tp | triple_barrier | future | column"
    )
    horizon: int = key(5, "how many bars after the decision row the label reaches")

    def __post_init__(self) -> None:
        check_range("horizon", self.horizon, low=1)

    @property
    def head_kind(self) -> Kind:
        """What the head of this target tells."""
        return "regression"

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The classes' names; none for numbers, None where only the table knows them."""
        return ()

    @property
    def log_volatility(self) -> bool:
        """Whether the number is the log of a volatility."""
        return False

    @property
    def rows_behind(self) -> int:
        """How many rows before the decision row a label reads, for its unit."""
        return 0

    @property
    def number_columns(self) -> list[str]:
        """The table's columns that are read as numbers for this target."""
        return []

    @property
    def label_columns(self) -> list[str]:
        """The table's columns that are read as classes for this target."""
        return []

    @property
    def needs_prices(self) -> bool:
        """Whether the labels are made from prices, and not from columns that the target names."""
        return not (self.number_columns or self.label_columns)


def check_probabilities(name: str, given: list[float], count: int | None) -> None:
    """Raise ConfigError unless they are increasing numbers between 0 and 1, as many as `count` where it is given."""
    increasing = all(a < b for a, b in zip([0.0, *given], [*given, 1.0], strict=True))
    if not increasing or (count is not None and len(given) != count):
        many = "" if count is None else f"{count} "
        raise ConfigError(f"{name}: {given} must be {many}increasing numbers between 0 and 1")


def check_quantiles(given: list[float] | None) -> None:
    """Raise ConfigError unless they are quantiles that a head can tell; None is none."""
    if given is None:
        return
    check_probabilities("quantiles", given, None)
    if 0.5 not in given or len(given) < 2:
        raise ConfigError(f"quantiles: {given} must be two or more, 0.5 among them")
