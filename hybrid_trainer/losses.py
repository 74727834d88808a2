"""Losses by name, each made for one task from flat options: a batch's raw outputs and labels become a loss per row.

A maker is called with the task's description and its options by name; what it makes, with raw outputs (B, D) (of a
gaussian head (B, 2D)) and labels (B,) or (B, D). Rows without a label come with a label of 0, and nobody looks at their
loss. Shape legend: B batch, D numbers or classes of a task, Q quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hybrid_trainer.config.losses import DEFAULT_LOSS, LossConfig
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.links import log_variance, pinball, to_scaled
from hybrid_trainer.plugins import is_own, own_code
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
    """The loss of each task that a config names one for.

    Raises:
        ConfigError: a plug-in's cannot be made of its options; the text says where.
    """
    made = {}
    for spec, config, maker in _makers(specs, configs):
        with own_code(_of(spec, config), maker):
            loss = maker(spec, **config.options)
        made[spec.name] = Own(loss, _of(spec, config), maker) if is_own(maker) else loss
    return made


@dataclass(frozen=True)
class Own:
    """A plug-in's loss: what goes wrong in it, in training as well, is one line that names it."""

    loss: TaskLoss
    what: str
    maker: Callable[..., TaskLoss]

    def __call__(self, raw: Tensor, target: Tensor) -> Tensor:
        """As the loss itself.

        Raises:
            ConfigError: it fails, or gives no loss per row; the text says where.
        """
        with own_code(self.what, self.maker):
            loss = self.loss(raw, target)
        if fault := _shape_fault(loss, len(raw)):
            raise ConfigError(f"{self.what}: {fault}")
        return loss


def _makers(
    specs: list[TargetSpec], configs: Mapping[str, LossConfig]
) -> Iterator[tuple[TargetSpec, LossConfig, Callable[..., TaskLoss]]]:
    for spec in specs:
        if spec.name in configs:
            config = configs[spec.name]
            yield spec, config, LOSSES.get(config.name, f"training.losses.{spec.name}")


def _of(spec: TargetSpec, config: LossConfig) -> str:
    return f"loss '{config.name}' of task '{spec.name}'"


def tasks_of_plug_ins(specs: list[TargetSpec], configs: Mapping[str, LossConfig]) -> list[str]:
    """The tasks whose loss is a plug-in's."""
    return [spec.name for spec, _, maker in _makers(specs, configs) if is_own(maker)]


def try_losses(
    specs: list[TargetSpec],
    configs: Mapping[str, LossConfig],
    made: Mapping[str, TaskLoss],
    labels: Mapping[str, Tensor],
) -> None:
    """Ask losses for those of a few labels once, with outputs drawn at random: what fails is told before training.

    Args:
        made: what `make_losses` made. labels: (n,) classes or (n, D) scaled labels of each task that is to be tried.

    Raises:
        ConfigError: one fails, or gives no loss per row that can be minimised; the text says where.
    """
    for spec, config, maker in _makers(specs, configs):
        label, what = labels.get(spec.name), _of(spec, config)
        if label is None or not len(label):
            continue
        raw = torch.randn(len(label), spec.outputs, generator=torch.Generator().manual_seed(0))
        raw = raw.to(label.device).requires_grad_()
        with own_code(what, maker), torch.enable_grad():
            loss = made[spec.name](raw, label)
            if not loss.requires_grad:
                cut = "it does not depend on the outputs by operations of torch: nothing could be learned from it"
                raise ConfigError(f"{what}: {cut}")
            (slope,) = torch.autograd.grad(loss.sum(), raw, allow_unused=True)
        if fault := _number_fault(loss.detach(), slope, negative=config.negative):
            raise ConfigError(f"{what}: {fault}")


def _shape_fault(loss: object, rows: int) -> str | None:
    if not isinstance(loss, Tensor):
        return f"it gave a {type(loss).__name__}; it must be a torch.Tensor with a loss per row"
    if loss.shape != (rows,):
        return f"it gave {tuple(loss.shape)} for {rows} rows; it must be ({rows},), a loss per row"
    return None


def _number_fault(loss: Tensor, gradient: Tensor | None, *, negative: bool) -> str | None:
    """What is wrong with (n,) losses and the (n, D) gradients of the outputs."""
    bad = int((~loss.isfinite()).sum())
    if bad:
        return f"it is not finite for {bad} of {len(loss)} training labels and outputs around 0"
    if gradient is None:
        return "it does not depend on the outputs: nothing could be learned from it"
    if not bool(gradient.isfinite().all()):
        return "its gradient is not finite for training labels and outputs around 0"
    if not negative and float(loss.min()) < -1e-6:
        return f"it is {float(loss.min()):.4g} for some outputs; if that is meant, let its config's `negative` be True"
    return None


def default_loss(spec: TargetSpec) -> TaskLoss:
    """The loss of a task's kind, with its default options."""
    return LOSSES.get(DEFAULT_LOSS[spec.kind], "training.losses")(spec)
