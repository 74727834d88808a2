"""How processes meet, and how the others learn what the first one is going to do. Imports no torch by itself.

They meet before anything is read. The first one composes the config and checks the table; the others wait for its
`Plan`, or for the exit status with which it ends without them.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_trainer.errors import ProcessGoneError, TrainingError
from hybrid_trainer.ranks import ALONE, Ranks, local_rank, of_process, open_store, torchrun_serves

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]

JOIN_S = 300.0
"""How long a process waits for the others at the start; importing torch from a slow disk may take minutes."""

_TRAINING_S = 1800.0  # for one message while they train: some rows or a checkpoint later the others are there
_PATIENCE = timedelta(days=1)  # for the first one's word: a table may take its time; who dies is noticed at once
_HAS_GONE = re.compile(
    r"Connection (closed|reset|refused)|Broken pipe|failed to recv|NCCL.*(remote|abort)|Socket (closed|Timeout)", re.I
)


@dataclass(frozen=True)
class Plan:
    """What the others need to know in order to train along: the composed config, plain, and the run's directory."""

    config: dict[str, Any]
    directory: Path


@contextmanager
def joined() -> Iterator[tuple[Ranks, Store]]:
    """Meet the other processes for as long as the block lasts; gives the store that all of them reach.

    Raises:
        TrainingError: somebody has not come in time.
    """
    from torch import distributed

    ranks = of_process()
    with _stopped_at_once():
        store = _meet(ranks)
        if not ranks.alone:
            distributed.init_process_group(
                "gloo", store=store, rank=ranks.rank, world_size=ranks.size, timeout=_PATIENCE
            )
    try:
        yield ranks, store
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()  # its threads would abort the process at its end


def _meet(ranks: Ranks) -> Store:
    """Wait until every process is there; torchrun's own store outlives an attempt, hence the attempt's number."""
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    try:
        store = open_store(attempt, patience_s=JOIN_S, serve=ranks.first and not torchrun_serves())
    except RuntimeError as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise TrainingError(
            f"process {ranks.rank} finds no way to the others at {where} (MASTER_ADDR, MASTER_PORT)"
        ) from error
    store.set(f"here/{ranks.rank}", "")
    names = [f"here/{rank}" for rank in range(ranks.size)]
    try:
        store.wait(names, timedelta(seconds=JOIN_S))
    except RuntimeError as error:
        if not ranks.first:
            raise SystemExit(TrainingError.exit_status) from error  # the first one says it
        missing = [name.partition("/")[2] for name in names if not store.check([name])]
        raise TrainingError(
            f"process {', '.join(missing)} of {ranks.size} (from 0) has not come within {JOIN_S:g} s; its own last "
            "lines say why"
        ) from error
    return store


def tell(word: Plan | int) -> None:
    """Say to the others, who wait for it, what the first one is going to train, or its exit status."""
    from torch import distributed

    distributed.broadcast_object_list([word], src=0)


def word_of_first() -> Plan | int:
    """Wait for what the first one says; a signal ends the wait, and the process."""
    from torch import distributed

    found: list[Any] = [None]
    with _stopped_at_once(), noticing_others():
        distributed.broadcast_object_list(found, src=0)
    word = found[0]
    assert isinstance(word, Plan | int)
    return word


@contextmanager
def training(plan: Plan | None = None) -> Iterator[Ranks]:
    """A group for training, in all processes that have met; this one alone where they haven't.

    Args:
        plan: the first one's, which it tells the others.

    Raises:
        ProcessGoneError: one of the others has ended meanwhile.
    """
    ranks = of_process()
    if ranks.alone:
        yield ALONE
        return
    from torch import cuda, distributed

    backend = "gloo"
    if cuda.is_available():
        cuda.set_device(local_rank())
        backend = "cpu:gloo,cuda:nccl"
    try:
        with noticing_others():
            if plan is not None:
                tell(plan)
            group = distributed.new_group(backend=backend, timeout=timedelta(seconds=_TRAINING_S))
            yield replace(ranks, group=group)
    except BaseException:
        distributed.destroy_process_group()  # all groups: nobody is to wait for this process's word
        raise
    distributed.destroy_process_group(group)


@contextmanager
def noticing_others() -> Iterator[None]:
    """Turn what torch says where another process has ended into one line."""
    try:
        yield
    except RuntimeError as error:
        if not _HAS_GONE.search(str(error)):
            raise
        raise ProcessGoneError(
            f"another of the {of_process().size} processes has ended, and this one with it; the other's last lines "
            "say why"
        ) from error


@contextmanager
def _stopped_at_once() -> Iterator[None]:
    """Let signals end the process: no handler of python's runs while torch waits for a message."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heard = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]  # nohup ignores the last
    former = {number: signal.signal(number, signal.SIG_DFL) for number in heard}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
