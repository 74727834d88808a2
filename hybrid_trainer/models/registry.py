"""Model families by name: config and saved models name one, nothing else picks code.

A family is made with `maker(dims, **flat parameters)` and called with (x, context, ids); it gives {task: (B, D) raw}.
Context is NaN in all columns of a block that is missing in a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn

from hybrid_trainer.registry import Registry


@dataclass(frozen=True, kw_only=True)
class InputDims:
    """What the data says of a model's inputs and heads.

    Attributes:
        features: F. time_window: T. context: columns of each context block, C together.
        vocabularies: categories of each of the K categorical inputs, `<unk>` included.
        heads: outputs D of each task, in the order of the heads.
        forecast_columns: of each forecast whose C columns are features, which of the F they are.
        forecast_scales: for each of these columns [gain, offset]: scaled label = gain * scaled feature + offset.
    """

    features: int
    context: dict[str, int]
    time_window: int
    vocabularies: dict[str, int]
    heads: dict[str, int]
    forecast_columns: dict[str, list[int]] = field(default_factory=dict)
    forecast_scales: dict[str, list[list[float]]] = field(default_factory=dict)


MODELS: Registry[Callable[..., nn.Module]] = Registry("model")
NOT_PARAMETERS = frozenset({"name", "time_window", "heads"})
"""Keys of a model's config that say what data it gets, not how it is made."""
