"""Losses by name, each made for one task from flat options: a batch's raw outputs and labels become a loss per row.

A maker is called with the task's description and its options by name; what it makes, with raw outputs (B, D) (of a
gaussian head (B, 2D)) and labels (B,) or (B, D). Rows without a label come with a label of 0, and nobody looks at their
loss. Shape legend: B batch, D numbers or classes of a task, Q quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hybrid_trainer.config.losses import DEFAULT_LOSS, LossConfig
from hybrid_trainer.links import log_variance, pinball, to_scaled
from hybrid_trainer.registry import Registry
from hybrid_trainer.types import TargetSpec

TaskLoss = Callable[[Tensor, Tensor], Tensor]
LOSSES: Registry[Callable[..., TaskLoss]] = Registry("loss")


@LOSSES.register("cross_entropy")
@dataclass(frozen=True)
class CrossEntropy:
    """(B, D) logits, (B,) classes -> (B,) negative log-likelihood in nats.

    With label smoothing (Szegedy et al., 2016) a share of each label is spread evenly over all classes. A row's class
    weight is that of its label, in the spread share as well.
    """

    spec: TargetSpec
    label_smoothing: float = 0.0

    def __call__(self, raw: Tensor, target: Tensor) -> Tensor:
        """(B, D), (B,) -> (B,)."""
        return F.cross_entropy(raw, target, reduction="none", label_smoothing=self.label_smoothing)


@LOSSES.register("focal")
@dataclass(frozen=True)
class Focal:
    """(B, D) logits, (B,) classes -> (B,) -(1 - p)^gamma log p, p the label's probability (Lin et al., 2017)."""

    spec: TargetSpec
    gamma: float = 2.0

    def __call__(self, raw: Tensor, target: Tensor) -> Tensor:
        """(B, D), (B,) -> (B,)."""
        log_p = raw.log_softmax(dim=1).gather(1, target[:, None])[:, 0]  # (B,)
        # expm1 keeps the digits of a small 1 - p. Where it is 0, a power below 1 would have an infinite slope.
        other = (-torch.expm1(log_p)).clamp(min=torch.finfo(raw.dtype).tiny)
        return -(other**self.gamma) * log_p


@LOSSES.register("huber")
@dataclass(frozen=True)
class Huber:
    """(B, D) raw, (B, D) scaled labels -> (B,) Huber's (1964) loss, the mean over the D numbers: e²/2 up to `delta`."""

    spec: TargetSpec
    delta: float = 1.0

    def __call__(self, raw: Tensor, target: Tensor) -> Tensor:
        """(B, D), (B, D) -> (B,)."""
        return F.huber_loss(to_scaled(raw, self.spec), target, reduction="none", delta=self.delta).mean(dim=1)


@LOSSES.register("mse")
@dataclass(frozen=True)
class Mse:
    """(B, D) raw, (B, D) scaled labels -> (B,) squared error, the mean over the D numbers."""

    spec: TargetSpec

    def __call__(self, raw: Tensor, target: Tensor) -> Tensor:
        """(B, D), (B, D) -> (B,)."""
        return F.mse_loss(to_scaled(raw, self.spec), target, reduction="none").mean(dim=1)


@LOSSES.register("qlike")
@dataclass(frozen=True)
class Qlike:
    """(B, 1) raw, (B, 1) scaled labels -> (B,) r - log r - 1, r = realised variance / predicted variance.

    Patton's (2011) QLIKE, less its value at a perfect forecast. Labels and outputs are logarithms in scaled units, so
    log r = f * scale * (label - output), f 2 for logs of a standard deviation, and 1 for logs of a variance; r is
    positive whatever the head says, and the labels' shift cancels. Half a forecast costs more than a double one.
    Numbers that are no logarithm are refused by the config: a head without a link may call a variance negative.
    """

    spec: TargetSpec
    of: str | None = None

    def __call__(self, raw: Tensor, target: Tensor) -> Tensor:
        """(B, 1), (B, 1) -> (B,)."""
        (scale,) = self.spec.scale
        factor = scale if self.of == "log_variance" else 2.0 * scale
        log_ratio = factor * (target - to_scaled(raw, self.spec))[:, 0]
        return torch.expm1(log_ratio) - log_ratio


@LOSSES.register("gaussian")
@dataclass(frozen=True)
class Gaussian:
    """(B, 2D) raw, (B, D) scaled labels -> (B,) negative log-likelihood in nats of scaled labels, the mean over D.

    The head tells mean and log-variance (Nix and Weigend, 1994); see `links.log_variance`.
    """

    spec: TargetSpec

    def __call__(self, raw: Tensor, target: Tensor) -> Tensor:
        """(B, 2D), (B, D) -> (B,)."""
        spread = log_variance(raw, self.spec)  # (B, D)
        squares = (target - to_scaled(raw, self.spec)) ** 2
        return 0.5 * (math.log(2 * math.pi) + spread + squares * torch.exp(-spread)).mean(dim=1)


@LOSSES.register("pinball")
@dataclass(frozen=True)
class Pinball:
    """(B, Q) raw, (B, 1) scaled labels -> (B,) pinball loss of ordered quantiles, the mean over them."""

    spec: TargetSpec

    def __call__(self, raw: Tensor, target: Tensor) -> Tensor:
        """(B, Q), (B, 1) -> (B,)."""
        return pinball(to_scaled(raw, self.spec), target, self.spec.quantiles)


def make_losses(specs: list[TargetSpec], configs: Mapping[str, LossConfig]) -> dict[str, TaskLoss]:
    """The loss of each task that a config names one for."""
    return {
        spec.name: LOSSES.get(configs[spec.name].name, f"training.losses.{spec.name}")(
            spec, **configs[spec.name].options
        )
        for spec in specs
        if spec.name in configs
    }


def default_loss(spec: TargetSpec) -> TaskLoss:
    """The loss of a task's kind, with its default options."""
    return LOSSES.get(DEFAULT_LOSS[spec.kind], "training.losses")(spec)
