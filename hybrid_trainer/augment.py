"""What training does to its windows and to nothing else: noise, hidden stretches, hidden features, mixtures of two.

Shape legend: B batch, T time, F feature, C context column, D output of a head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from hybrid_trainer.types import Batch


class Augmentation:
    """Changes training batches at random, on their device, in this order; nothing in it waits for the device.

    Numbers are drawn from torch's own generators, so the same seed gives the same bits, and a resumed run goes on with
    the next ones.

    Args:
        input_noise: standard deviation of the Gaussian noise on every scaled feature.
        time_mask: largest share of the window that is set to 0 in one stretch, whose length is drawn for each window;
            the decision row is never in it, since every label is told from there on.
        feature_mask: rate at which each feature of each window is set to 0 in all rows.
        mixup: alpha of Beta(alpha, alpha), from which each batch's share is drawn (Zhang et al., 2018). Every window
            becomes share * itself + (1 - share) * another one of the batch, context columns too, and its loss
            share * (loss with its own labels) + (1 - share) * (loss with the other's): so for classes and for numbers
            of any kind, and a missing label counts for nothing. The share is the larger of the two, so that a window's
            categories and what training metrics compare it with are those of its larger part.
        device: where batches are.
    """

    def __init__(
        self,
        *,
        input_noise: float = 0.0,
        time_mask: float = 0.0,
        feature_mask: float = 0.0,
        mixup: float = 0.0,
        device: torch.device,
    ) -> None:
        self.input_noise = input_noise
        self.time_mask = time_mask
        self.feature_mask = feature_mask
        alpha = torch.tensor(mixup, device=device)
        self._beta = torch.distributions.Beta(alpha, alpha, validate_args=False) if mixup else None

    def __call__(self, batch: Batch) -> Batch:
        """The batch as training sees it; where windows are mixed, its labels are both windows', (2 * B,) rows."""
        x = batch.x
        if self.input_noise:
            x = x + self.input_noise * torch.randn_like(x)
        if self.time_mask:
            x = _hide_stretch(x, self.time_mask)
        if self.feature_mask:
            hidden = torch.rand_like(x[:, :1]) < self.feature_mask  # (B, 1, F)
            x = x.masked_fill(hidden, 0.0)
        batch = replace(batch, x=x)
        return batch if self._beta is None else self._mixed(batch, self._beta.sample())

    def labelled(self, outputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """{task: (B, D)} outputs as they stand beside the labels of a batch that was made here."""
        if self._beta is None:
            return outputs
        return {task: torch.cat([raw, raw]) for task, raw in outputs.items()}

    def _mixed(self, batch: Batch, drawn: Tensor) -> Batch:
        share = torch.maximum(drawn, 1 - drawn)  # a number
        # A random order by sorting: unlike randperm it can be part of a CUDA graph.
        other = torch.rand(len(batch.row), device=batch.x.device).argsort()  # (B,)
        ones = torch.ones_like(batch.row, dtype=torch.float32)
        shares = torch.cat([share * ones, (1 - share) * ones])  # (2 * B,)

        def both(values: Tensor) -> Tensor:
            return torch.cat([values, values[other]])

        weight = {task: shares * both(batch.weight[task]) if task in batch.weight else shares for task in batch.mask}
        return replace(
            batch,
            x=torch.lerp(batch.x[other], batch.x, share),
            # A block that is missing in one of the two is NaN, and thus missing.
            context=None if batch.context is None else torch.lerp(batch.context[other], batch.context, share),
            targets={task: both(values) for task, values in batch.targets.items()},
            mask={task: both(values) for task, values in batch.mask.items()},
            weight=weight,
        )


def _hide_stretch(x: Tensor, share: float) -> Tensor:
    """(B, T, F) -> (B, T, F) with 0 in up to `share` of each window's rows, which lie together before the last one."""
    rows = x.shape[1]
    longest = min(int(share * rows), rows - 1)
    draws = torch.rand(2, len(x), 1, device=x.device)
    length = (draws[0] * (longest + 1)).floor()  # 0 to longest
    first = (draws[1] * (rows - length)).floor()  # 0 to T - 1 - length
    step = torch.arange(rows, device=x.device)
    hidden = (step >= first) & (step < first + length)  # (B, T)
    return x.masked_fill(hidden.unsqueeze(2), 0.0)
