"""The config of each loss: the entries of the open mapping `training.losses`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from hybrid_trainer.config.keys import check_choice, check_range, key
from hybrid_trainer.config.targets import TargetConfig, VolatilityTarget
from hybrid_trainer.errors import ConfigError, did_you_mean
from hybrid_trainer.plugins import hint
from hybrid_trainer.registry import Registry
from hybrid_trainer.types import Kind


@dataclass(kw_only=True)
class LossConfig:
    """What every loss says of itself."""

    name: str = key("", "which loss")

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of heads that it fits."""
        return ()

    @property
    def negative(self) -> bool:
        """Whether it may fall below zero, as a likelihood of numbers does: then ratios of it mean nothing."""
        return False

    @property
    def spread(self) -> bool:
        """Whether it needs a head that tells a standard deviation beside each number."""
        return False

    @property
    def options(self) -> dict[str, Any]:
        """What its maker in `hybrid_trainer/losses.py` is given, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "name"}

    def unfit(self, target: TargetConfig) -> str | None:
        """What of a target it has no meaning for, in words, with what would be right; None: nothing."""
        return None


LOSS_CONFIGS: Registry[type[LossConfig]] = Registry("loss")


@LOSS_CONFIGS.register("cross_entropy")
@dataclass(kw_only=True)
class CrossEntropyConfig(LossConfig):
    """Negative log-likelihood of classes."""

    name: str = key("cross_entropy", "which loss")
    label_smoothing: float = key(0.0, "share of a label that is spread evenly over all classes")

    def __post_init__(self) -> None:
        check_range("label_smoothing", self.label_smoothing, low=0, high=0.99)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Classes."""
        return ("classification",)


@LOSS_CONFIGS.register("focal")
@dataclass(kw_only=True)
class FocalConfig(LossConfig):
    """Cross-entropy in which rows count less the better they are told already."""

    name: str = key("focal", "which loss")
    gamma: float = key(2.0, "how much less: (1 - probability of the label) to this power; 0: cross_entropy")

    def __post_init__(self) -> None:
        check_range("gamma", self.gamma, low=0, high=20)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Classes."""
        return ("classification",)


@LOSS_CONFIGS.register("huber")
@dataclass(kw_only=True)
class HuberConfig(LossConfig):
    """Squared error near the label, absolute error far from it."""

    name: str = key("huber", "which loss")
    delta: float = key(1.0, "where the one becomes the other, in standard deviations of the training labels")

    def __post_init__(self) -> None:
        check_range("delta", self.delta, above=0)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Numbers, one by one."""
        return ("regression", "forecast")


@LOSS_CONFIGS.register("mse")
@dataclass(kw_only=True)
class MseConfig(LossConfig):
    """Squared error."""

    name: str = key("mse", "which loss")

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Numbers, one by one."""
        return ("regression", "forecast")


@LOSS_CONFIGS.register("qlike")
@dataclass(kw_only=True)
class QlikeConfig(LossConfig):
    """Likelihood of a variance forecast, judged by the ratio of label and forecast."""

    name: str = key("qlike", "which loss")
    of: str | None = key(
        None,
        "what the labels are: log_volatility (of a standard deviation) or log_variance; null: those of "
        "builder=volatility, which is a log_volatility",
    )

    def __post_init__(self) -> None:
        if self.of is not None:
            check_choice("of", self.of, ["log_volatility", "log_variance"])

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Numbers."""
        return ("regression",)

    def unfit(self, target: TargetConfig) -> str | None:
        """Labels that are no logarithm: nothing keeps such a head above zero, where alone the ratio has a meaning."""
        if isinstance(target, VolatilityTarget):
            return "is a log_volatility; leave 'of' out" if self.of == "log_variance" else None
        if target.builder != "column":
            return "is no volatility; qlike is for builder=volatility and for columns that hold the log of one"
        if self.of is None:
            return "is a column: say of=log_volatility or of=log_variance, if it is the logarithm of one of them"
        return None


@LOSS_CONFIGS.register("gaussian")
@dataclass(kw_only=True)
class GaussianConfig(LossConfig):
    """Likelihood of a mean and a standard deviation, both of which the head tells."""

    name: str = key("gaussian", "which loss")

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Numbers."""
        return ("regression",)

    @property
    def negative(self) -> bool:
        """A density may be above 1."""
        return True

    @property
    def spread(self) -> bool:
        """Its own second half."""
        return True


@LOSS_CONFIGS.register("pinball")
@dataclass(kw_only=True)
class PinballConfig(LossConfig):
    """What quantiles minimise."""

    name: str = key("pinball", "which loss")

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Quantiles."""
        return ("quantile",)


DEFAULT_LOSS: dict[Kind, str] = {
    "classification": "cross_entropy",
    "regression": "huber",
    "quantile": "pinball",
    "forecast": "mse",
}
"""The loss of each kind of head where none is named."""


def loss_schema(name: str, path: str) -> type[LossConfig]:
    """The dataclass of a loss; for an unknown name raise ConfigError naming the key at `path`."""
    if name not in LOSS_CONFIGS:
        raise ConfigError(f"{path}: there is no loss '{name}'{did_you_mean(name, LOSS_CONFIGS)}{hint()}")
    return LOSS_CONFIGS.get(name, path)


def names_for(kind: Kind) -> list[str]:
    """The losses that fit a kind of head."""
    return [name for name in LOSS_CONFIGS if kind in LOSS_CONFIGS.get(name, "")().kinds]
