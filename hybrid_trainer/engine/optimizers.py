"""Optimizers by name, fused; weight decay spares biases and norms."""

from __future__ import annotations

import torch
from torch import nn


def make_optimizer(
    name: str, model: nn.Module, *, learning_rate: float, weight_decay: float, momentum: float
) -> torch.optim.Optimizer:
    """Make adamw (Loshchilov and Hutter, 2019), adam (Kingma and Ba, 2015) or sgd with Nesterov momentum."""
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.requires_grad and p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=learning_rate, fused=True)
    if name == "adam":
        return torch.optim.Adam(groups, lr=learning_rate, fused=True)
    return torch.optim.SGD(groups, lr=learning_rate, momentum=momentum, nesterov=momentum > 0, fused=True)
