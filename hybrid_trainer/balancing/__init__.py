"""How the losses of several tasks become one update: a file per way, each with its source."""

from __future__ import annotations

from torch import Tensor, nn

from hybrid_trainer.balancing.base import Balancing
from hybrid_trainer.balancing.dwa import DynamicWeightAverage
from hybrid_trainer.balancing.gradnorm import GradNorm
from hybrid_trainer.balancing.pcgrad import PCGrad
from hybrid_trainer.balancing.uncertainty import Uncertainty
from hybrid_trainer.types import TargetSpec

__all__ = ["Balancing", "make_balancing"]


def make_balancing(
    kind: str, model: nn.Module, specs: list[TargetSpec], given: Tensor, *, alpha: float, temperature: float, seed: int
) -> Balancing:
    """Make a balancing by its name in `training.balancing.kind`.

    Args:
        model: on its device. specs: the tasks. given: (K,) their weights in `training.loss_weights`, on the device.
        alpha, temperature: of gradnorm and dwa. seed: of pcgrad's order of tasks.

    Raises:
        ConfigError: the tasks of this model share no weights that their gradients could be compared on.
    """
    tasks = [spec.name for spec in specs]
    if kind == "uncertainty":
        return Uncertainty(specs, given)
    if kind == "dwa":
        return DynamicWeightAverage(tasks, given, temperature)
    if kind == "gradnorm":
        return GradNorm(tasks, given, model, alpha)
    if kind == "pcgrad":
        return PCGrad(model, given, seed)
    return Balancing()
