"""Making a model: the family that a name picks, with its windows normalised where that is asked for."""

from __future__ import annotations

from typing import Any

from torch import nn

from hybrid_trainer.models.registry import MODELS, InputDims
from hybrid_trainer.models.window_norm import normalised
from hybrid_trainer.plugins import own_code


def make_model(name: str, dims: InputDims, parameters: dict[str, Any]) -> nn.Module:
    """Make a model of a family from flat parameters.

    Args:
        parameters: the family's own, and `window_norm` and `window_affine`, which all families have.

    Raises:
        ConfigError: a user's own family cannot be made of them; the text says where.
    """
    own = {key: value for key, value in parameters.items() if key not in ("window_norm", "window_affine")}
    maker = MODELS.get(name, "model.name")
    with own_code(f"model '{name}'", maker):
        model = maker(dims, **own)
        if not isinstance(model, nn.Module):
            raise TypeError(f"it made a {type(model).__name__}, which is no torch.nn.Module")
    norm = parameters.get("window_norm", "none")
    if norm == "none":
        return model
    return normalised(model, dims, norm, affine=parameters.get("window_affine", False))
