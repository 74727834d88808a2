"""The config of plug-ins' metrics: the entries of the open mapping `training.metrics`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hybrid_trainer.types import Kind


@dataclass(kw_only=True)
class MetricConfig:
    """What every metric of a plug-in says of itself; it goes without keys."""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of heads that it is computed for."""
        return ()


METRIC_CONFIGS: dict[str, type[MetricConfig]] = {}
"""The metrics of plug-ins, by name."""


def own_metric_names(metrics: Mapping[str, MetricConfig], kind: Kind) -> list[str]:
    """Those of a config's plug-in metrics that a task of a kind has, in the order in which they are shown."""
    return [name for name, entry in metrics.items() if kind in entry.kinds]
