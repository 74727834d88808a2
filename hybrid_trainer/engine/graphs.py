"""A whole training step, from the gather to the optimizer, as one CUDA graph: the host only says 'again'.

Full batches replay it; an epoch's last, smaller one runs as any other step. Whatever a step reads or writes keeps its
address: weights, moments, the learning rate, the sums of losses and metrics, the panel, and the rows of the batch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from hybrid_trainer.engine.device import Precision

log = logging.getLogger(__name__)

_WARM_UP = 3  # steps in which libraries choose their kernels and the optimizer makes its moments


def why_not(
    precision: Precision,
    *,
    accumulate: int,
    panel_device: torch.device,
    alone: bool = True,
    gradients_by: str | None = None,
) -> str | None:
    """What makes a graph of the step impossible, in words; None: nothing that is known before it is tried.

    Args:
        gradients_by: the setting that takes the gradient of each task by itself in every step, if one does.
    """
    if precision.device.type != "cuda":
        return "there is no GPU"
    if not alone:
        return "several processes train together"
    if panel_device.type != "cuda":
        return "the panel is not on the GPU (training.data_device)"
    if gradients_by is not None:
        return f"{gradients_by} takes the gradient of each task by itself"
    if accumulate > 1:
        return "training.accumulate is above 1"
    if precision.dtype is torch.float16:
        return "float16 scales its loss by what the step before found; use training.precision=bf16"
    return None


class StepGraph:
    """Takes steps by their rows: some as they are, then one is captured, and all others of that size replay it.

    Args:
        batch_size: the rows of a full batch. optimizer: made with `capturable`.
    """

    def __init__(self, batch_size: int, device: torch.device, optimizer: torch.optim.Optimizer) -> None:
        self._rows = torch.zeros(batch_size, dtype=torch.int64, device=device)  # (B,) what the graph gathers
        self._optimizer = optimizer
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._graph: torch.cuda.CUDAGraph | None = None
        self._warm = 0
        self._impossible = False

    def take(self, rows: Tensor, step: Callable[[Tensor], None]) -> None:
        """Take a step on (B,) rows, a tensor on the device.

        Args:
            step: does all of it; the same in every call, and nothing in it waits for the device.
        """
        if len(rows) != len(self._rows) or self._impossible:
            step(rows)
        elif self._warm < _WARM_UP:
            self._warm += 1
            self._aside(rows, step)
        else:
            if self._graph is None and not self._capture(step):
                step(rows)
                return
            assert self._graph is not None
            self._rows.copy_(rows)
            self._graph.replay()

    def forget(self) -> None:
        """Let go of the graph: moments were loaded, which now lie elsewhere."""
        self._graph, self._warm = None, 0

    def _aside(self, rows: Tensor, step: Callable[[Tensor], None]) -> None:
        """A step on the stream that will be captured, as torch wants it before."""
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            step(rows)
        current.wait_stream(self._stream)

    def _capture(self, step: Callable[[Tensor], None]) -> bool:
        """Record a step without taking it; where that is impossible, say why in a line and leave all as it was."""
        graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                step(self._rows)
        except RuntimeError as error:
            torch.cuda.set_stream(current)  # torch leaves its own stream only where the capture ends well
            self._optimizer.zero_grad(set_to_none=True)
            self._impossible = True
            log.warning("training.compile=graphs: %s; training goes on without", str(error).partition("\n")[0])
            return False
        self._graph = graph
        return True
