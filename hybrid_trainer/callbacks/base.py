"""What a callback is: five moments of a fit, and a state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hybrid_trainer.trainer import Trainer


class Callback:
    """Looks on while a model is trained; override the moments that matter."""

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
