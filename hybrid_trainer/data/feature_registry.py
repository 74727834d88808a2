"""How a feature is declared: a name, the rows and columns that it reads, a function. Imports no torch."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hybrid_trainer.data.bars import Bars
from hybrid_trainer.data.kernels import Values
from hybrid_trainer.errors import ConfigError, UserError
from hybrid_trainer.registry import Registry

PRICES = ("open", "high", "low", "close")
TIME = "@time"  # what a feature reads beside the table's columns: seconds since 1970 UTC

Compute = Callable[[Bars], Values]


@dataclass(frozen=True)
class Feature:
    """A named indicator.

    Attributes:
        lookback: how many rows a value reads, its own row included; the rows before the first full one are NaN.
        compute: (n,) float64 from the bars of n rows, a function of the last `lookback` rows at each.
        reads: the columns that it reads: prices by what they are (`close`), any other by its name in the table, and
            the time of the row as `TIME`.
        market: whose means over all instruments at one time it reads as well, as columns of these names; see `market`.
    """

    name: str
    lookback: int
    compute: Compute
    reads: tuple[str, ...] = PRICES
    market: tuple[Feature, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The names under which `compute` looks for values."""
        return (*self.reads, *(each.name for each in self.market))

    @property
    def needs_volume(self) -> bool:
        """Whether it is left out of a set where the table has no volume."""
        return "volume" in self.reads

    @property
    def is_own_code(self) -> bool:
        """Whether its function is the user's own, and not built in or parsed from an expression."""
        return not self.compute.__module__.startswith("hybrid_trainer.")

    def values(self, bars: Bars, rows: int) -> Values:
        """(rows,) float64, what `compute` returns for as many bars.

        Raises:
            ConfigError: the user's own function fails, or doesn't return a number per row; the text says where.
        """
        try:
            values = np.asarray(self.compute(bars), dtype=np.float64)
        except UserError:
            raise
        except Exception as error:
            if not self.is_own_code:
                raise
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise ConfigError(f"feature '{self.name}': {said} ({self._place(error)})") from error
        if values.shape != (rows,):
            raise ConfigError(f"feature '{self.name}': returned the shape {values.shape} for {rows} rows")
        return values

    def _place(self, error: Exception) -> str:
        """file:line of the user's module where the function failed; the module where what it returned is at fault."""
        frames = traceback.extract_tb(error.__traceback__)[1:]  # the first one is `values`
        if not frames:
            return f"returned by {self.compute.__module__}"
        last = [frame for frame in frames if frame.filename == frames[0].filename][-1]
        return f"{last.filename}:{last.lineno}"


FEATURES: Registry[Feature] = Registry("feature")
CORE: dict[str, Feature] = {}
TECHNICAL: dict[str, Feature] = {}
SETS = {"core": CORE, "technical": TECHNICAL}


def feature(
    name: str, lookback: int, *, reads: tuple[str, ...] = PRICES, member_of: str | None = None
) -> Callable[[Compute], Compute]:
    """Return a decorator that makes a function a feature, known by its name in `data.extra_features`.

    Args:
        lookback: the rows that a value reads, its own included; it must be a function of these alone.
        reads: the columns that it reads. member_of: the built-in set that it belongs to.

    Raises:
        ValueError: the name is taken, or the lookback isn't a number of rows.
    """
    if lookback < 1:
        raise ValueError(f"feature '{name}': the lookback {lookback} must be at least 1, the row itself")

    def enter(compute: Compute) -> Compute:
        entry = FEATURES.register(name)(Feature(name, lookback, compute, reads))
        if member_of is not None:
            SETS[member_of][name] = entry
        return compute

    return enter
