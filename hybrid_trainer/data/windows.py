"""(B, T, F) batches gathered by index from the panel; no window is ever stored.

Shape legend: N rows of the panel, R decision rows, B batch, T time, F feature, C context column, K categorical input.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hybrid_trainer.types import Batch


@dataclass(frozen=True, kw_only=True)
class PanelTensors:
    """The panel and its labels on the device: what batches are gathered from.

    Attributes:
        features: (N, F) float32, scaled. context: (N, C) float32, scaled, NaN where a block is missing, or None.
        ids: (N, K) int32.
        targets: per task (N,) int64 or (N, D) float32, a valid stand-in where masked. mask: per task (N,) float32.
        steps: for a forecast, how many rows ahead its label reaches: `targets` holds its (N, C) columns once, and a
            label is gathered from the rows behind the decision row.
        weight: per task (N,) float32, for tasks whose rows do not all count the same.
    """

    features: Tensor
    context: Tensor | None
    ids: Tensor
    targets: dict[str, Tensor]
    mask: dict[str, Tensor]
    steps: dict[str, int] = field(default_factory=dict)
    weight: dict[str, Tensor] = field(default_factory=dict)

    def to(self, device: torch.device) -> PanelTensors:
        """The same on another device."""
        return PanelTensors(
            features=self.features.to(device),
            context=None if self.context is None else self.context.to(device),
            ids=self.ids.to(device),
            targets={task: values.to(device) for task, values in self.targets.items()},
            mask={task: values.to(device) for task, values in self.mask.items()},
            steps=self.steps,
            weight={task: values.to(device) for task, values in self.weight.items()},
        )

    def bytes(self) -> int:
        """The memory that they take."""
        parts = [self.features, self.ids, *self.targets.values(), *self.mask.values()]
        parts += [] if self.context is None else [self.context]
        return sum(part.numel() * part.element_size() for part in parts)

    def labels(self, task: str, rows: Tensor) -> Tensor:
        """The labels of (B,) rows: (B,) classes or (B, D) scaled numbers; a forecast's D = steps * C, row by row."""
        values = self.targets[task]
        if task not in self.steps:
            return values.index_select(0, rows)
        ahead = rows[:, None] + torch.arange(1, self.steps[task] + 1, device=rows.device)  # (B, steps)
        ahead = ahead.clamp(max=len(values) - 1)  # only a masked row reaches behind the end
        return values.index_select(0, ahead.flatten()).view(len(rows), -1)  # (B * steps, C) -> (B, steps * C)


class WindowLoader:
    """Batches of windows that end in given decision rows; iterating it once is one epoch.

    Every row comes once per epoch, the last batch may be smaller. With a seed, the order of epoch e is a function of
    (seed, e) alone: it consumes no global random state, and a resumed run finds the same order again.

    Args:
        panel: what is gathered from.
        rows: (R,) int64 decision rows; the caller has made sure that each window lies inside one segment.
        time_window: T.
        batch_size: B.
        shuffle_seed: None keeps the rows in order.
    """

    def __init__(
        self, panel: PanelTensors, rows: Tensor, *, time_window: int, batch_size: int, shuffle_seed: int | None = None
    ) -> None:
        self.panel = panel
        self.rows = rows.to(panel.features.device)
        self.batch_size = batch_size
        self.shuffle_seed = shuffle_seed
        self.epoch = 0
        self._offsets = torch.arange(1 - time_window, 1, device=panel.features.device)

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for rows in torch.split(self._ordered(), self.batch_size):
            yield self.gather(rows)

    def gather(self, rows: Tensor) -> Batch:
        """Gather the windows and labels of (B,) decision rows."""
        panel = self.panel
        index = (rows[:, None] + self._offsets).flatten()  # (B, T) -> (B * T,)
        x = panel.features.index_select(0, index).view(len(rows), len(self._offsets), -1)  # (B, T, F)
        return Batch(
            x=x,
            context=None if panel.context is None else panel.context.index_select(0, rows),
            ids=panel.ids.index_select(0, rows).long(),
            targets={task: panel.labels(task, rows) for task in panel.targets},
            mask={task: values.index_select(0, rows) for task, values in panel.mask.items()},
            row=rows,
            weight={task: values.index_select(0, rows) for task, values in panel.weight.items()},
        )

    def _ordered(self) -> Tensor:
        if self.shuffle_seed is None:
            return self.rows
        # One generator per (seed, epoch); the factor keeps neighbouring seeds' epochs apart.
        generator = torch.Generator().manual_seed(self.shuffle_seed * 1_000_003 + self.epoch)
        return self.rows[torch.randperm(len(self.rows), generator=generator).to(self.rows.device)]
