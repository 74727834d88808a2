"""What the families have in common that forecast each column from its own past.

Shape legend: B batch, T time, F feature, K numbers that describe a channel, H steps and C columns of a forecast.
"""

from __future__ import annotations

import math
from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hybrid_trainer.models.fusion import SharedTrunk, TrunkParameters
from hybrid_trainer.models.registry import InputDims


class ChannelLinear(nn.Module):
    """A linear map from K to H numbers: the same for all C channels, or one for each.

    Args:
        channels: C, where each has its own; None: they share one. in_size: K. out_size: H.
    """

    spared = ("bias",)  # from weight decay, though it may be a matrix

    def __init__(self, channels: int | None, in_size: int, out_size: int) -> None:
        super().__init__()
        own = () if channels is None else (channels,)
        bound = 1 / math.sqrt(in_size)  # as nn.Linear begins
        self.weight = nn.Parameter(torch.empty(*own, out_size, in_size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(*own, out_size).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, K) -> (B, C, H)."""
        if self.weight.ndim == 2:
            return F.linear(x, self.weight, self.bias)
        return torch.einsum("bck,chk->bch", x, self.weight) + self.bias


class ChannelForecast(nn.Module):
    """A forecast's C columns, each from the numbers that describe its own feature.

    Args:
        columns: which of the described channels each column is. in_size: K. outputs: H * C.
        individual: whether each column has maps of its own. parts: into how many the K numbers are cut, each with a
            map of its own, which are added.
    """

    columns: Tensor

    def __init__(self, columns: list[int], in_size: int, outputs: int, *, individual: bool, parts: int = 1) -> None:
        super().__init__()
        # Not in the weights: they are the data's, and come with the dims.
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        channels = len(columns) if individual else None
        self.maps = nn.ModuleList(
            ChannelLinear(channels, in_size // parts, outputs // len(columns)) for _ in range(parts)
        )

    def forward(self, described: Tensor) -> Tensor:
        """(B, channels, K) -> (B, H * C), row after row."""
        parts = described.index_select(1, self.columns).chunk(len(self.maps), dim=2)  # each (B, C, K / parts)
        steps = torch.stack([linear(part) for linear, part in zip(self.maps, parts, strict=True)]).sum(dim=0)
        return steps.transpose(1, 2).flatten(1)  # (B, C, H) -> (B, H * C)


class Highways(nn.ModuleDict):
    """To each forecast of a feature a linear function of that feature's own last rows, one map for all of them.

    The autoregressive part of LSTNet (Lai, Chang, Yang and Liu, SIGIR 2018): what is linear in the last rows is told on
    any scale, also beyond what training has seen.

    Args:
        dims: what the data says of inputs and heads. rows: how many last rows are read; 0: nothing is added.
    """

    def __init__(self, dims: InputDims, rows: int) -> None:
        # The prefix keeps a task's name apart from ModuleDict's own attributes.
        super().__init__(
            {
                f"forecast_{task}": ChannelForecast(columns, rows, dims.heads[task], individual=False)
                for task, columns in (dims.forecast_columns.items() if rows else ())
            }
        )
        self.rows = rows

    def forward(self, x: Tensor, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """x (B, T, F), {task: (B, D) raw outputs} -> the outputs with what their own last rows say."""
        added = dict(outputs)
        for name, highway in self.items():
            task = name.removeprefix("forecast_")
            added[task] = added[task] + highway(x[:, -self.rows :].transpose(1, 2))  # (B, rows, F) -> (B, F, rows)
        return added


class ChannelHeads(nn.Module):
    """Forecasts of features channel by channel; whatever else is told reads all channels at once, and the side inputs.

    Args:
        dims: what the data says of inputs and heads. in_size: K. individual, parts: see `ChannelForecast`.
        trunk: the parameters of the trunk that the other heads share.
    """

    read: Tensor

    def __init__(
        self, dims: InputDims, in_size: int, *, individual: bool, parts: int = 1, **trunk: Unpack[TrunkParameters]
    ) -> None:
        super().__init__()
        self.tasks = list(dims.heads)
        forecasts = {task: dims.forecast_columns[task] for task in self.tasks if task in dims.forecast_columns}
        rest = {task: size for task, size in dims.heads.items() if task not in forecasts}
        read = sorted({column for columns in forecasts.values() for column in columns})
        channels = list(range(dims.features)) if rest else read
        self.register_buffer("read", torch.tensor(channels), persistent=False)
        place = {column: index for index, column in enumerate(channels)}
        # The prefix keeps a task's name apart from ModuleDict's own attributes.
        self.forecasts = nn.ModuleDict(
            {
                f"forecast_{task}": ChannelForecast(
                    [place[column] for column in columns],
                    in_size,
                    dims.heads[task],
                    individual=individual,
                    parts=parts,
                )
                for task, columns in forecasts.items()
            }
        )
        self.trunk = SharedTrunk(dims, dims.features * in_size, rest, **trunk) if rest else None

    def series(self, x: Tensor) -> Tensor:
        """(B, T, F) -> (B, channels, T): the features that are read, all where there are other heads than forecasts."""
        return x.transpose(1, 2).index_select(1, self.read)

    def forward(self, described: Tensor, context: Tensor | None, ids: Tensor) -> dict[str, Tensor]:
        """(B, channels, K), context (B, C) or None, ids (B, K) -> {task: (B, D) raw outputs}."""
        found = {name.removeprefix("forecast_"): head(described) for name, head in self.forecasts.items()}
        if self.trunk is not None:
            found |= self.trunk(described.flatten(1), context, ids)
        return {task: found[task] for task in self.tasks}
