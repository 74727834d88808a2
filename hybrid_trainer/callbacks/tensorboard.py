"""Epoch rows as TensorBoard scalars, train and valid of one metric in one chart each."""

from __future__ import annotations

import math
import os
import socket
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hybrid_trainer.callbacks.base import Callback
from hybrid_trainer.runs.atomic import named_in_errors

if TYPE_CHECKING:
    from hybrid_trainer.trainer import Trainer


class TensorBoard(Callback):
    """Writes every number of an epoch row; valid/signal/macro_f1 becomes signal/macro_f1/valid."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: EventFile | None = None

    def fit_start(self, trainer: Trainer) -> None:
        """Open an event file; a resumed run's hides what former ones say of epochs behind the checkpoint."""
        purge = trainer.epoch + 1 if self.folder.exists() else None  # the first epoch that is still to come
        self._file = EventFile(self.folder, purge)

    def epoch_end(self, trainer: Trainer) -> None:
        """Write the row; a NaN (a metric without any label) would only break the chart."""
        row = trainer.history[-1]
        self.write({_tag(name): value for name, value in row.items() if name != "epoch"}, int(row["epoch"]))

    def write(self, scalars: dict[str, float], epoch: int) -> None:
        """Draw one point of each curve; also for callbacks that have numbers of their own."""
        assert self._file is not None
        self._file.write({tag: value for tag, value in scalars.items() if math.isfinite(value)}, epoch)

    def fit_end(self, trainer: Trainer) -> None:
        """Nothing is left to be written."""
        self._file = None


class EventFile:
    """A file of TensorBoard's own format, written at once: its writer does that in a thread, whose errors come late.

    Args:
        folder: where to. purge: hide the steps from here on that the folder's other files hold; None: there are none.
    """

    def __init__(self, folder: Path, purge: int | None) -> None:
        # Where TensorFlow is installed, TensorBoard would import it to write a file: seconds, and warnings of its own.
        # A module of this name is how TensorBoard itself is told to do without.
        sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
        from tensorboard.compat.proto import event_pb2  # a quarter of a second, which only runs that train need

        self._messages: Any = event_pb2
        folder.mkdir(parents=True, exist_ok=True)
        # Files are read in the order of their names: a second that has one already would leave it to the numbers of the
        # processes which comes last.
        taken = [int(path.name.split(".")[3]) for path in folder.glob("events.out.tfevents.*")]
        second = max([int(time.time()), *(other + 1 for other in taken)])
        self.path = folder / f"events.out.tfevents.{second:010}.{socket.gethostname()}.{os.getpid()}.0"
        first = {} if purge is None else {"step": purge}
        events = [event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2", **first)]
        if purge is not None:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            events.append(event_pb2.Event(wall_time=time.time(), step=purge, session_log=start))
        self._append(events)

    def write(self, scalars: dict[str, float], step: int) -> None:
        """Append one point of each curve."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        points = [Summary(value=[Summary.Value(tag=tag, simple_value=value)]) for tag, value in scalars.items()]
        self._append([self._messages.Event(wall_time=time.time(), step=step, summary=point) for point in points])

    def _append(self, events: list[Any]) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        with named_in_errors(self.path), self.path.open("ab") as stream:
            writer = RecordWriter(stream)
            for event in events:
                writer.write(event.SerializeToString())


def _tag(name: str) -> str:
    """valid/signal/macro_f1 -> signal/macro_f1/valid: TensorBoard groups by the first word."""
    part, _, rest = name.partition("/")
    if part not in ("train", "valid"):
        return name
    return f"{rest}/{part}"
