"""(B, T, F) batches gathered by index from the panel; no window is ever stored.

Shape legend: N rows of the panel, R decision rows, B batch, T time, F feature, C context column, K categorical input.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice

import torch
from torch import Tensor

from hybrid_trainer.types import Batch

RUN, RUNS = 1024, 512
"""How a panel on disk is shuffled: half a million rows in a pool, from 512 places; see `pooled`."""


@dataclass(frozen=True, kw_only=True)
class PanelTensors:
    """The panel and its labels on the device: what batches are gathered from.

    Attributes:
        features: (N, F) float32, scaled, contiguous.
        context: (N, C) float32, scaled, NaN where a block is missing, or None. ids: (N, K) integers.
        targets: per task (N,) integers or (N, D) float32, a valid stand-in where masked.
        mask: per task (N,), 1 where there is a label. Integers and masks are of any type: batches cast them.
        steps: for a forecast, how many rows ahead its label reaches: `targets` holds its (N, C) columns once, and a
            label is gathered from the rows behind the decision row.
        weight: per task (N,) float32, for tasks whose rows do not all count the same.
        mapped: they are maps of files, which don't fit in memory.
    """

    features: Tensor
    context: Tensor | None
    ids: Tensor
    targets: dict[str, Tensor]
    mask: dict[str, Tensor]
    steps: dict[str, int] = field(default_factory=dict)
    weight: dict[str, Tensor] = field(default_factory=dict)
    mapped: bool = False

    def to(self, device: torch.device) -> PanelTensors:
        """The same on another device; maps of files, which don't fit there, stay where they are."""
        if self.mapped:
            return self
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
        parts = [self.features, self.ids, *self.targets.values(), *self.mask.values(), *self.weight.values()]
        parts += [] if self.context is None else [self.context]
        return sum(part.numel() * part.element_size() for part in parts)

    def labels(self, task: str, rows: Tensor) -> Tensor:
        """The labels of (B,) rows: (B,) classes or (B, D) scaled numbers; a forecast's D = steps * C, row by row."""
        values = self.targets[task]
        if task not in self.steps:
            found = values.index_select(0, rows)
            return found if found.is_floating_point() else found.long()
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
        device: where the batches go; None: where the panel is.
        workers: threads that gather batches ahead, in the same order; 0: each batch when it is asked for.
        share: (number, of how many): the part of every batch that is gathered here; others gather the rest.
        moments: (R,) int64, the time of each decision row, for metrics by date; None: not known.
    """

    def __init__(
        self,
        panel: PanelTensors,
        rows: Tensor,
        *,
        time_window: int,
        batch_size: int,
        shuffle_seed: int | None = None,
        device: torch.device | None = None,
        workers: int = 0,
        share: tuple[int, int] = (0, 1),
        moments: Tensor | None = None,
    ) -> None:
        self.panel = panel
        self.rows = rows.to(panel.features.device)
        self.batch_size = batch_size
        self.shuffle_seed = shuffle_seed
        self.device = device or panel.features.device
        self.workers = workers
        self.share = share
        self.moments = moments
        self.epoch = 0
        self.time_window = time_window
        # Every window of the panel as a row of T * F numbers, in the panel's own memory: neighbours overlap. A row is
        # copied as one piece, twice as fast as its T rows.
        n, f = panel.features.shape
        self._windows = panel.features.as_strided((max(n - time_window + 1, 0), time_window * f), (f, 1))

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        return self.batches()

    def batches(self, first: int = 0) -> Iterator[Batch]:
        """The batches of the epoch from number `first` on, without gathering those before it."""
        rows = self.batch_rows(first)
        gather = self.gather if self.share == (0, 1) else self._gather_share
        if self.workers:
            return gathered_ahead(gather, rows, self.workers)
        return map(gather, rows)

    def batch_rows(self, first: int = 0) -> Iterator[Tensor]:
        """The (B,) decision rows of each batch of the epoch from number `first` on."""
        return islice(self._ordered(), first, None)

    def places(self, number: int) -> slice:
        """Which of `rows`, in their own order, are those of batch `number`; of several processes, this one's share."""
        first = number * self.batch_size
        own, of = self.share
        return slice(first + own, min(first + self.batch_size, len(self.rows)), of)

    def gather(self, rows: Tensor) -> Batch:
        """Gather the windows and labels of (B,) decision rows."""
        panel = self.panel
        x = self._windows.index_select(0, rows - (self.time_window - 1))  # (B, T * F)
        batch = Batch(
            x=x.view(len(rows), self.time_window, -1),  # (B, T * F) -> (B, T, F)
            context=None if panel.context is None else panel.context.index_select(0, rows),
            ids=panel.ids.index_select(0, rows).long(),
            targets={task: panel.labels(task, rows) for task in panel.targets},
            mask={task: values.index_select(0, rows).float() for task, values in panel.mask.items()},
            row=rows,
            weight={task: values.index_select(0, rows) for task, values in panel.weight.items()},
        )
        return batch if self.device == rows.device else batch.to(self.device)

    def _gather_share(self, rows: Tensor) -> Batch:
        """This process's share of (B,) rows; where none is left for it, one row that counts for nothing."""
        number, of = self.share
        own = rows[number::of]
        if len(own):
            return self.gather(own)
        batch = self.gather(rows[:1])
        return replace(batch, mask={task: torch.zeros_like(mask) for task, mask in batch.mask.items()})

    def _ordered(self) -> Iterator[Tensor]:
        """The decision rows of each batch."""
        if self.shuffle_seed is None:
            return iter(torch.split(self.rows, self.batch_size))
        # One generator per (seed, epoch); the factor keeps neighbouring seeds' epochs apart.
        generator = torch.Generator().manual_seed(self.shuffle_seed * 1_000_003 + self.epoch)
        if self.panel.mapped:
            return pooled(self.rows, self.batch_size, generator)
        order = torch.randperm(len(self.rows), generator=generator).to(self.rows.device)
        return iter(torch.split(self.rows[order], self.batch_size))


def pooled(
    rows: Tensor, batch_size: int, generator: torch.Generator, *, run: int = RUN, runs: int = RUNS
) -> Iterator[Tensor]:
    """Batches of (R,) rows in random order, drawn so that a map of a file is read in pieces that lie together.

    The rows are cut into runs of neighbours, the runs are shuffled, and each pool of `runs` of them is shuffled row by
    row: a batch mixes rows of up to `runs` places of the table. Every row comes once.
    """
    cuts = torch.arange(0, len(rows), run)
    rest = rows[:0]
    for some in torch.split(cuts[torch.randperm(len(cuts), generator=generator)], runs):
        pool = torch.cat([rest, *(rows[first : first + run] for first in some.tolist())])
        pool = pool[torch.randperm(len(pool), generator=generator)]
        whole = len(pool) // batch_size * batch_size
        yield from torch.split(pool[:whole], batch_size) if whole else ()
        rest = pool[whole:]
    if len(rest):
        yield rest


def gathered_ahead(gather: Callable[[Tensor], Batch], rows: Iterator[Tensor], workers: int) -> Iterator[Batch]:
    """Gather batches in threads, ahead of who asks for them, in the order of `rows`."""
    with ThreadPoolExecutor(workers) as pool:
        ahead = deque(pool.submit(gather, some) for some in islice(rows, 2 * workers))
        try:
            while ahead:
                batch = ahead.popleft().result()
                for some in islice(rows, 1):
                    ahead.append(pool.submit(gather, some))
                yield batch
        finally:
            for waiting in ahead:  # who asks may stop early
                waiting.cancel()
