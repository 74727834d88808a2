"""Stop training when the monitor has not improved for `patience` epochs, or enough tasks have not by their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hybrid_trainer.callbacks.base import Callback
from hybrid_trainer.monitor import Monitor, Quorum

if TYPE_CHECKING:
    from hybrid_trainer.trainer import Trainer


class EarlyStopping(Callback):
    """Carries the decision; the monitor makes it."""

    def __init__(self, monitor: Monitor | Quorum, patience: int) -> None:
        self.monitor = monitor
        self.patience = patience

    def fit_start(self, trainer: Trainer) -> None:
        """A run that is resumed may have stalled for long enough already; by a longer patience it goes on."""
        self._judge(trainer)

    def epoch_end(self, trainer: Trainer) -> None:
        """Ask the trainer to stop once the monitor has stalled for `patience` epochs."""
        self.monitor.update(trainer.history[-1])
        self._judge(trainer)

    def _judge(self, trainer: Trainer) -> None:
        if why := self.monitor.why_stalled(self.patience):
            trainer.stop_reason = f"early stopping: {why}"

    def state_dict(self) -> dict[str, Any]:
        """The monitor's."""
        return {"monitor": self.monitor.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state."""
        self.monitor.load_state_dict(state["monitor"])
