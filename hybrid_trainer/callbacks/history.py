"""The history file: one JSON line per epoch, byte-identical for identical runs, so no times in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_trainer.callbacks.base import Callback
from hybrid_trainer.runs.atomic import named_in_errors, without_nan, write_text
from hybrid_trainer.types import EpochRow

if TYPE_CHECKING:
    from hybrid_trainer.trainer import Trainer


class HistoryFile(Callback):
    """Appends each epoch row to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fit_start(self, trainer: Trainer) -> None:
        """Cut a resumed run's file back to the epochs that its checkpoint knows: nothing stands there twice."""
        if trainer.history or self.path.exists():
            write_text(self.path, "".join(map(_line, trainer.history)))

    def epoch_end(self, trainer: Trainer) -> None:
        """Write the row of the epoch that has ended."""
        with named_in_errors(self.path), self.path.open("a", encoding="utf-8") as stream:
            stream.write(_line(trainer.history[-1]))


def _line(row: EpochRow) -> str:
    return json.dumps(without_nan(row), allow_nan=False) + "\n"
