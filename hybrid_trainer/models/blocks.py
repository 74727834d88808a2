"""The parts that models are made of.

Shape legend: B batch, T time, F feature, C channel, H hidden, K categorical input.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


class ConvEncoder(nn.Module):
    """Conv1d blocks along time: convolution, layer norm over channels, GELU, dropout.

    The padding keeps the length; a window ends in the decision row, so looking both ways inside it leaks nothing.

    Args:
        in_channels: F. filters: output channels of each block. kernel_size: odd. dropout: share of units dropped.
    """

    def __init__(self, in_channels: int, filters: list[int], kernel_size: int, dropout: float) -> None:
        super().__init__()
        sizes = [in_channels, *filters]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(a, b, kernel_size, padding=kernel_size // 2) for a, b in pairwise(sizes)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in filters)
        self.activation = nn.GELU()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, F) -> (B, T, C)."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = convolution(x.transpose(1, 2)).transpose(1, 2)  # (B, T, C); convolutions want (B, C, T)
            x = self.dropout(self.activation(norm(x)))
        return x


class RecurrentEncoder(nn.Module):
    """Stacked single-layer LSTMs with dropout between.

    `nn.LSTM(dropout > 0)` does not repeat on a GPU, so the layers are stacked here. Recurrent weights start orthogonal
    (Saxe et al., 2014) and the forget gate's bias at 1 (Jozefowicz et al., 2015).

    Args:
        in_size: C. units: H. layers: how many. dropout: share of units dropped between layers.
    """

    def __init__(self, in_size: int, units: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.LSTM(in_size if layer == 0 else units, units, batch_first=True) for layer in range(layers)
        )
        self.dropout = nn.Dropout(dropout)
        for lstm in self.layers:
            assert isinstance(lstm, nn.LSTM)
            _initialise(lstm)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, H), the last step's hidden state."""
        for number, lstm in enumerate(self.layers):
            x = self.dropout(x) if number else x
            x, _ = lstm(x)
        return x[:, -1]


class CategoryEmbedding(nn.Module):
    """A vector per category of each categorical input; category 0, `<unk>`, is the zero vector.

    Args:
        columns: which of the K inputs are used. vocabulary_sizes: categories of each, `<unk>` included.
        sizes: length of each one's vector.
    """

    def __init__(self, columns: list[int], vocabulary_sizes: list[int], sizes: list[int]) -> None:
        super().__init__()
        self.columns = columns
        self.tables = nn.ModuleList(
            nn.Embedding(count, size, padding_idx=0) for count, size in zip(vocabulary_sizes, sizes, strict=True)
        )
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
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in) -> (B, out)."""
        out: Tensor = self.dropout(self.activation(self.norm(self.linear(x))))
        return out


def _initialise(lstm: nn.LSTM) -> None:
    units = lstm.hidden_size
    weight, bias_in, bias_hidden = lstm.weight_hh_l0, lstm.bias_ih_l0, lstm.bias_hh_l0
    assert isinstance(weight, Tensor) and isinstance(bias_in, Tensor) and isinstance(bias_hidden, Tensor)
    with torch.no_grad():
        for gate in range(4):
            nn.init.orthogonal_(weight[gate * units : (gate + 1) * units])
        # Gates are stacked as input, forget, cell, output; there are two biases, which are added.
        bias_in[units : 2 * units].fill_(1.0)
        bias_hidden[units : 2 * units].zero_()
