"""DLinear: the window's trend and the rest, each through a linear map (Zeng et al., 2023).

Shape legend: B batch, T time, F feature, C context column, K categorical input, D output of a head.
"""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hybrid_trainer.models.channels import ChannelHeads
from hybrid_trainer.models.fusion import TrunkParameters
from hybrid_trainer.models.registry import MODELS, InputDims


def moving_average(x: Tensor, rows: int) -> Tensor:
    """(B, F, T) -> (B, F, T): centred means over an odd number of rows; the ends are repeated where it reaches out."""
    half = rows // 2
    padded = torch.cat([x[..., :1].expand(-1, -1, half), x, x[..., -1:].expand(-1, -1, half)], dim=2)
    return F.avg_pool1d(padded, rows, stride=1)


@MODELS.register("dlinear")
class DLinear(nn.Module):
    """Are Transformers Effective for Time Series Forecasting? (Zeng, Chen, Zhang and Xu, AAAI 2023): DLinear.

    Each column of a forecast is a linear function of its own feature's moving average plus one of the rest, and sees
    nothing else. Other heads, of which the paper has none, read trend and rest of all features and the side inputs
    through a shared layer.

    Args:
        dims: what the data says of inputs and heads.
        moving_average: rows of the moving average, odd. individual: each column of a forecast has maps of its own.
        trunk: what stands before the other heads; see `SharedTrunk`.
    """

    def __init__(
        self, dims: InputDims, *, moving_average: int, individual: bool, **trunk: Unpack[TrunkParameters]
    ) -> None:
        super().__init__()
        self.rows = moving_average
        self.heads = ChannelHeads(dims, 2 * dims.time_window, individual=individual, parts=2, **trunk)

    def forward(self, x: Tensor, context: Tensor | None, ids: Tensor) -> dict[str, Tensor]:
        """x (B, T, F), context (B, C) or None, ids (B, K) -> {task: (B, D) raw outputs}."""
        series = self.heads.series(x)  # (B, T, F) -> (B, channels, T)
        trend = moving_average(series, self.rows)
        outputs: dict[str, Tensor] = self.heads(torch.cat([trend, series - trend], dim=2), context, ids)
        return outputs
