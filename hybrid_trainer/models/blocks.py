"""The parts that models are made of.

Shape legend: B batch, T time, F feature, C channel, H hidden, K categorical input.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hybrid_trainer.models.dropout import Dropout


class ConvEncoder(nn.Module):
    """Conv1d blocks along time: convolution, layer norm over channels, GELU, dropout.

    The padding keeps the length; a window ends in the decision row, so looking both ways inside it leaks nothing. A
    step sees kernel_size // 2 * (sum of the dilations) rows to either side.

    Args:
        in_channels: F. filters: output channels of each block. kernel_size: odd. dropout: share of units dropped.
        dilations: rows from one that a block's convolution sees to the next, one number per block; none: all 1.
        residual: add each block's input to its output (He et al., 2016), through a linear map where sizes differ.
        layer_norm: whether there is one.
    """

    def __init__(
        self,
        in_channels: int,
        filters: list[int],
        kernel_size: int,
        dropout: float,
        *,
        dilations: Sequence[int] = (),
        residual: bool = False,
        layer_norm: bool = True,
    ) -> None:
        super().__init__()
        sizes = [in_channels, *filters]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(a, b, kernel_size, padding=kernel_size // 2 * dilation, dilation=dilation)
            for (a, b), dilation in zip(pairwise(sizes), dilations or [1] * len(filters), strict=True)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(size) if layer_norm else nn.Identity() for size in filters)
        self.activation = nn.GELU()
        self.dropout = Dropout(dropout)
        self.shortcuts = nn.ModuleList(
            nn.Identity() if a == b else nn.Linear(a, b, bias=False) for a, b in (pairwise(sizes) if residual else ())
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, F) -> (B, T, C)."""
        for number, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            assert isinstance(convolution, nn.Conv1d)
            before = x
            x = self.dropout(self.activation(norm(_along_time(convolution, x))))
            if self.shortcuts:
                x = x + self.shortcuts[number](before)
        return x


def _along_time(convolution: nn.Conv1d, x: Tensor) -> Tensor:
    """(B, T, C) -> (B, T, O)."""
    dilation = convolution.dilation[0]
    padding = convolution.kernel_size[0] // 2 * dilation
    return convolve(x, convolution.weight, convolution.bias, padding=padding, dilation=dilation)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, *, padding: int = 0, dilation: int = 1) -> Tensor:
    """Convolve (B, T, C) along time with a (O, C, K) weight -> (B, T + 2 * padding - dilation * (K - 1), O)."""
    x = x.transpose(1, 2)  # (B, C, T), as convolutions want it
    if x.device.type != "cpu":
        return F.conv1d(x, weight, bias, padding=padding, dilation=dilation).transpose(1, 2)
    # An image of height 1 with its channels last, which is how x lies in memory: a CPU computes it as it is, where
    # Conv1d copies it into another order and back. Two such blocks, forward and backward, take 0.6 of the time.
    image = F.conv2d(x.unsqueeze(2), weight.unsqueeze(2), bias, padding=(0, padding), dilation=(1, dilation))
    return image.squeeze(2).transpose(1, 2)  # (B, O, 1, T) -> (B, T, O)


class RecurrentEncoder(nn.Module):
    """Stacked single-layer LSTMs or GRUs with dropout between.

    `nn.LSTM(dropout > 0)` does not repeat on a GPU, so the layers are stacked here. Recurrent weights start orthogonal,
    gate by gate (Saxe et al., 2014), and an LSTM's forget bias at 1 (Jozefowicz et al., 2015).

    Args:
        in_size: C. units: of each layer and direction. layers: how many.
        dropout: share of units dropped between layers.
        bidirectional: also read the window backwards; inside a window that leaks nothing.
        cell: lstm (Hochreiter and Schmidhuber, 1997) or gru (Cho et al., 2014).
        forget_bias: where an LSTM's forget bias starts; None: where torch's does.

    Attributes:
        out_size: H, `units` per direction.
    """

    def __init__(
        self,
        in_size: int,
        units: int,
        layers: int,
        dropout: float,
        bidirectional: bool = False,
        *,
        cell: str = "lstm",
        forget_bias: float | None = 1.0,
    ) -> None:
        super().__init__()
        self.out_size = units * (2 if bidirectional else 1)
        kind = nn.LSTM if cell == "lstm" else nn.GRU
        self.layers = nn.ModuleList(
            kind(self.out_size if layer else in_size, units, batch_first=True, bidirectional=bidirectional)
            for layer in range(layers)
        )
        self.dropout = Dropout(dropout)
        for recurrent in self.layers:
            assert isinstance(recurrent, nn.RNNBase)
            start_orthogonal(recurrent, forget_bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, H), every step's hidden state."""
        for number, recurrent in enumerate(self.layers):
            x = self.dropout(x) if number else x
            x, _ = recurrent(x)
        return x


class Pooling(nn.Module):
    """Every step's vector becomes one: the last step's, their mean, or their mean weighted by learned attention.

    Args:
        kind: last, mean or attention (Raffel and Ellis, 2016). size: H.
        backward: how many of the H come from reading backwards; their last step is the window's first.
    """

    def __init__(self, kind: str, size: int, backward: int = 0) -> None:
        super().__init__()
        self.kind = kind
        self.backward = backward
        self.score = (
            nn.Sequential(nn.Linear(size, size), nn.Tanh(), nn.Linear(size, 1)) if kind == "attention" else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H) -> (B, H)."""
        if self.score is not None:
            weights: Tensor = self.score(x).softmax(dim=1)  # (B, T, 1)
            return (weights * x).sum(dim=1)
        if self.kind == "mean":
            return x.mean(dim=1)
        if not self.backward:
            return x[:, -1]
        forward = x.shape[2] - self.backward
        return torch.cat([x[:, -1, :forward], x[:, 0, forward:]], dim=1)


class CategoryEmbedding(nn.Module):
    """A vector per category of each categorical input.

    Category 0, `<unk>`, starts as the zero vector, and stays it where no training row has it.

    Args:
        columns: which of the K inputs are used. vocabulary_sizes: categories of each, `<unk>` included.
        sizes: length of each one's vector.
    """

    def __init__(self, columns: list[int], vocabulary_sizes: list[int], sizes: list[int]) -> None:
        super().__init__()
        self.columns = columns
        self.tables = nn.ModuleList(
            nn.Embedding(count, size) for count, size in zip(vocabulary_sizes, sizes, strict=True)
        )
        with torch.no_grad():
            for table in self.tables:
                assert isinstance(table, nn.Embedding)
                table.weight[0] = 0.0
        self.out_size = sum(sizes)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, K) -> (B, sum of sizes)."""
        return torch.cat([table(ids[:, k]) for k, table in zip(self.columns, self.tables, strict=True)], dim=1)


class DenseBlock(nn.Module):
    """Linear, layer norm, GELU, dropout."""

    def __init__(self, in_size: int, out_size: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(in_size, out_size)
        self.norm = nn.LayerNorm(out_size)
        self.activation = nn.GELU()
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in) -> (B, out)."""
        out: Tensor = self.dropout(self.activation(self.norm(self.linear(x))))
        return out


class ContextBlock(nn.Module):
    """One block of context columns becomes one vector; where the block is missing, a learned vector stands in.

    Args:
        columns: C of this block. units: size of the vector; None: the columns as they are.
        dropout: share of units dropped.
    """

    def __init__(self, columns: int, units: int | None, dropout: float) -> None:
        super().__init__()
        self.out_size = units or columns
        self.encoder = DenseBlock(columns, units, dropout) if units else nn.Identity()
        self.fallback = nn.Parameter(torch.zeros(self.out_size))

    def forward(self, block: Tensor) -> Tensor:
        """(B, C) -> (B, out_size); a row with a NaN in it is one in which the block is missing."""
        missing = block.isnan().any(dim=1, keepdim=True)  # (B, 1)
        # The zeros reach no output: they only keep NaN out of the encoder's gradient.
        encoded = self.encoder(block.masked_fill(missing, 0.0))
        return torch.where(missing, self.fallback, encoded)


def start_orthogonal(recurrent: nn.RNNBase, forget_bias: float | None = None) -> None:
    """Give an LSTM's or a GRU's gates orthogonal recurrent weights, and an LSTM's forget gate this bias.

    Args:
        forget_bias: None: torch's own.
    """
    units = recurrent.hidden_size
    gates = 4 if isinstance(recurrent, nn.LSTM) else 3
    with torch.no_grad():
        for name, values in recurrent.named_parameters():
            # An LSTM's gates are stacked as input, forget, cell, output; there are two biases, which are added.
            if name.startswith("weight_hh"):
                for gate in range(gates):
                    nn.init.orthogonal_(values[gate * units : (gate + 1) * units])
            elif gates == 4 and forget_bias is not None and name.startswith("bias"):
                values[units : 2 * units].fill_(forget_bias if name.startswith("bias_ih") else 0.0)
