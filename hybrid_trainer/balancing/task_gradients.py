"""The gradient of each task by itself, on weights that the tasks share.

Shape legend: K tasks, P numbers in the weights together.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hybrid_trainer.errors import ConfigError


class TaskGradients:
    """Gradients of several losses on the same weights, side by side.

    Args:
        parameters: the weights. asked_by: the config key that needs them, for the message where there are none.
    """

    def __init__(self, parameters: list[nn.Parameter], asked_by: str) -> None:
        if not parameters:
            raise ConfigError(
                f"{asked_by}: the tasks of this model share no weights on which gradients could be compared"
            )
        self.parameters = parameters

    def rows(self, losses: Tensor) -> Tensor:
        """(K,) losses -> (K, P) float32; nothing is added to any `.grad`, and the graph stays for further passes."""
        rows = []
        for loss in losses.unbind():
            found = torch.autograd.grad(loss, self.parameters, retain_graph=True, materialize_grads=True)
            rows.append(torch.cat([gradient.reshape(-1) for gradient in found]))
        return torch.stack(rows)

    def set(self, gradient: Tensor) -> None:
        """Make (P,) the weights' gradient."""
        pieces = torch.split(gradient, [p.numel() for p in self.parameters])
        for p, piece in zip(self.parameters, pieces, strict=True):
            p.grad = piece.view_as(p)


def head_parameters(model: nn.Module) -> list[nn.Parameter]:
    """What belongs to one task each: the parameters of `model.heads`, where a family has that."""
    heads = getattr(model, "heads", None)
    return [p for p in heads.parameters() if p.requires_grad] if isinstance(heads, nn.Module) else []


def shared_parameters(model: nn.Module) -> list[nn.Parameter]:
    """All others."""
    own = {id(p) for p in head_parameters(model)}
    return [p for p in model.parameters() if p.requires_grad and id(p) not in own]


def last_shared_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Those of the last layer that tasks share, `model.trunk`; all shared ones where a family has none."""
    trunk = getattr(model, "trunk", None)
    found = [p for p in trunk.parameters() if p.requires_grad] if isinstance(trunk, nn.Module) else []
    return found or shared_parameters(model)
