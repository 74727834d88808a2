"""TCN: causal dilated convolutions in residual blocks (Bai, Kolter and Koltun, 2018).

Shape legend: B batch, T time, F feature, C channel, K rows of a convolution, D output of a head.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hybrid_trainer.models.blocks import convolve
from hybrid_trainer.models.dropout import Dropout
from hybrid_trainer.models.fusion import SharedTrunk, TrunkParameters
from hybrid_trainer.models.registry import MODELS, InputDims


class CausalConvolution(nn.Module):
    """A weight-normalised convolution (Salimans and Kingma, 2016) of each row and rows before it; zeros stand before
    the window.

    Args:
        in_channels, out_channels: C before and behind. kernel_size: K.
        dilation: rows from one that it sees to the next.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        bound = 1 / math.sqrt(in_channels * kernel_size)  # as nn.Conv1d begins
        self.direction = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size).uniform_(-bound, bound))
        self.gain = nn.Parameter(torch.linalg.vector_norm(self.direction.detach(), dim=(1, 2)))
        self.bias = nn.Parameter(torch.empty(out_channels).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, O)."""
        weight = self.direction * (self.gain / torch.linalg.vector_norm(self.direction, dim=(1, 2)))[:, None, None]
        before = (weight.shape[2] - 1) * self.dilation
        return convolve(F.pad(x, (0, 0, before, 0)), weight, self.bias, dilation=self.dilation)


class ResidualBlock(nn.Module):
    """Twice: causal convolution, ReLU, dropout; then the input is added, through a linear map where sizes differ.

    Args:
        in_channels, channels: C before and behind. kernel_size, dilation: of both convolutions.
        dropout: share of units dropped.
    """

    def __init__(self, in_channels: int, channels: int, kernel_size: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.first = CausalConvolution(in_channels, channels, kernel_size, dilation)
        self.second = CausalConvolution(channels, channels, kernel_size, dilation)
        self.shortcut = nn.Identity() if in_channels == channels else nn.Linear(in_channels, channels)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, channels)."""
        inner = self.dropout(self.first(x).relu())
        inner = self.dropout(self.second(inner).relu())
        out: Tensor = (inner + self.shortcut(x)).relu()
        return out


def residual_blocks(in_channels: int, channels: list[int], kernel_size: int, dropout: float) -> nn.Sequential:
    """Blocks of these channels, each with twice the dilation of the one before."""
    return nn.Sequential(
        *(
            ResidualBlock(before, behind, kernel_size, 2**number, dropout)
            for number, (before, behind) in enumerate(pairwise([in_channels, *channels]))
        )
    )


@MODELS.register("tcn")
class Tcn(nn.Module):
    """An Empirical Evaluation of Generic Convolutional and Recurrent Networks (Bai, Kolter and Koltun, 2018): TCN.

    The decision row's channels go through the shared trunk to all heads. They see the last
    1 + 2 * (kernel_size - 1) * (2^blocks - 1) rows of the window.

    Args:
        dims: what the data says of inputs and heads.
        channels: of each residual block. kernel_size: rows that one convolution sees.
        trunk: what stands before the heads; see `SharedTrunk`. Its dropout is the blocks' as well.
    """

    def __init__(
        self, dims: InputDims, *, channels: list[int], kernel_size: int, **trunk: Unpack[TrunkParameters]
    ) -> None:
        super().__init__()
        self.blocks = residual_blocks(dims.features, channels, kernel_size, trunk["dropout"])
        self.trunk = SharedTrunk(dims, channels[-1], dims.heads, **trunk)

    def forward(self, x: Tensor, context: Tensor | None, ids: Tensor) -> dict[str, Tensor]:
        """x (B, T, F), context (B, C) or None, ids (B, K) -> {task: (B, D) raw outputs}."""
        outputs: dict[str, Tensor] = self.trunk(self.blocks(x)[:, -1], context, ids)  # (B, T, C) -> (B, C)
        return outputs
