"""The config of how the losses of several tasks become one update."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_trainer.config.keys import check_choice, check_range, key

RATIOS = ("uncertainty", "dwa", "gradnorm")
"""Kinds that compare a loss with itself or its logarithm: one below zero means nothing to them."""

BY_TASK = ("gradnorm", "pcgrad")
"""Kinds that look at the gradient of each task by itself."""


@dataclass(kw_only=True)
class BalancingConfig:
    """How much each task counts, or whose gradient gives way, while a model is trained."""

    kind: str = key(
        "fixed",
        "fixed: loss_weights as they are | uncertainty: weights learned as the tasks' noise | dwa: more weight for "
        "losses that fall slowly, per epoch | gradnorm: weights that even the tasks' gradients out | pcgrad: gradients "
        "that conflict are projected; loss_weights multiply in each",
    )
    alpha: float = key(1.5, "kind=gradnorm: how much more a task may pull that learns slowly; 0: all pull the same")
    temperature: float = key(2.0, "kind=dwa: how even the weights are; the larger, the more")

    def __post_init__(self) -> None:
        check_choice("training.balancing.kind", self.kind, ["fixed", "uncertainty", "dwa", "gradnorm", "pcgrad"])
        check_range("training.balancing.alpha", self.alpha, low=0)
        check_range("training.balancing.temperature", self.temperature, above=0)
