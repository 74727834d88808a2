"""From a head's raw output to scaled numbers, and from scaled numbers to the target's own units.

The loss, the metrics and the saved model all go through these functions, so that there is one meaning of an output.
Shape legend: B batch, D output of a head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hybrid_trainer.types import TargetSpec

_LOG_FLOOR = -13.815510557964274  # log of 1e-6, in scaled units: a standard deviation is never below 1e-3


def to_scaled(raw: Tensor, spec: TargetSpec) -> Tensor:
    """Raw outputs (B, D) of numbers -> scaled units; positive with a softplus link, in order with an outwards link.

    Of a head that tells a standard deviation as well, (B, 2D), these are the means.
    """
    if spec.spread:
        raw = raw[:, : spec.dim]
    if spec.link == "outwards":
        return _outwards(raw, spec.quantiles.index(0.5))
    return F.softplus(raw) if spec.link == "softplus" else raw


def _outwards(raw: Tensor, median: int) -> Tensor:
    """Raw (B, D) -> (B, D) that never fall: `raw[:, median]`, and from there a positive step per quantile."""
    steps = F.softplus(raw)
    # Added one by one: sums that are made in one order cannot cross by a rounding, and cumsum does not repeat on a GPU.
    levels = [raw[:, median]]
    for column in range(median + 1, raw.shape[1]):
        levels.append(levels[-1] + steps[:, column])
    for column in range(median - 1, -1, -1):
        levels.insert(0, levels[0] - steps[:, column])
    return torch.stack(levels, dim=1)


def pinball(predicted: Tensor, label: Tensor, quantiles: Sequence[float]) -> Tensor:
    """(B, Q) quantiles, (B, 1) labels, Q probabilities -> (B,) pinball loss (Koenker and Bassett, 1978), their mean."""
    error = label - predicted  # (B, Q)
    losses = [torch.maximum(q * error[:, i], (q - 1) * error[:, i]) for i, q in enumerate(quantiles)]
    return torch.stack(losses).mean(dim=0)  # (Q, B) -> (B,)


def log_variance(raw: Tensor, spec: TargetSpec) -> Tensor:
    """Raw (B, 2D) outputs of a head that tells its spread -> (B, D) logs of the variance in scaled units.

    The variance is exp(raw) + 1e-6: labels that can be told exactly would drive a bare logarithm to minus infinity.
    """
    return F.softplus(raw[:, spec.dim :] - _LOG_FLOOR) + _LOG_FLOOR


def to_units(scaled: Tensor, spec: TargetSpec) -> Tensor:
    """Scaled (B, D) numbers -> the target's own units."""
    scale = torch.tensor(spec.scale, dtype=scaled.dtype, device=scaled.device)
    shift = torch.tensor(spec.shift, dtype=scaled.dtype, device=scaled.device)
    return scaled * scale + shift


def to_prediction(raw: Tensor, spec: TargetSpec) -> Tensor:
    """Raw (B, D) outputs -> what a user gets: class probabilities, or numbers in the target's own units."""
    if spec.kind == "classification":
        return raw.float().softmax(dim=-1)
    return to_units(to_scaled(raw.float(), spec), spec)


def to_predictions(outputs: Mapping[str, Tensor], specs: Sequence[TargetSpec]) -> dict[str, Tensor]:
    """Raw outputs of each task -> what a user gets, (B, D) under each output's name, standard deviations among them."""
    found: dict[str, Tensor] = {}
    for spec in specs:
        found[spec.output_name] = to_prediction(outputs[spec.name], spec)
        if spec.spread:
            deviation = torch.exp(0.5 * log_variance(outputs[spec.name].float(), spec))
            found[spec.spread_name] = deviation * torch.tensor(spec.scale, device=deviation.device)
    return found
