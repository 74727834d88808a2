"""Parts of a model that don't learn: their weights stay, and so do the statistics of their norms; nothing drops out."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from hybrid_trainer.errors import ConfigError, did_you_mean

_MARK = "frozen_by_config"


def freeze(model: nn.Module, parts: Sequence[str]) -> int:
    """Keep parts of a model from learning; returns how many numbers stay.

    A module whose parameters all stay is kept as in evaluation, with everything in it: a dropout in front of layers
    that learn would be noise that nothing can learn to do without.

    Args:
        parts: names of modules or parameters, each with all below it, or patterns: convolution, heads.head_*.

    Raises:
        ConfigError: a name fits nothing, or nothing is left to learn.
    """
    if not parts:
        return 0
    parameters = dict(model.named_parameters())
    for part in parts:
        fitting = [name for name in parameters if _fits(name, part)]
        if not fitting:
            raise ConfigError(f"model.freeze: the model has no part '{part}'{did_you_mean(part, _parts(model))}")
        for name in fitting:
            parameters[name].requires_grad_(False)
    if not any(p.requires_grad for p in parameters.values()):
        raise ConfigError(f"model.freeze: {list(parts)} is all of the model: nothing is left to learn")
    for module in model.modules():
        inside = list(module.parameters())
        if inside and not any(p.requires_grad for p in inside):
            setattr(module, _MARK, True)
    return sum(p.numel() for p in parameters.values() if not p.requires_grad)


def learning(model: nn.Module) -> None:
    """Put a model into training mode, its frozen parts aside."""
    model.train()
    for module in model.modules():
        if getattr(module, _MARK, False):
            module.eval()
    for module in model.modules():
        if getattr(module, _MARK, False) and isinstance(module, nn.RNNBase):
            module.dropout = 0.0
            module.train()  # cuDNN has no backward pass through one in evaluation mode


def _fits(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.") or fnmatchcase(name, part)


def _parts(model: nn.Module) -> list[str]:
    """The parts that a user may name, the large ones first."""
    named = [name for name, module in model.named_modules() if name and any(True for _ in module.parameters())]
    return sorted(named, key=lambda name: name.count("."))
