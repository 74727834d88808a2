"""What a fit costs: time, CPU, memory and GPU, in resources.jsonl and TensorBoard, never in the history."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import torch

from hybrid_trainer.callbacks.base import Callback
from hybrid_trainer.callbacks.tensorboard import TensorBoard
from hybrid_trainer.runs.atomic import named_in_errors

if TYPE_CHECKING:
    from hybrid_trainer.trainer import Trainer

_MIB = 2**20


class Resources(Callback):
    """Appends a row at the end of each epoch, and one between in epochs that take longer than `every_seconds`.

    A row: `epoch` (finished ones), `step` (of the one under way; none at an epoch's end), `seconds` since the last row,
    `steps_per_second`, `cpu_percent` of this process (100: one core busy), `machine_cpu_percent`, `rss_mib` and
    `peak_rss_mib` of this process, `machine_memory_percent`; on a GPU `gpu_memory_mib` and `gpu_peak_memory_mib` of
    this process's tensors and `gpu_memory_percent` of the whole card.

    Args:
        path: the file. every_seconds: the longest time without a row.
        tensorboard: who draws the epochs' rows as well; None: nobody.
    """

    def __init__(self, path: Path, every_seconds: float, tensorboard: TensorBoard | None = None) -> None:
        self.path = path
        self.every_seconds = every_seconds
        self.tensorboard = tensorboard
        self._process = psutil.Process()
        self._began = self._cpu_began = 0.0
        self._steps = 0

    def fit_start(self, trainer: Trainer) -> None:
        """Start the clocks."""
        psutil.cpu_percent()  # its first answer says nothing
        self._restart()

    def step_end(self, trainer: Trainer) -> None:
        """Write a row where the last one is long ago."""
        self._steps += 1
        if time.perf_counter() - self._began >= self.every_seconds:
            self._write({"epoch": trainer.epoch, "step": trainer.step_in_epoch} | self._row(trainer.device))

    def epoch_end(self, trainer: Trainer) -> None:
        """Write the epoch's row."""
        row = self._row(trainer.device)
        self._write({"epoch": trainer.epoch} | row)
        if self.tensorboard is not None:
            self.tensorboard.write({f"resources/{name}": value for name, value in row.items()}, trainer.epoch)

    def _row(self, device: torch.device) -> dict[str, float]:
        seconds = max(time.perf_counter() - self._began, 1e-9)
        row = {
            "seconds": seconds,
            "steps_per_second": self._steps / seconds,
            "cpu_percent": 100 * (self._cpu_seconds() - self._cpu_began) / seconds,
            "machine_cpu_percent": psutil.cpu_percent(),
            "rss_mib": self._process.memory_info().rss / _MIB,
            "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,  # Linux counts it in KiB
            "machine_memory_percent": psutil.virtual_memory().percent,
        }
        if device.type == "cuda":
            free, total = torch.cuda.mem_get_info(device)
            row |= {
                "gpu_memory_mib": torch.cuda.memory_allocated(device) / _MIB,
                "gpu_peak_memory_mib": torch.cuda.max_memory_allocated(device) / _MIB,
                "gpu_memory_percent": 100 * (1 - free / total),
            }
        return {name: round(value, 3) for name, value in row.items()}

    def _write(self, row: dict[str, float]) -> None:
        with named_in_errors(self.path), self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
        self._restart()

    def _restart(self) -> None:
        self._began, self._cpu_began, self._steps = time.perf_counter(), self._cpu_seconds(), 0

    def _cpu_seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)
