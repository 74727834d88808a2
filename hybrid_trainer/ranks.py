"""Processes that train one model together, as torchrun starts them: each takes its share of every batch.

What is added up over the processes (labels, losses, gradients, metrics) is what one process would have added up over
the whole batch, so the result is that of one process, to rounding. Imports no torch by itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.distributed import Store  # type: ignore[attr-defined]

_TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Ranks:
    """This process's number among `size` processes; the first one, 0, alone writes anything.

    Args:
        group: torch's name for them, where they have met.
    """

    rank: int = 0
    size: int = 1
    group: Any = field(default=None, compare=False, repr=False)

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other."""
        return self.size == 1

    def add_up(self, values: Sequence[Tensor]) -> None:
        """Replace each tensor by the sum over all processes, in place; the bits are the same in each of them."""
        if self.alone or not values:
            return
        import torch
        from torch import distributed

        for kind in dict.fromkeys(value.dtype for value in values):
            some = [value for value in values if value.dtype == kind]
            flat = torch.cat([value.reshape(-1) for value in some])  # one message, not one per tensor
            distributed.all_reduce(flat, group=self.group)
            pieces = torch.split(flat, [value.numel() for value in some])
            for value, summed in zip(some, pieces, strict=True):
                value.copy_(summed.view_as(value))

    def sum_of(self, value: Tensor) -> Tensor:
        """The sum over all processes; the tensor itself where there is no other."""
        if self.alone:
            return value
        summed = value.clone()
        self.add_up([summed])
        return summed

    def like_first(self, values: Iterable[Tensor]) -> None:
        """Replace each tensor by the first process's, in place."""
        if self.alone:
            return
        from torch import distributed

        for value in values:
            distributed.broadcast(value, src=0, group=self.group)

    def largest(self, number: int) -> int:
        """The largest of the processes' numbers."""
        if self.alone:
            return number
        import torch
        from torch import distributed

        value = torch.tensor(number)
        distributed.all_reduce(value, distributed.ReduceOp.MAX, group=self.group)
        return int(value)

    def gather(self, value: Any) -> list[Any]:
        """Everybody's value, in the order of the processes."""
        if self.alone:
            return [value]
        from torch import distributed

        found: list[Any] = [None] * self.size
        distributed.all_gather_object(found, value, group=self.group)
        return found

    def from_first(self, value: Any) -> Any:
        """The value that the first process has."""
        if self.alone:
            return value
        from torch import distributed

        found = [value if self.first else None]
        distributed.broadcast_object_list(found, src=0, group=self.group)
        return found[0]


ALONE = Ranks()


class Agreement:
    """The largest of all processes' numbers, known one look later: its message travels while a step is taken."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self._under_way: tuple[Any, Tensor] | None = None

    def look(self, number: int) -> int:
        """The largest at the look before, 0 at the first one; the same in all processes, which all look as often."""
        if self.ranks.alone:
            return number
        import torch
        from torch import distributed

        known = self._arrived()
        value = torch.tensor(number)
        work = distributed.all_reduce(value, distributed.ReduceOp.MAX, group=self.ranks.group, async_op=True)
        self._under_way = work, value
        return known

    def settle(self, number: int) -> int:
        """The largest now, or at the look before; waits for the others."""
        known = self._arrived()
        return max(known, self.ranks.largest(number))

    def _arrived(self) -> int:
        if self._under_way is None:
            return 0
        (work, value), self._under_way = self._under_way, None
        work.wait()
        return int(value)


def of_process() -> Ranks:
    """What torchrun's variables in the environment say; nobody else where they aren't there."""
    return Ranks(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])) if launched() else ALONE


def launched() -> bool:
    """Whether torchrun, or somebody who sets the same variables, has started this process."""
    return all(os.environ.get(name) for name in _TORCHRUN)


def torchrun_serves() -> bool:
    """Whether torchrun itself keeps the store at MASTER_ADDR, for all attempts."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def open_store(below: str, *, patience_s: float, serve: bool = False) -> Store:
    """The store at MASTER_ADDR that all processes reach, its keys below a name of ours.

    Args:
        patience_s: how long an answer may take. serve: whether this process keeps it.

    Raises:
        RuntimeError: it is not to be reached.
    """
    from torch import distributed

    server = distributed.TCPStore(  # type: ignore[attr-defined]
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        is_master=serve,
        timeout=timedelta(seconds=patience_s),
        wait_for_workers=False,
    )
    return distributed.PrefixStore(f"hybrid_trainer/{below}", server)  # type: ignore[attr-defined]


def local_rank() -> int:
    """This process's number on its machine: which GPU is its own."""
    return int(os.environ.get("LOCAL_RANK", "0")) if not of_process().alone else 0


def own_seed(seed: int, ranks: Ranks) -> torch.Generator:
    """Seed torch's global generator so that each process drops other units; the first one's seed is the run's own."""
    import torch

    return torch.manual_seed((seed + 1_000_003 * ranks.rank) % 2**63)
