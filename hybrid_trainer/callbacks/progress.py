"""How far training is: bars on a terminal, a line per epoch in the log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO, cast

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from hybrid_trainer.callbacks.base import Callback
from hybrid_trainer.runs.logs import has_gone

if TYPE_CHECKING:
    from hybrid_trainer.trainer import Trainer

log = logging.getLogger(__name__)
_LOOK_EVERY_S = 0.5


class _Terminal:
    """The terminal's stream; once it is closed nothing is shown, which must not keep a run from its last checkpoint."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or leave it."""
        self._or_leave_it(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush, or leave it."""
        self._or_leave_it(self._stream.flush)

    def _or_leave_it(self, work: Callable[[], object]) -> None:
        try:
            work()
        except OSError as error:
            if not has_gone(error):
                raise


class ProgressReport(Callback):
    """Logs a line per epoch; on a terminal, bars below it show epochs, batches, the running loss and the time left."""

    def __init__(self) -> None:
        self._bars: Progress | None = None
        self._epochs = TaskID(0)
        self._batches = TaskID(0)
        self._epoch_started = self._looked = 0.0

    def fit_start(self, trainer: Trainer) -> None:
        """Show the bars where there is a terminal."""
        self._epoch_started = time.perf_counter()
        if not sys.stdout.isatty():
            return
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            transient=True,
            console=Console(file=cast(TextIO, _Terminal(sys.stdout))),
        )
        self._epochs = self._bars.add_task("epochs", total=trainer.epochs, completed=trainer.epoch, loss="")
        self._batches = self._bars.add_task("batches", total=trainer.steps_per_epoch, loss="")
        self._bars.start()

    def step_end(self, trainer: Trainer) -> None:
        """Look at the device at most twice a second."""
        now = time.perf_counter()
        if self._bars is None or now - self._looked < _LOOK_EVERY_S:
            return
        self._looked = now
        loss = trainer.tally.running_loss() if trainer.tally else float("nan")
        self._bars.update(self._batches, completed=trainer.step_in_epoch, loss=f"loss {loss:.4f}")

    def epoch_end(self, trainer: Trainer) -> None:
        """Log the epoch's line."""
        row = trainer.history[-1]
        seconds = time.perf_counter() - self._epoch_started
        self._epoch_started = time.perf_counter()
        shown = "  ".join(f"{name} {row[name]:.4f}" for name in ("train/loss", "valid/loss"))
        tasks = "  ".join(
            f"{name.split('/')[1]} {value:.4f}"
            for name, value in row.items()
            if name.startswith("valid/") and name.endswith("/loss") and name.count("/") == 2
        )
        log.info(
            "epoch %*d/%d  %s  (valid by task: %s)  lr %.2g  %.1f s",
            len(str(trainer.epochs)),
            trainer.epoch,
            trainer.epochs,
            shown,
            tasks,
            row["lr"],
            seconds,
        )
        if self._bars is not None:
            self._bars.update(self._epochs, completed=trainer.epoch)
            self._bars.update(self._batches, completed=0, loss="")

    def fit_end(self, trainer: Trainer) -> None:
        """Take the bars away."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
