"""From a head's raw output to scaled numbers, and from scaled numbers to the target's own units.

The loss, the metrics and the saved model all go through these functions, so that there is one meaning of an output.
Shape legend: B batch, D output of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from hybrid_trainer.types import TargetSpec


def to_scaled(raw: Tensor, spec: TargetSpec) -> Tensor:
    """Raw (B, D) outputs of a regression head -> numbers in scaled units; positive with a softplus link."""
    return F.softplus(raw) if spec.link == "softplus" else raw


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
