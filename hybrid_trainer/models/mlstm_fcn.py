"""MLSTM-FCN: convolutions with squeeze-and-excite blocks beside an LSTM over features (Karim et al., 2019).

Shape legend: B batch, T time, F feature, C channel, H hidden, D output of a head.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hybrid_trainer.models.blocks import RecurrentEncoder, convolve
from hybrid_trainer.models.dropout import Dropout
from hybrid_trainer.models.fusion import SharedTrunk, TrunkParameters
from hybrid_trainer.models.registry import MODELS, InputDims


class SqueezeExcite(nn.Module):
    """Each channel times a number from 0 to 1, which the means of all channels decide (Hu et al., 2018).

    Args:
        channels: C. reduction: by how much the layer between is narrower.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, max(1, channels // reduction), bias=False)
        self.excite = nn.Linear(self.squeeze.out_features, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        share: Tensor = self.excite(self.squeeze(x.mean(dim=1)).relu()).sigmoid()  # (B, C)
        return x * share.unsqueeze(1)


class ConvolutionBlock(nn.Module):
    """Convolution that keeps the length, batch norm, ReLU; behind it squeeze and excite, or nothing.

    Args:
        in_channels, channels: C before and behind. kernel_size: rows that it sees.
        reduction: see `SqueezeExcite`; None: there is none.
    """

    def __init__(self, in_channels: int, channels: int, kernel_size: int, reduction: int | None) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(in_channels, channels, kernel_size)
        nn.init.kaiming_uniform_(self.convolution.weight, nonlinearity="relu")  # he_uniform, as published
        self.norm = nn.BatchNorm1d(channels)
        self.weigh = nn.Identity() if reduction is None else SqueezeExcite(channels, reduction)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, channels)."""
        more = self.convolution.kernel_size[0] - 1
        padded = F.pad(x, (0, 0, more // 2, more - more // 2))
        convolved = convolve(padded, self.convolution.weight, self.convolution.bias)
        normed: Tensor = self.norm(convolved.flatten(0, 1))  # (B, T, C) -> (B * T, C)
        out: Tensor = self.weigh(normed.view_as(convolved).relu())
        return out


@MODELS.register("mlstm_fcn")
class MlstmFcn(nn.Module):
    """Multivariate LSTM-FCNs for Time Series Classification (Karim, Majumdar, Darabi and Harford, 2019): MLSTM-FCN.

    The mean over time of the convolutions stands beside the last state of an LSTM that reads the features one after the
    other, each one's whole window as one step. Both go through the shared trunk, which the paper hasn't, to all heads.

    Args:
        dims: what the data says of inputs and heads.
        filters, kernel_sizes: of the convolutions; all but the last have squeeze-and-excite blocks.
        reduction: see `SqueezeExcite`. lstm_units, lstm_dropout: of the LSTM.
        trunk: what stands before the heads; see `SharedTrunk`.
    """

    def __init__(
        self,
        dims: InputDims,
        *,
        filters: list[int],
        kernel_sizes: list[int],
        reduction: int,
        lstm_units: int,
        lstm_dropout: float,
        **trunk: Unpack[TrunkParameters],
    ) -> None:
        super().__init__()
        sizes = pairwise([dims.features, *filters])
        last = len(filters) - 1
        self.blocks = nn.Sequential(
            *(
                ConvolutionBlock(before, behind, rows, reduction if number < last else None)
                for number, ((before, behind), rows) in enumerate(zip(sizes, kernel_sizes, strict=True))
            )
        )
        self.recurrent = RecurrentEncoder(dims.time_window, lstm_units, 1, 0.0)
        self.dropout = Dropout(lstm_dropout)
        self.trunk = SharedTrunk(dims, filters[-1] + lstm_units, dims.heads, **trunk)

    def forward(self, x: Tensor, context: Tensor | None, ids: Tensor) -> dict[str, Tensor]:
        """x (B, T, F), context (B, C) or None, ids (B, K) -> {task: (B, D) raw outputs}."""
        mean = self.blocks(x).mean(dim=1)  # (B, T, C) -> (B, C)
        state = self.dropout(self.recurrent(x.transpose(1, 2))[:, -1])  # (B, F, T) -> (B, F, H) -> (B, H)
        outputs: dict[str, Tensor] = self.trunk(torch.cat([mean, state], dim=1), context, ids)
        return outputs
