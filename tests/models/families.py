"""What the tests of the families share: models at their defaults, and inputs for them."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn

from hybrid_trainer.config.schema import OPTIONS
from hybrid_trainer.models import NOT_PARAMETERS, InputDims, make_model
from tests.engine.helpers import DIMS

B = 4
FORECAST = replace(
    DIMS,
    features=5,
    heads={"load": 6},
    forecast_columns={"load": [3, 1]},  # three steps of two columns
    forecast_scales={"load": [[1.0, 0.0], [1.0, 0.0]]},
)
"""Dims of a forecast alone."""
ETTH2 = replace(
    DIMS,
    features=7,
    time_window=336,
    vocabularies={"instrument": 2},
    heads={"load": 96 * 7},
    forecast_columns={"load": list(range(7))},
    forecast_scales={"load": [[1.0, 0.0]] * 7},
)
"""The dims of ETTh2: seven columns, 336 hours to look back on, 96 to forecast."""


def parameters_of(name: str, **changes: Any) -> dict[str, Any]:
    """A family's parameters as its config has them by default, with changes."""
    config = OPTIONS["model"][name]()
    return {key: value for key, value in asdict(config).items() if key not in NOT_PARAMETERS} | changes


def made(name: str, dims: InputDims = DIMS, *, seed: int = 0, **changes: Any) -> nn.Module:
    """A model of a family at its defaults, with changes."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    return make_model(name, dims, parameters_of(name, **changes))


def inputs(dims: InputDims, rows: int = B, seed: int = 0) -> tuple[Tensor, Tensor | None, Tensor]:
    """Random (x, context, ids)."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, dims.time_window, dims.features, generator=generator)
    context = torch.randn(rows, sum(dims.context.values()), generator=generator) if dims.context else None
    return x, context, torch.randint(0, 2, (rows, len(dims.vocabularies)), generator=generator)


def count(model: nn.Module) -> int:
    """How many numbers are learned."""
    return sum(parameter.numel() for parameter in model.parameters())


def trunk_count(dims: InputDims, encoded: int, units: int, vector: int = 4, context_units: int = 16) -> int:
    """By hand: embedding, context blocks, shared layer with its norm, heads that are no forecasts of features."""
    size, total = encoded, 0
    for known in dims.vocabularies.values():
        total, size = total + known * vector, size + vector
    for columns in dims.context.values():  # linear and norm, and the vector that stands in
        total, size = total + (columns + 4) * context_units, size + context_units
    heads = [outputs for task, outputs in dims.heads.items() if task not in dims.forecast_columns]
    return total + size * units + 3 * units + sum((units + 1) * outputs for outputs in heads)
