"""Model families by name: config and saved models name one, nothing else picks code.

A family is made with `maker(dims, **flat parameters)` and called with (x, context, ids); it gives {task: (B, D) raw}.
Context is NaN in all columns of a block that is missing in a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from hybrid_trainer.plugins import own_code
from hybrid_trainer.registry import Registry


@dataclass(frozen=True, kw_only=True)
class InputDims:
    """What the data says of a model's inputs and heads.

    Attributes:
        features: F. time_window: T. context: columns of each context block, C together.
        vocabularies: categories of each of the K categorical inputs, `<unk>` included.
        heads: outputs D of each task, in the order of the heads.
    """

    features: int
    context: dict[str, int]
    time_window: int
    vocabularies: dict[str, int]
    heads: dict[str, int]


MODELS: Registry[Callable[..., nn.Module]] = Registry("model")
NOT_PARAMETERS = frozenset({"name", "time_window", "heads", "init_from", "freeze"})
"""Keys of a model's config that say what data it gets and how it begins, not how it is made."""


def make_model(name: str, dims: InputDims, parameters: dict[str, Any]) -> nn.Module:
    """Make a model of a family from flat parameters.

    Raises:
        ConfigError: a user's own family cannot be made of them; the text says where.
    """
    maker = MODELS.get(name, "model.name")
    with own_code(f"model '{name}'", maker):
        made = maker(dims, **parameters)
        if not isinstance(made, nn.Module):
            raise TypeError(f"it made a {type(made).__name__}, which is no torch.nn.Module")
        return made
