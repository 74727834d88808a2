"""Optimizers by name, fused; weight decay spares biases, norms, embeddings and other learned vectors."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def make_optimizer(
    name: str,
    model: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float,
    momentum: float,
    capturable: bool = False,
) -> torch.optim.Optimizer:
    """Make adamw (Loshchilov and Hutter, 2019), adam (Kingma and Ba, 2015) or sgd with Nesterov momentum.

    Args:
        capturable: a CUDA graph may hold its steps: the learning rate is then a number on the device.
    """
    decayed, spared = decay_groups(model)
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    rate: Any = torch.tensor(learning_rate, device=groups[0]["params"][0].device) if capturable else learning_rate
    if name in ("adamw", "adam"):
        kind = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
        made = kind(groups, lr=rate, fused=True, capturable=capturable)
        made._warned_capturable_if_run_uncaptured = True  # an epoch's last step always is
        return made
    optimizer = torch.optim.SGD(groups, lr=rate, momentum=momentum, nesterov=momentum > 0, fused=True)
    _begin_momentum(optimizer)
    return optimizer


def decay_groups(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """A model's parameters that learn: those that weight decay shrinks, and those that it spares.

    Spared are vectors (biases, norms, what stands in for a missing block), the tables of embeddings, and whatever a
    module names in an attribute `spared`: vectors of places, biases of several channels. A category that few rows have
    would otherwise be forgotten between them.
    """
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for module in model.modules():
        named = getattr(module, "spared", ())
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                spare = parameter.ndim < 2 or isinstance(module, nn.Embedding) or name in named
                (spared if spare else decayed).append(parameter)
    return decayed, spared


def load_moments(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Take over an optimizer's moments and step counts, not its rates and decays."""
    own = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, settings in zip(optimizer.param_groups, own, strict=True):
        group.update(settings)
    _begin_momentum(optimizer)  # where the state is of a run without


def _begin_momentum(optimizer: torch.optim.Optimizer) -> None:
    """torch would make sgd's moments in the first step, of memory that nobody writes to where that step is skipped."""
    for group in optimizer.param_groups:
        for p in group["params"] if group.get("momentum") else ():
            if optimizer.state[p].get("momentum_buffer") is None:
                optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)
