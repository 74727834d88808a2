"""EnhancedHybridModel and its own parts, so that the whole can be judged against them.

Shape legend: B batch, T time, F feature, C channel, H hidden, K categorical input, D output of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from hybrid_trainer.models.blocks import ConvEncoder, DenseBlock, Pooling, RecurrentEncoder
from hybrid_trainer.models.channels import Highways
from hybrid_trainer.models.fusion import Heads, SideInputs
from hybrid_trainer.models.registry import MODELS, InputDims


@MODELS.register("hybrid")
class EnhancedHybridModel(nn.Module):
    """Conv1d blocks -> LSTM -> pooling; instrument embedding; context branch; fusion; shared trunk; a head per task.

    Args:
        dims: what the data says of inputs and heads.
        cnn_filters, kernel_size, dilations, residual, layer_norm: the convolution blocks, see `ConvEncoder`; no filters
            leave them out.
        lstm_units, lstm_layers, bidirectional, cell, forget_bias: the recurrent part, see `RecurrentEncoder`; no layers
            leave it out.
        pooling: how the steps become one vector: last, mean or attention.
        linear_path: the heads also read the window's last row as it is. What is linear in it is then told beyond what
            training has seen, where norms and gates flatten out.
        highway: last rows of its own that a forecast of a feature also reads; see `Highways`. 0: none.
        embeddings: vector length of each categorical input that is used, by name.
        use_context, context_units: the context branch, and the size to which it brings each context block.
        unknown_rate: share of categories and context blocks that training hides.
        trunk_units: size of the shared layer. dropout: share of units dropped.
    """

    def __init__(
        self,
        dims: InputDims,
        *,
        cnn_filters: list[int],
        kernel_size: int,
        lstm_units: int,
        lstm_layers: int,
        embeddings: dict[str, int],
        use_context: bool,
        context_units: int,
        trunk_units: int,
        dropout: float,
        pooling: str = "last",
        linear_path: bool = False,
        highway: int = 0,
        bidirectional: bool = False,
        unknown_rate: float = 0.0,
        dilations: Sequence[int] = (),
        residual: bool = False,
        layer_norm: bool = True,
        cell: str = "lstm",
        forget_bias: float | None = 1.0,
    ) -> None:
        super().__init__()
        self.convolution: ConvEncoder | None = None
        size = dims.features
        if cnn_filters:
            self.convolution = ConvEncoder(
                size, cnn_filters, kernel_size, dropout, dilations=dilations, residual=residual, layer_norm=layer_norm
            )
            size = cnn_filters[-1]
        self.recurrent: RecurrentEncoder | None = None
        if lstm_layers:
            self.recurrent = RecurrentEncoder(
                size, lstm_units, lstm_layers, dropout, bidirectional, cell=cell, forget_bias=forget_bias
            )
            size = self.recurrent.out_size
        self.pooling = Pooling(pooling, size, backward=lstm_units if lstm_layers and bidirectional else 0)
        self.side = SideInputs(
            dims,
            size,
            embeddings=embeddings,
            use_context=use_context,
            context_units=context_units,
            dropout=dropout,
            unknown_rate=unknown_rate,
        )
        self.trunk = DenseBlock(self.side.out_size, trunk_units, dropout)
        self.linear_path = linear_path
        self.heads = Heads(trunk_units + dims.features * linear_path, dims.heads)
        self.highways = Highways(dims, highway)

    def forward(self, x: Tensor, context: Tensor | None, ids: Tensor) -> dict[str, Tensor]:
        """x (B, T, F), context (B, C) or None, ids (B, K) -> {task: (B, D) raw outputs}."""
        window, last = x, x[:, -1]  # (B, T, F) -> (B, F)
        if self.convolution is not None:
            x = self.convolution(x)  # (B, T, F) -> (B, T, C)
        if self.recurrent is not None:
            x = self.recurrent(x)  # (B, T, C) -> (B, T, H)
        joined = self.side(self.pooling(x), context, ids)  # (B, T, H) -> (B, H) -> (B, fused)
        shared = self.trunk(joined)
        if self.linear_path:
            shared = torch.cat([shared, last], dim=1)  # (B, trunk), (B, F) -> (B, trunk + F)
        outputs: dict[str, Tensor] = self.highways(window, self.heads(shared))
        return outputs


# The hybrid's parts, each alone: the same class with the other part left out.
MODELS.register("cnn")(partial(EnhancedHybridModel, lstm_units=0, lstm_layers=0))
MODELS.register("lstm")(partial(EnhancedHybridModel, cnn_filters=[], kernel_size=1))


@MODELS.register("linear")
class LinearModel(nn.Module):
    """One linear layer per task over the flattened window, category vectors and context columns.

    Args:
        dims: what the data says of inputs and heads.
        embeddings: vector length of each categorical input that is used, by name.
        use_context: whether the context columns are used, as they are; a learned vector stands in for a missing block.
        unknown_rate: share of categories and context blocks that training hides.
    """

    def __init__(
        self, dims: InputDims, *, embeddings: dict[str, int], use_context: bool, unknown_rate: float = 0.0
    ) -> None:
        super().__init__()
        self.side = SideInputs(
            dims,
            dims.time_window * dims.features,
            embeddings=embeddings,
            use_context=use_context,
            context_units=None,
            dropout=0.0,
            unknown_rate=unknown_rate,
        )
        self.heads = Heads(self.side.out_size, dims.heads)

    def forward(self, x: Tensor, context: Tensor | None, ids: Tensor) -> dict[str, Tensor]:
        """x (B, T, F), context (B, C) or None, ids (B, K) -> {task: (B, D) raw outputs}."""
        outputs: dict[str, Tensor] = self.heads(self.side(x.flatten(1), context, ids))  # (B, T, F) -> (B, T * F)
        return outputs
