"""Epoch rows as TensorBoard scalars, train and valid of one metric in one chart each."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hybrid_trainer.callbacks.base import Callback

if TYPE_CHECKING:
    from hybrid_trainer.trainer import Trainer


class TensorBoard(Callback):
    """Writes every number of an epoch row; valid/signal/macro_f1 becomes signal/macro_f1/valid."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer: Any = None

    def fit_start(self, trainer: Trainer) -> None:
        """Open an event file; a resumed run's hides what former ones say of epochs behind the checkpoint."""
        # Where TensorFlow is installed, TensorBoard would import it to write a file: seconds, and warnings of its own.
        # A module of this name is how TensorBoard itself is told to do without.
        sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
        from torch.utils.tensorboard import SummaryWriter  # half a second, which only runs that train need

        purge = trainer.epoch + 1 if self.folder.exists() else None  # the first epoch that is still to come
        self._writer = SummaryWriter(str(self.folder), purge_step=purge)

    def epoch_end(self, trainer: Trainer) -> None:
        """Write the row; a NaN (a metric without any label) would only break the chart."""
        row = trainer.history[-1]
        self.write({_tag(name): value for name, value in row.items() if name != "epoch"}, int(row["epoch"]))

    def write(self, scalars: dict[str, float], epoch: int) -> None:
        """Draw one point of each curve; also for callbacks that have numbers of their own."""
        for tag, value in scalars.items():
            if math.isfinite(value):
                self._writer.add_scalar(tag, value, epoch)
        self._writer.flush()

    def fit_end(self, trainer: Trainer) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()


def _tag(name: str) -> str:
    """valid/signal/macro_f1 -> signal/macro_f1/valid: TensorBoard groups by the first word."""
    part, _, rest = name.partition("/")
    if part not in ("train", "valid"):
        return name
    return f"{rest}/{part}"
