"""A model's raw outputs for many rows, gathered on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hybrid_trainer.data.windows import WindowLoader
from hybrid_trainer.engine.device import Precision


@torch.inference_mode()
def collect(model: nn.Module, loader: WindowLoader, precision: Precision) -> dict[str, Tensor]:
    """Run every batch in order; returns {task: (R, D) float32 raw outputs}, a row per decision row of the loader."""
    model.eval()
    gathered: dict[str, Tensor] = {}
    done = 0
    for batch in loader:
        with precision.autocast():
            outputs = model(batch.x, batch.context, batch.ids)
        for task, raw in outputs.items():
            if task not in gathered:
                # One tensor for all rows: thousands of small ones kept between large ones that come and go would hold
                # many times their size in the allocator.
                gathered[task] = torch.empty(len(loader.rows), raw.shape[1], device=raw.device)
            gathered[task][done : done + len(raw)] = raw
        done += len(batch.row)
    return {task: values.cpu() for task, values in gathered.items()}
