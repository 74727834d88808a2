"""What every family has behind its encoder: embeddings, context branch, fusion, shared trunk, a head per task.

Shape legend: B batch, E encoded, C context column, K categorical input, D output of a head.
"""

from __future__ import annotations

from typing import TypedDict, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hybrid_trainer.models.blocks import CategoryEmbedding, ContextBlock, DenseBlock
from hybrid_trainer.models.registry import InputDims


class SideInputs(nn.Module):
    """What stands beside the window: category vectors and context blocks, joined to the encoded window.

    Args:
        dims: what the data says of the inputs. encoded: E.
        embeddings: vector length of each categorical input that is used, by name.
        use_context: whether the context blocks are used.
        context_units: the size to which each block is brought; None: its columns as they are.
        dropout: share of units dropped behind each block.
        unknown_rate: share of categories and blocks that training hides, so that `<unk>` and the vector that stands in
            for a missing block are learned.

    Attributes:
        out_size: columns of the result.
    """

    def __init__(
        self,
        dims: InputDims,
        encoded: int,
        *,
        embeddings: dict[str, int],
        use_context: bool,
        context_units: int | None,
        dropout: float,
        unknown_rate: float,
    ) -> None:
        super().__init__()
        self.out_size = encoded
        self.unknown_rate = unknown_rate
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
        self.context: ContextBranch | None = None
        if dims.context and use_context:
            self.context = ContextBranch(dims.context, context_units, dropout, unknown_rate)
            self.out_size += self.context.out_size

    def forward(self, encoded: Tensor, context: Tensor | None, ids: Tensor) -> Tensor:
        """(B, E), (B, C) or None, (B, K) -> (B, out_size)."""
        parts = [encoded]
        if self.embedding is not None:
            if self.training and self.unknown_rate:
                ids = _hide(ids, self.unknown_rate, 0)
            parts.append(self.embedding(ids))
        if self.context is not None:
            parts.append(self.context(context))
        return torch.cat(parts, dim=1)


class ContextBranch(nn.Module):
    """Every block's vector, side by side.

    Args:
        blocks: columns of each block. units, dropout: of each block; see `ContextBlock`.
        hidden: share of blocks that training hides.
    """

    def __init__(self, blocks: dict[str, int], units: int | None, dropout: float, hidden: float) -> None:
        super().__init__()
        self.widths = list(blocks.values())
        self.hidden = hidden
        # The prefix keeps a block's name apart from ModuleDict's own attributes.
        self.blocks = nn.ModuleDict(
            {f"block_{name}": ContextBlock(columns, units, dropout) for name, columns in blocks.items()}
        )
        self.out_size = sum(units or columns for columns in self.widths)

    def forward(self, context: Tensor) -> Tensor:
        """(B, C) -> (B, out_size)."""
        parts = []
        for block, values in zip(self.blocks.values(), torch.split(context, self.widths, dim=1), strict=True):
            if self.training and self.hidden:
                shown = torch.zeros_like(values[:, :1])
                values = values + _hide(shown, self.hidden, torch.nan)  # (B, 1): all columns of a block, or none
            parts.append(block(values))
        return torch.cat(parts, dim=1)


def _hide(values: Tensor, rate: float, stand_in: float) -> Tensor:
    """Put `stand_in` in the place of a random share of the values."""
    return values.masked_fill(torch.rand(values.shape, device=values.device) < rate, stand_in)


class Heads(nn.ModuleDict):
    """One linear layer per task."""

    def __init__(self, in_size: int, heads: dict[str, int]) -> None:
        # The prefix keeps a task's name apart from ModuleDict's own attributes (values, type, train, ...).
        super().__init__({f"head_{task}": nn.Linear(in_size, size) for task, size in heads.items()})
        self.tasks, self.sizes = list(heads), list(heads.values())

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, in) -> {task: (B, D) raw outputs}."""
        # One product for all: a batch times a head of three columns is mostly the call.
        weights, biases = zip(*(head.parameters() for head in self.values()), strict=True)
        joint = F.linear(x, torch.cat(weights), torch.cat(biases))  # (B, sum of D)
        return dict(zip(self.tasks, torch.split(joint, self.sizes, dim=1), strict=True))


class TrunkParameters(TypedDict):
    """The flat parameters of `SharedTrunk`."""

    embeddings: dict[str, int]
    use_context: bool
    unknown_rate: float
    context_units: int
    trunk_units: int
    dropout: float


class SharedTrunk(nn.Module):
    """Side inputs joined to the encoded window, a shared layer, a head per task: what the published families get.

    Args:
        dims: what the data says of the inputs. encoded: E. heads: outputs D of each task that is told here.
        parameters: `embeddings`, `use_context`, `context_units` and `unknown_rate` as in `SideInputs`; `trunk_units`:
            size of the shared layer; `dropout`: share of its units dropped.
    """

    def __init__(
        self, dims: InputDims, encoded: int, heads: dict[str, int], **parameters: Unpack[TrunkParameters]
    ) -> None:
        super().__init__()
        units, dropout = parameters["trunk_units"], parameters["dropout"]
        self.side = SideInputs(
            dims,
            encoded,
            embeddings=parameters["embeddings"],
            use_context=parameters["use_context"],
            context_units=parameters["context_units"],
            dropout=dropout,
            unknown_rate=parameters["unknown_rate"],
        )
        self.trunk = DenseBlock(self.side.out_size, units, dropout)
        self.heads = Heads(units, heads)

    def forward(self, encoded: Tensor, context: Tensor | None, ids: Tensor) -> dict[str, Tensor]:
        """(B, E), (B, C) or None, (B, K) -> {task: (B, D) raw outputs}."""
        outputs: dict[str, Tensor] = self.heads(self.trunk(self.side(encoded, context, ids)))
        return outputs
