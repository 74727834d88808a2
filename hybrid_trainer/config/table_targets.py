"""The config of the targets that are columns of the table: their next rows, or labels of the user's own."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_trainer.config.keys import check_choice, check_range, key
from hybrid_trainer.config.target_base import QUANTILES, TargetConfig, check_quantiles
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.types import Kind


@dataclass(kw_only=True)
class FutureTarget(TargetConfig):
    """The next rows of some columns, in one head of steps x columns numbers: a forecast."""

    builder: str = key("future", "which builder makes the labels")
    horizon: int = key(0, "as many as steps; nothing to set")
    columns: list[str] = key([], "the table's columns to forecast, as numbers")
    steps: int = key(1, "how many rows ahead")

    def __post_init__(self) -> None:
        check_range("steps", self.steps, low=1)
        if self.horizon not in (0, self.steps):
            raise ConfigError(
                f"horizon: {self.horizon} cannot be set for a forecast: its horizon is steps={self.steps}"
            )
        self.horizon = self.steps
        super().__post_init__()
        if not self.columns:
            raise ConfigError("columns: name the columns to forecast, such as columns=[load,price]")
        twice = [column for column in self.columns if self.columns.count(column) > 1]
        if twice:
            raise ConfigError(f"columns: '{twice[0]}' is named twice")

    @property
    def head_kind(self) -> Kind:
        """Many numbers, judged in scaled units."""
        return "forecast"

    @property
    def number_columns(self) -> list[str]:
        """The columns to forecast."""
        return self.columns


@dataclass(kw_only=True)
class ColumnTarget(TargetConfig):
    """A column of the user's table that holds the label of its row; an empty cell means: no label."""

    builder: str = key("column", "which builder makes the labels")
    horizon: int = key(1, "how many bars after the decision row the label reaches")
    column: str = key("", "the column with the labels")
    kind: str = key("", "classification or regression")
    quantiles: list[float] | None = key(None, f"{QUANTILES}; for kind=regression")
    allow_contemporaneous: bool = key(False, "accept a label column that is an input feature as well")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.column:
            raise ConfigError("column: name the column that holds the labels")
        if not self.kind:
            raise ConfigError("kind: say classification or regression")
        check_choice("kind", self.kind, ["classification", "regression"])
        check_quantiles(self.quantiles)
        if self.quantiles and self.kind == "classification":
            raise ConfigError("quantiles: classes have none; use kind=regression")

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What stands in the column."""
        return None if self.kind == "classification" else ()

    @property
    def head_kind(self) -> Kind:
        """Classes, a number, or its quantiles."""
        if self.kind == "classification":
            return "classification"
        return "quantile" if self.quantiles else "regression"

    @property
    def number_columns(self) -> list[str]:
        """The label column, where it holds numbers."""
        return [] if self.kind == "classification" else [self.column]

    @property
    def label_columns(self) -> list[str]:
        """The label column, where it holds classes."""
        return [self.column] if self.kind == "classification" else []
