"""What a callback is: five moments of a fit, and a state; and those of plug-ins by name. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_trainer.errors import ConfigError
from hybrid_trainer.plugins import own_code
from hybrid_trainer.registry import Registry

if TYPE_CHECKING:
    from hybrid_trainer.trainer import Trainer


class Callback:
    """Looks on while a model is trained; override the moments that matter.

    Attributes:
        key: what its state is called in a checkpoint; empty: its class's name.
    """

    key: str = ""

    def fit_start(self, trainer: Trainer) -> None:
        """Before the first epoch."""

    def step_end(self, trainer: Trainer) -> None:
        """After each training step; must not wait for the device."""

    def epoch_end(self, trainer: Trainer) -> None:
        """After each epoch; `trainer.history[-1]` is its row."""

    def interrupted(self, trainer: Trainer) -> None:
        """Before a signal ends the fit, between two steps or in the middle of a validation."""

    def fit_end(self, trainer: Trainer) -> None:
        """After the last epoch, also when training ends by an error."""

    def state_dict(self) -> dict[str, Any]:
        """All that changes during a fit, as plain types."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state."""


EXTRA: Registry[Callable[..., Callback]] = Registry("callback")


def make_extra(name: str, folder: Path, parameters: dict[str, Any]) -> Callback:
    """Make a plug-in's callback with `maker(folder, **parameters)`; `folder` is the run's.

    Raises:
        ConfigError: it cannot be made of them; the text says where.
    """
    maker = EXTRA.get(name, "callbacks.extra")
    with own_code(f"callback '{name}'", maker):
        made = maker(folder, **parameters)
    if not isinstance(made, Callback):
        raise ConfigError(f"callback '{name}': it made a {type(made).__name__}, which is no Callback")
    made.key = f"extra.{name}"
    return made
