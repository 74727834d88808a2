"""Making a model: the family that a name picks, behind a normalisation of its windows where that is asked for."""

from __future__ import annotations

from typing import Any

from torch import nn

from hybrid_trainer.models.registry import MODELS, InputDims
from hybrid_trainer.models.window_norm import NormalisedWindows


def make_model(name: str, dims: InputDims, parameters: dict[str, Any]) -> nn.Module:
    """Make a model of a family from flat parameters.

    Args:
        parameters: the family's own, and `window_norm` and `window_affine`, which all families have.
    """
    own = {key: value for key, value in parameters.items() if key not in ("window_norm", "window_affine")}
    model = MODELS.get(name, "model.name")(dims, **own)
    norm = parameters.get("window_norm", "none")
    if norm == "none":
        return model
    return NormalisedWindows(model, dims, norm, affine=parameters.get("window_affine", False))
