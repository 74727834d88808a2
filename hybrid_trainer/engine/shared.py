"""A model that several processes train: DistributedDataParallel, with gradients added up instead of averaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from hybrid_trainer.engine.device import Precision
from hybrid_trainer.engine.freezing import learning
from hybrid_trainer.ranks import Ranks
from hybrid_trainer.types import Batch


def shared(model: nn.Module, example: Batch, precision: Precision, ranks: Ranks) -> nn.Module:
    """The model in a form whose backward pass adds the gradients of all processes up while it goes on.

    All processes get the first one's weights, and with each pass its buffers. Losses are divided by the labels of all
    processes, so gradients are summed. One pass is tried before the first step: torch puts the gradients into the order
    in which they come behind the first pass only, and a run that is resumed is to add them up in the same order as one
    that isn't.

    Args:
        model: or its compiled form. example: any batch.
    """
    with _trying(model, precision):
        _pass(model, example, precision)
        unused = any(p.grad is None for p in model.parameters() if p.requires_grad)
    made = DistributedDataParallel(
        model, process_group=ranks.group, gradient_as_bucket_view=True, find_unused_parameters=unused
    )
    made.register_comm_hook(ranks.group, lambda group, bucket: _summed(group, bucket))  # torch can't read annotations
    with _trying(model, precision):
        _pass(made, example, precision)
    return made


def kept_back(model: nn.Module, last: bool) -> AbstractContextManager[object]:
    """The context for a pass whose gradients are to wait for those of the group's last batch."""
    waits = isinstance(model, DistributedDataParallel) and not last
    return model.no_sync() if waits else nullcontext()  # type: ignore[operator]


def _summed(group: Any, bucket: Any) -> torch.futures.Future[Tensor]:
    work = distributed.all_reduce(bucket.buffer(), group=group, async_op=True)
    assert work is not None
    summed: torch.futures.Future[Tensor] = work.get_future().then(lambda done: done.value()[0])
    return summed


def _pass(model: nn.Module, example: Batch, precision: Precision) -> None:
    with precision.autocast():
        outputs = model(example.x, example.context, example.ids)
    total: Tensor = sum(raw.float().sum() for raw in outputs.values())
    total.backward()  # type: ignore[no-untyped-call]


@contextmanager
def _trying(model: nn.Module, precision: Precision) -> Iterator[None]:
    """Passes in training mode, behind which gradients, buffers and random numbers are as they were."""
    mode, gpus = model.training, [precision.device] if precision.device.type == "cuda" else []
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    with torch.random.fork_rng(devices=gpus):
        learning(model)
        yield
    model.zero_grad(set_to_none=True)
    for buffer, before in buffers:
        buffer.copy_(before)
    model.train(mode)
