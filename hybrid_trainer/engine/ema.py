"""The exponential moving average of a model's weights (Polyak and Juditsky, 1992), kept on the device."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn


class Ema:
    """A second model whose weights follow the first: after each step `average += (1 - decay) * (weight - average)`.

    It begins at the first model's weights. Buffers of real numbers are averaged as well; others are copied.

    Args:
        model: the one that learns, on its device. decay: the share of the average that a step keeps.

    Attributes:
        model: the averaged one; its memory stays the same.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        for module in self.model.modules():
            if isinstance(module, nn.RNNBase):
                module.flatten_parameters()  # cuDNN wants its weights in one piece, which a copy doesn't keep
        self._rest = 1.0 - decay
        ours, theirs = _tensors(self.model), _tensors(model)
        self._averages = [value for value in ours if value.is_floating_point()]
        self._weights = [value for value in theirs if value.is_floating_point()]
        self._copies = [pair for pair in zip(ours, theirs, strict=True) if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, skipped: Tensor) -> None:
        """Follow a step, unless the scalar float32 `skipped` is 1; waits for nothing."""
        change = torch._foreach_sub(self._weights, self._averages)
        torch._foreach_mul_(change, (1.0 - skipped) * self._rest)
        torch._foreach_add_(self._averages, change)
        for ours, theirs in self._copies:
            ours.copy_(theirs)

    def state_dict(self) -> dict[str, Any]:
        """The averaged model's."""
        return self.model.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state."""
        self.model.load_state_dict(state)


def _tensors(model: nn.Module) -> list[Tensor]:
    return [value.detach() for value in (*model.parameters(), *model.buffers())]
