"""Normalisation of each window by itself, undone on what is forecast of the same features.

Shape legend: B batch, T time, F feature, D output of a head, H steps and C columns of a forecast.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hybrid_trainer.models.registry import InputDims

_EPSILON = 1e-5  # as published


class WindowNorm(nn.Module):
    """Takes off each window's level, or level and spread, and gives them back to forecasts.

    `last` takes off the window's last row (as NLinear does, Zeng et al., 2023); `revin` takes off each feature's mean
    over the window and divides by its standard deviation (reversible instance normalization, Kim et al., 2022). Heads
    that forecast none of the features are told from the normalised window as it is.

    Args:
        dims: what the data says; the forecasts in `forecast_columns` are restored.
        norm: last or revin.
        affine: whether the normalised features are scaled and shifted by learned numbers, undone as well.
    """

    def __init__(self, dims: InputDims, norm: str, *, affine: bool) -> None:
        super().__init__()
        self.norm = norm
        # Both begin with what changes nothing. Vectors: weight decay spares them.
        self.gain = nn.Parameter(torch.ones(dims.features)) if affine else None
        self.shift = nn.Parameter(torch.zeros(dims.features)) if affine else None
        # The prefix keeps a task's name apart from ModuleDict's own attributes.
        self.restored = nn.ModuleDict(
            {
                f"forecast_{task}": _Restored(columns, dims.forecast_scales[task])
                for task, columns in dims.forecast_columns.items()
            }
        )
        self.forecasts = list(dims.forecast_columns)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, T, F) -> the same normalised, and what brings it back: centre and spread, (B, 1, F) each."""
        centre, spread = self._statistics(x)
        x = (x - centre) / spread if self.norm == "revin" else x - centre
        if self.gain is not None and self.shift is not None:
            # As RevIN's authors do: a gain of 0 divides by nothing that is 0.
            undo = 1 / (self.gain + _EPSILON**2)
            x = x * self.gain + self.shift
            centre, spread = centre - self.shift * undo * spread, spread * undo
        return x, centre, spread

    def restore(self, outputs: dict[str, Tensor], centre: Tensor, spread: Tensor) -> dict[str, Tensor]:
        """Raw outputs (B, D) per task in normalised features -> in scaled labels."""
        restored = zip(self.forecasts, self.restored.values(), strict=True)
        return outputs | {task: back(outputs[task], centre, spread) for task, back in restored}

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, F) -> what is taken off and what it is divided by, (B, 1, F) each."""
        if self.norm == "last":
            return x[:, -1:], torch.ones_like(x[:, -1:])
        variance, mean = torch.var_mean(x, dim=1, keepdim=True, correction=0)
        return mean, (variance + _EPSILON).sqrt()


class NormalisedWindows(nn.Module):
    """Comes before a family's class: its forward sees normalised windows."""

    window_norm: WindowNorm

    def forward(self, x: Tensor, context: Tensor | None, ids: Tensor) -> dict[str, Tensor]:
        """x (B, T, F), context (B, C) or None, ids (B, K) -> {task: (B, D) raw outputs}."""
        x, centre, spread = self.window_norm(x)
        outputs: dict[str, Tensor] = super().forward(x, context, ids)
        return self.window_norm.restore(outputs, centre, spread)


def normalised(model: nn.Module, dims: InputDims, norm: str, *, affine: bool) -> nn.Module:
    """Make a model see its windows normalised; see `WindowNorm`.

    The model becomes one of a class of its own instead of a part of another module: its parts keep their names, by
    which weights are taken over, parts are frozen and tasks are balanced.
    """
    family = type(model)
    model.__class__ = type(f"Normalised{family.__name__}", (NormalisedWindows, family), {})
    model.window_norm = WindowNorm(dims, norm, affine=affine)
    return model


class _Restored(nn.Module):
    """A forecast in normalised features -> the same in scaled labels.

    Args:
        columns: which feature each of the C columns is. scales: [gain, offset] from each scaled feature to its label.
    """

    columns: Tensor
    scales: Tensor

    def __init__(self, columns: list[int], scales: list[list[float]]) -> None:
        super().__init__()
        # Not in the weights: they are the data's, and come with the dims.
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.register_buffer("scales", torch.tensor(scales).T.contiguous(), persistent=False)  # (2, C)

    def forward(self, raw: Tensor, centre: Tensor, spread: Tensor) -> Tensor:
        """raw (B, H * C), centre and spread (B, 1, F) -> (B, H * C)."""
        steps = raw.float().reshape(len(raw), -1, len(self.columns))  # (B, H, C), row after row
        features = steps * spread.index_select(2, self.columns) + centre.index_select(2, self.columns)
        labels: Tensor = features * self.scales[0] + self.scales[1]
        return labels.flatten(1)
