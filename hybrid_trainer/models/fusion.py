"""What every family has behind its encoder: embeddings, context branch, fusion, shared trunk, a head per task.

Shape legend: B batch, E encoded, C context column, K categorical input, D output of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hybrid_trainer.models.blocks import CategoryEmbedding, DenseBlock
from hybrid_trainer.models.registry import InputDims


class SideInputs(nn.Module):
    """What stands beside the window: category vectors and the context branch, joined to the encoded window.

    Args:
        dims: what the data says of the inputs. encoded: E.
        embeddings: vector length of each categorical input that is used, by name.
        context_units: the size to which the context branch brings the context columns; 0 leaves them out.
        dropout: share of units dropped in the context branch.

    Attributes:
        out_size: columns of the result.
    """

    def __init__(
        self, dims: InputDims, encoded: int, *, embeddings: dict[str, int], context_units: int, dropout: float
    ) -> None:
        super().__init__()
        self.out_size = encoded
        self.embedding: CategoryEmbedding | None = None
        inputs = list(dims.vocabularies)
        used = [name for name in inputs if name in embeddings]
        if used:
            self.embedding = CategoryEmbedding(
                [inputs.index(name) for name in used],
                [dims.vocabularies[name] for name in used],
                [embeddings[name] for name in used],
            )
            self.out_size += self.embedding.out_size
        self.context: DenseBlock | None = None
        if dims.context and context_units:
            self.context = DenseBlock(dims.context, context_units, dropout)
            self.out_size += context_units

    def forward(self, encoded: Tensor, context: Tensor | None, ids: Tensor) -> Tensor:
        """(B, E), (B, C) or None, (B, K) -> (B, out_size)."""
        parts = [encoded]
        if self.embedding is not None:
            parts.append(self.embedding(ids))
        if self.context is not None:
            parts.append(self.context(context))
        return torch.cat(parts, dim=1)


class Heads(nn.ModuleDict):
    """One linear layer per task."""

    def __init__(self, in_size: int, heads: dict[str, int]) -> None:
        # The prefix keeps a task's name apart from ModuleDict's own attributes (values, type, train, ...).
        super().__init__({f"head_{task}": nn.Linear(in_size, size) for task, size in heads.items()})
        self.tasks = list(heads)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, in) -> {task: (B, D) raw outputs}."""
        return {task: self[f"head_{task}"](x) for task in self.tasks}
