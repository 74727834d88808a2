"""Descriptions of tasks by kind, for tests of what outputs and labels mean."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_trainer.types import Link, TargetSpec


def classes(count: int) -> TargetSpec:
    """A task that tells classes."""
    labels = tuple(f"c{number}" for number in range(count))
    return TargetSpec(name="signal", kind="classification", dim=count, horizon=1, labels=labels)


def numbers(dim: int, link: Link = "identity", shift: Sequence[float] = (), scale: Sequence[float] = ()) -> TargetSpec:
    """A task that tells numbers, each with a scale of its own where none is given."""
    return TargetSpec(
        name="range",
        kind="regression",
        dim=dim,
        horizon=1,
        labels=tuple(f"n{number}" for number in range(dim)),
        link=link,
        shift=tuple(shift) or tuple(0.5 * number - 1 for number in range(dim)),
        scale=tuple(scale) or tuple(0.25 + number for number in range(dim)),
    )


def quantiles_of(*quantiles: float, name: str = "range", shift: float = -1.0, scale: float = 0.25) -> TargetSpec:
    """A task that tells quantiles of one number."""
    return TargetSpec(
        name=name,
        kind="quantile",
        dim=len(quantiles),
        horizon=1,
        labels=tuple(f"q{quantile:g}" for quantile in quantiles),
        link="outwards",
        shift=(shift,),
        scale=(scale,),
        quantiles=quantiles,
    )
