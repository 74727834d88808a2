"""Metrics of plug-ins: functions of all labelled rows of a part, computed for valid and test beside the built-in ones.

Shape legend: R rows, n of them with a label, D output of a head, C classes, Q quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybrid_trainer.config.metrics import MetricConfig
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.links import to_scaled, to_units
from hybrid_trainer.plugins import own_code
from hybrid_trainer.registry import Registry
from hybrid_trainer.types import Kind, TargetSpec

MetricFunction = Callable[..., float]
OWN: Registry[MetricFunction] = Registry("metric")


@dataclass(frozen=True)
class OwnMetric:
    """A plug-in's function with its options, for heads of some kinds.

    It is called as `function(predicted, label, spec, **options)`, with the rows that have a label, in the order of the
    panel: by instrument, then by time. Of classes it is given (n, C) float64 probabilities and (n,) int64 class
    numbers; of numbers and forecasts (n, D) and (n, D) float64 in the target's own units; of quantiles (n, Q), in
    order, and (n, 1).
    """

    name: str
    kinds: tuple[Kind, ...]
    function: MetricFunction
    options: Mapping[str, Any]

    def of(self, spec: TargetSpec, predicted: NDArray[np.float64], label: NDArray[Any]) -> float:
        """The function's number; NaN where it is infinite or there is no row.

        Raises:
            ConfigError: it fails, or gives something else; the text says where.
        """
        if not len(label):
            return math.nan
        what = f"metric '{self.name}' of task '{spec.name}'"
        with own_code(what, self.function):
            found: object = self.function(predicted, label, spec, **self.options)
        if isinstance(found, bool) or not isinstance(found, int | float | np.integer | np.floating):
            raise ConfigError(f"{what}: it gave a {type(found).__name__}, and not one number (a float)")
        return float(found) if math.isfinite(found) else math.nan


def make_own_metrics(configs: Mapping[str, MetricConfig]) -> list[OwnMetric]:
    """The metrics that `training.metrics` names."""
    return [
        OwnMetric(name, config.kinds, OWN.get(name, "training.metrics"), asdict(config))
        for name, config in configs.items()
    ]


def own_metrics(
    metrics: Sequence[OwnMetric], spec: TargetSpec, raw: Tensor, target: Tensor, mask: Tensor
) -> dict[str, float]:
    """What they say of a part's rows; rows without a label change nothing, and outputs that are not finite give NaN.

    Args:
        raw: (R, D) raw outputs. target: (R,) classes or (R, D) scaled labels. mask: (R,), 1 where there is a label.
    """
    chosen = [metric for metric in metrics if spec.kind in metric.kinds]
    if not chosen:
        return {}
    known = (mask > 0).nonzero().squeeze(1)
    raw, target = raw[known].double(), target[known]
    if not bool(raw.isfinite().all()):
        return dict.fromkeys((metric.name for metric in chosen), math.nan)
    if spec.kind == "classification":
        predicted, label = raw.softmax(dim=1), target.long()  # (n, C), (n,)
    else:
        predicted, label = to_units(to_scaled(raw, spec), spec), to_units(target.double(), spec)
    # Each is given arrays of its own: one that sorts them in place changes no other's.
    return {metric.name: metric.of(spec, _array(predicted), _array(label)) for metric in chosen}


def _array(values: Tensor) -> NDArray[Any]:
    return np.array(values.cpu().numpy())


def try_own_metrics(metrics: Sequence[OwnMetric], spec: TargetSpec, label: Tensor) -> None:
    """Ask each for a number once, with outputs drawn at random: what fails is told before anything is trained.

    Args:
        label: (n,) classes or (n, D) scaled labels.

    Raises:
        ConfigError: one fails, or gives something else; the text says where.
    """
    raw = torch.randn(len(label), spec.outputs, generator=torch.Generator().manual_seed(0))
    own_metrics(metrics, spec, raw, label.cpu(), torch.ones(len(label)))
