"""From a head's raw output to scaled numbers, and from scaled numbers to the target's own units.

The loss, the metrics and the saved model all go through these functions, so that there is one meaning of an output.
Shape legend: B batch, D output of a head.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hybrid_trainer.types import TargetSpec


def to_scaled(raw: Tensor, spec: TargetSpec) -> Tensor:
    """Raw (B, D) outputs of numbers -> scaled units; positive with a softplus link, in order with an outwards link."""
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
