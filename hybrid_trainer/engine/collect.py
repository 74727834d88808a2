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
    gathered: dict[str, list[Tensor]] = {}
    for batch in loader:
        with precision.autocast():
            outputs = model(batch.x, batch.context, batch.ids)
        for task, raw in outputs.items():
            gathered.setdefault(task, []).append(raw.float())
    return {task: torch.cat(parts).cpu() for task, parts in gathered.items()}
