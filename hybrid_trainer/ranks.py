"""Processes that train one model together, as torchrun starts them: each takes its share of every batch.

What is added up over the processes (labels, losses, gradients, metrics) is what one process would have added up over
the whole batch, so the result is that of one process, to rounding. Imports no torch by itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hybrid_trainer.errors import TrainingError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_HAS_GONE = re.compile(r"(Connection (closed|reset) by peer|Broken pipe|NCCL.*remote)", re.I)  # what gloo and NCCL say
_TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Ranks:
    """This process's number among `size` processes; the first one, 0, alone writes anything."""

    rank: int = 0
    size: int = 1

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
            distributed.all_reduce(flat)
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

    def largest(self, number: int) -> int:
        """The largest of the processes' numbers."""
        if self.alone:
            return number
        import torch
        from torch import distributed

        value = torch.tensor(number)
        distributed.all_reduce(value, distributed.ReduceOp.MAX)
        return int(value)

    def gather(self, value: Any) -> list[Any]:
        """Everybody's value, in the order of the processes."""
        if self.alone:
            return [value]
        from torch import distributed

        found: list[Any] = [None] * self.size
        distributed.all_gather_object(found, value)
        return found

    def from_first(self, value: Any) -> Any:
        """The value that the first process has."""
        if self.alone:
            return value
        from torch import distributed

        found = [value if self.first else None]
        distributed.broadcast_object_list(found, src=0)
        return found[0]


ALONE = Ranks()


def of_process() -> Ranks:
    """What torchrun's variables in the environment say; nobody else where they aren't there."""
    if not all(os.environ.get(name) for name in _TORCHRUN):
        return ALONE
    return Ranks(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))


@contextmanager
def joined() -> Iterator[Ranks]:
    """Meet the other processes for as long as the block lasts.

    Raises:
        TrainingError: one of the others has ended meanwhile.
    """
    ranks = of_process()
    if ranks.alone:
        yield ranks
        return
    from torch import cuda, distributed

    if cuda.is_available():
        cuda.set_device(local_rank())
    distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda.is_available() else "gloo")
    try:
        yield ranks
    except RuntimeError as error:
        if not _HAS_GONE.search(str(error)):
            raise
        raise TrainingError(
            f"another of the {ranks.size} processes has ended, and this one with it; the other's last lines say why"
        ) from error
    finally:
        distributed.destroy_process_group()  # its threads would abort the process at its end


def local_rank() -> int:
    """This process's number on its machine: which GPU is its own."""
    return int(os.environ.get("LOCAL_RANK", "0")) if not of_process().alone else 0


def own_seed(seed: int, ranks: Ranks) -> torch.Generator:
    """Seed torch's global generator so that each process drops other units; the first one's seed is the run's own."""
    import torch

    return torch.manual_seed((seed + 1_000_003 * ranks.rank) % 2**63)
