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
        parameters: the weights.
    """

    def __init__(self, parameters: list[nn.Parameter]) -> None:
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


def shared_parameters(model: nn.Module, asked_by: str = "training.balancing.kind") -> list[nn.Parameter]:
    """All others that learn.

    Args:
        asked_by: the config key that needs them.

    Raises:
        ConfigError: there are none.
    """
    own = {id(p) for p in head_parameters(model)}
    found = [p for p in model.parameters() if p.requires_grad and id(p) not in own]
    if not found:
        frozen = any(not p.requires_grad for p in model.parameters())
        why = " that learn: model.freeze keeps them," if frozen else ""
        raise ConfigError(
            f"{asked_by}: the tasks of this model share no weights{why} on which gradients could be compared"
        )
    return found


def last_shared_parameters(model: nn.Module, asked_by: str = "training.balancing.kind") -> list[nn.Parameter]:
    """Those of the last layer that tasks share, `model.trunk`; all shared ones where a family has none.

    Args:
        asked_by: the config key that needs them.

    Raises:
        ConfigError: there are none that learn.
    """
    trunk = getattr(model, "trunk", None)
    layer = list(trunk.parameters()) if isinstance(trunk, nn.Module) else []
    found = [p for p in layer if p.requires_grad]
    if layer and not found:
        raise ConfigError(
            f"{asked_by}: it compares the tasks' gradients on the last layer that they share, 'trunk', which "
            "model.freeze keeps from learning; take trunk out there, or choose uncertainty or dwa"
        )
    return found or shared_parameters(model, asked_by)
