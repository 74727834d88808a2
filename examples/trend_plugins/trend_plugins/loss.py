"""A loss: a batch's raw outputs and labels become a loss per row.

Shape legend: B batch, D numbers of a task.
"""

import math
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from hybrid_trainer.extend import LossConfig, TargetSpec, check_range, key, loss, to_scaled


@dataclass(kw_only=True)
class LogCoshConfig(LossConfig):
    """The logarithm of the hyperbolic cosine of the error: squares near the label, absolute errors far from it."""

    width: float = key(1.0, "where the one becomes the other, in standard deviations of the training labels")

    def __post_init__(self) -> None:
        check_range("width", self.width, above=0)


@loss("log_cosh", LogCoshConfig, kinds=("regression", "forecast"))
class LogCosh:
    """(B, D) raw, (B, D) scaled labels -> (B,), the mean over the D numbers."""

    def __init__(self, spec: TargetSpec, *, width: float) -> None:
        self.spec = spec
        self.width = width

    def __call__(self, raw: Tensor, target: Tensor) -> Tensor:
        """Masks and weights come later; labels of rows without one are 0."""
        error = (to_scaled(raw, self.spec) - target) / self.width
        each = error + F.softplus(-2 * error) - math.log(2)  # cosh itself would overflow
        return self.width**2 * each.mean(dim=1)
