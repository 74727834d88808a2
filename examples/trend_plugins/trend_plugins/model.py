"""A model: two readings of the window, one of which says how much of the other is let through.

Shape legend: B batch, T time, F feature, H hidden, C context column, K categorical input, D output of a head.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hybrid_trainer.extend import Heads, InputDims, SideInputConfig, SideInputs, check_range, key, model


@dataclass(kw_only=True)
class GatedConfig(SideInputConfig):
    """A gated linear unit over the flattened window (Dauphin et al., 2017)."""

    units: int = key(32, "size of the shared layer")
    dropout: float = key(0.1, "share of its units that training drops")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("model.units", self.units, low=1)
        check_range("model.dropout", self.dropout, low=0, high=0.95)


@model("gated", GatedConfig)
class Gated(nn.Module):
    """Window -> gated layer -> category vectors and context beside it -> a head per task."""

    def __init__(
        self,
        dims: InputDims,
        *,
        units: int,
        dropout: float,
        embeddings: dict[str, int],
        use_context: bool,
        unknown_rate: float,
    ) -> None:
        super().__init__()
        self.gated = nn.Linear(dims.time_window * dims.features, 2 * units)
        self.dropout = nn.Dropout(dropout)
        self.side = SideInputs(
            dims,
            units,
            embeddings=embeddings,
            use_context=use_context,
            context_units=None,
            dropout=dropout,
            unknown_rate=unknown_rate,
        )
        self.heads = Heads(self.side.out_size, dims.heads)

    def forward(self, x: Tensor, context: Tensor | None, ids: Tensor) -> dict[str, Tensor]:
        """x (B, T, F), context (B, C) or None, ids (B, K) -> {task: (B, D) raw outputs}."""
        values, gate = self.gated(x.flatten(1)).chunk(2, dim=1)  # (B, T * F) -> (B, 2 H) -> 2 of (B, H)
        hidden = self.dropout(values * torch.sigmoid(gate))
        outputs: dict[str, Tensor] = self.heads(self.side(hidden, context, ids))
        return outputs
