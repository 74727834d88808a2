"""LSTNet: a convolution, a GRU, a GRU that skips a period, and an autoregression (Lai et al., 2018).

Shape legend: B batch, T time, F feature, S steps behind the convolution, C channel, P periods, D output of a head.
"""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor, nn

from hybrid_trainer.models.blocks import convolve, start_orthogonal
from hybrid_trainer.models.channels import Highways
from hybrid_trainer.models.dropout import Dropout
from hybrid_trainer.models.fusion import SharedTrunk, TrunkParameters
from hybrid_trainer.models.registry import MODELS, InputDims


class SkipGru(nn.Module):
    """A GRU over every `skip`-th step, from each of the last `skip` steps back.

    Args:
        channels: C. units: hidden size. skip: steps of a period. steps: S, at least `skip`.

    Attributes:
        out_size: skip * units.
    """

    def __init__(self, channels: int, units: int, skip: int, steps: int) -> None:
        super().__init__()
        self.skip, self.periods = skip, steps // skip
        self.out_size = skip * units
        self.gru = nn.GRU(channels, units, batch_first=True)
        start_orthogonal(self.gru)

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, C) -> (B, skip * units)."""
        used = x[:, -self.periods * self.skip :]
        periods = used.reshape(len(x), self.periods, self.skip, -1)  # (B, P, skip, C)
        phases = periods.transpose(1, 2).flatten(0, 1)  # (B * skip, P, C)
        out: Tensor = self.gru(phases)[0]
        return out[:, -1].reshape(len(x), -1)  # (B * skip, units) -> (B, skip * units)


@MODELS.register("lstnet")
class LstNet(nn.Module):
    """Modeling Long- and Short-Term Temporal Patterns with Deep Neural Networks (Lai, Chang, Yang and Liu, SIGIR 2018).

    Both GRUs' last states go through the shared trunk, which the paper hasn't, to all heads. To the forecast of a
    column that is a feature comes the paper's highway: a linear function of that column's last rows, one per step that
    is forecast and the same for all columns.

    Args:
        dims: what the data says of inputs and heads.
        filters, kernel_size: of the convolution. gru_units: hidden size of the GRU.
        skip, skip_units: see `SkipGru`; skip 0 leaves it out.
        highway: rows that the autoregression reads; 0 leaves it out.
        trunk: what stands before the heads; see `SharedTrunk`. Its dropout is that of the other parts as well.
    """

    def __init__(
        self,
        dims: InputDims,
        *,
        filters: int,
        kernel_size: int,
        gru_units: int,
        skip: int,
        skip_units: int,
        highway: int,
        **trunk: Unpack[TrunkParameters],
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(dims.features, filters, kernel_size)
        self.gru = nn.GRU(filters, gru_units, batch_first=True)
        start_orthogonal(self.gru)
        steps = dims.time_window - kernel_size + 1
        self.skip = SkipGru(filters, skip_units, skip, steps) if skip else None
        self.dropout = Dropout(trunk["dropout"])
        encoded = gru_units + (self.skip.out_size if self.skip is not None else 0)
        self.trunk = SharedTrunk(dims, encoded, dims.heads, **trunk)
        self.highways = Highways(dims, highway)

    def forward(self, x: Tensor, context: Tensor | None, ids: Tensor) -> dict[str, Tensor]:
        """x (B, T, F), context (B, C) or None, ids (B, K) -> {task: (B, D) raw outputs}."""
        convolved = convolve(x, self.convolution.weight, self.convolution.bias).relu()
        convolved = self.dropout(convolved)  # (B, S, C)
        states = [self.dropout(self.gru(convolved)[0][:, -1])]
        if self.skip is not None:
            states.append(self.dropout(self.skip(convolved)))
        outputs: dict[str, Tensor] = self.highways(x, self.trunk(torch.cat(states, dim=1), context, ids))
        return outputs
