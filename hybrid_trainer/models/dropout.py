"""Dropout in a quarter of the time that torch's takes on a CPU, where it was an eighth of a small step."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_PARTS = 1 << 16


class Dropout(nn.Module):
    """Zeroes each unit with probability `rate` while training, and scales the others up so that the mean stays.

    On a CPU torch draws one number per unit; here each draw of 64 bits decides on four units, 16 bits each. The share
    is thus `rate` to the nearest 1/65536, and the scale is that share's own. Elsewhere it is torch's.

    Args:
        rate: share of units dropped, 0 to 1.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.dropped = round(rate * _PARTS)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same."""
        if not self.training or not self.rate:
            return x
        if x.device.type != "cpu" or not 0 < self.dropped < _PARTS:
            return F.dropout(x, self.rate, training=True)
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        parts = draws.view(torch.int16)[: x.numel()].view(x.shape)
        kept = torch.ge(parts, self.dropped - _PARTS // 2, out=torch.empty(x.shape, dtype=x.dtype))
        return x * kept.mul_(_PARTS / (_PARTS - self.dropped))

    def extra_repr(self) -> str:
        """What a printed model shows."""
        return f"rate={self.rate}"
