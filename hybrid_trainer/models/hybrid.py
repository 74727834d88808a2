"""EnhancedHybridModel: convolutions read the window's shapes, an LSTM their order, one head per task the rest.

Shape legend: B batch, T time, F feature, C channel, H hidden, K categorical input, D output of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hybrid_trainer.models.blocks import CategoryEmbedding, ConvEncoder, DenseBlock, RecurrentEncoder
from hybrid_trainer.models.registry import MODELS, InputDims


@MODELS.register("hybrid")
class EnhancedHybridModel(nn.Module):
    """Conv1d blocks -> LSTM; instrument embedding; optional context branch; fusion; shared trunk; a head per task.

    Args:
        dims: what the data says of inputs and heads.
        cnn_filters, kernel_size: the convolution blocks. lstm_units, lstm_layers: the recurrent part.
        embeddings: vector length of each categorical input that is used, by name.
        use_context, context_units: the context branch, and the size to which it brings the context columns.
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
    ) -> None:
        super().__init__()
        self.convolution = ConvEncoder(dims.features, cnn_filters, kernel_size, dropout)
        self.recurrent = RecurrentEncoder(cnn_filters[-1], lstm_units, lstm_layers, dropout)
        fused = lstm_units
        self.embedding: CategoryEmbedding | None = None
        inputs = list(dims.vocabularies)
        used = [name for name in inputs if name in embeddings]
        if used:
            self.embedding = CategoryEmbedding(
                [inputs.index(name) for name in used],
                [dims.vocabularies[name] for name in used],
                [embeddings[name] for name in used],
            )
            fused += self.embedding.out_size
        self.context: DenseBlock | None = None
        if dims.context and use_context:
            self.context = DenseBlock(dims.context, context_units, dropout)
            fused += context_units
        self.trunk = DenseBlock(fused, trunk_units, dropout)
        # The prefix keeps a task's name apart from ModuleDict's own attributes (values, type, train, ...).
        self.heads = nn.ModuleDict({f"head_{task}": nn.Linear(trunk_units, size) for task, size in dims.heads.items()})
        self.tasks = list(dims.heads)

    def forward(self, x: Tensor, context: Tensor | None, ids: Tensor) -> dict[str, Tensor]:
        """x (B, T, F), context (B, C) or None, ids (B, K) -> {task: (B, D) raw outputs}."""
        parts = [self.recurrent(self.convolution(x))]  # (B, T, F) -> (B, T, C) -> (B, H)
        if self.embedding is not None:
            parts.append(self.embedding(ids))
        if self.context is not None:
            parts.append(self.context(context))
        shared = self.trunk(torch.cat(parts, dim=1))  # (B, trunk_units)
        return {task: self.heads[f"head_{task}"](shared) for task in self.tasks}
