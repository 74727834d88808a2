"""DeepLOB: convolutions that merge neighbouring features, an inception module, an LSTM (Zhang et al., 2019).

Shape legend: B batch, T time, F feature, C channel, D output of a head.
"""

from __future__ import annotations

import math
from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hybrid_trainer.models.blocks import RecurrentEncoder
from hybrid_trainer.models.fusion import SharedTrunk, TrunkParameters
from hybrid_trainer.models.registry import MODELS, InputDims

_SLOPE = 0.01  # of the leaky ReLUs, as published
_MERGED = 4  # features that the first two blocks make one


class MergingBlock(nn.Module):
    """A convolution across neighbouring features, then two along four rows each; leaky ReLUs behind them.

    Args:
        in_channels, channels: C before and behind. width: neighbouring features that become one.
    """

    def __init__(self, in_channels: int, channels: int, width: int) -> None:
        super().__init__()
        self.across = nn.Conv2d(in_channels, channels, (1, width), stride=(1, width))
        self.along = nn.ModuleList(nn.Conv2d(channels, channels, (4, 1)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, F) -> (B, channels, T, F / width)."""
        x = F.leaky_relu(self.across(x), _SLOPE)
        for convolution in self.along:
            x = F.leaky_relu(convolution(F.pad(x, (0, 0, 1, 2))), _SLOPE)  # zeros keep the length
        return x


class Inception(nn.Module):
    """Three branches side by side (Szegedy et al., 2015): three rows, five rows, and the largest of three rows.

    Args:
        in_channels: C. channels: of each branch.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.narrow = nn.ModuleList(nn.Conv1d(in_channels, channels, 1) for _ in range(3))
        self.three = nn.Conv1d(channels, channels, 3, padding=1)
        self.five = nn.Conv1d(channels, channels, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, 3 * channels, T)."""
        # As max_pool1d does, whose gradient need not repeat on a GPU.
        padded = F.pad(x, (1, 1), value=-math.inf)
        largest = torch.maximum(torch.maximum(padded[..., :-2], x), padded[..., 2:])
        a, b, c = (
            F.leaky_relu(narrow(given), _SLOPE) for narrow, given in zip(self.narrow, (x, x, largest), strict=True)
        )
        branches = [F.leaky_relu(self.three(a), _SLOPE), F.leaky_relu(self.five(b), _SLOPE), c]
        return torch.cat(branches, dim=1)


@MODELS.register("deeplob")
class DeepLob(nn.Module):
    """DeepLOB: Deep Convolutional Neural Networks for Limit Order Books (Zhang, Zohren and Roberts, 2019).

    It was made for 40 features, price and volume of both sides at ten levels: the first block merges price and volume,
    the second one the sides, the third one all levels. With other features it merges neighbours in the same way: pairs,
    pairs of pairs, and then all; where their number is no multiple of four, zeros stand behind the last one. So their
    order (`data.features`) matters. The LSTM's last state goes through the shared trunk, which the paper hasn't.

    Args:
        dims: what the data says of inputs and heads.
        filters: of the convolutions. inception_filters: of each branch. lstm_units: hidden size of the LSTM.
        trunk: what stands before the heads; see `SharedTrunk`.
    """

    def __init__(
        self,
        dims: InputDims,
        *,
        filters: int,
        inception_filters: int,
        lstm_units: int,
        **trunk: Unpack[TrunkParameters],
    ) -> None:
        super().__init__()
        self.missing = -dims.features % _MERGED
        groups = (dims.features + self.missing) // _MERGED
        self.blocks = nn.Sequential(
            MergingBlock(1, filters, 2), MergingBlock(filters, filters, 2), MergingBlock(filters, filters, groups)
        )
        self.inception = Inception(filters, inception_filters)
        self.recurrent = RecurrentEncoder(3 * inception_filters, lstm_units, 1, 0.0)
        self.trunk = SharedTrunk(dims, lstm_units, dims.heads, **trunk)

    def forward(self, x: Tensor, context: Tensor | None, ids: Tensor) -> dict[str, Tensor]:
        """x (B, T, F), context (B, C) or None, ids (B, K) -> {task: (B, D) raw outputs}."""
        image = F.pad(x, (0, self.missing)).unsqueeze(1)  # (B, 1, T, F)
        merged: Tensor = self.blocks(image).squeeze(3)  # (B, C, T, 1) -> (B, C, T)
        steps = self.recurrent(self.inception(merged).transpose(1, 2))  # (B, T, H)
        outputs: dict[str, Tensor] = self.trunk(steps[:, -1], context, ids)
        return outputs
