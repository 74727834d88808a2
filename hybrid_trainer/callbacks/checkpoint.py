"""Keep the best epoch and the last one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_trainer.callbacks.base import Callback
from hybrid_trainer.engine.checkpoint_file import save_checkpoint
from hybrid_trainer.monitor import Monitor

if TYPE_CHECKING:
    from hybrid_trainer.trainer import Trainer


class Checkpoint(Callback):
    """Writes `last.pt` after every epoch, and `best.pt` when the monitor improved.

    Args:
        folder: where the files go. monitor: decides what is best.
    """

    def __init__(self, folder: Path, monitor: Monitor) -> None:
        self.folder = folder
        self.monitor = monitor

    @property
    def best_path(self) -> Path:
        """The best epoch's file."""
        return self.folder / "best.pt"

    def epoch_end(self, trainer: Trainer) -> None:
        """Save; 'improved?' is the monitor's answer alone."""
        improved = self.monitor.update(trainer.history[-1])
        state = trainer.state_dict()
        if improved:
            save_checkpoint(self.best_path, state)
        save_checkpoint(self.folder / "last.pt", state)

    def state_dict(self) -> dict[str, Any]:
        """The monitor's."""
        return {"monitor": self.monitor.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state."""
        self.monitor.load_state_dict(state["monitor"])
