"""Gradients that conflict give way to each other: PCGrad, gradient surgery, Yu et al. (2020).

Shape legend: K tasks, P numbers in the weights that they share.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler

from hybrid_trainer.balancing.base import Balancing
from hybrid_trainer.balancing.task_gradients import TaskGradients, head_parameters, shared_parameters
from hybrid_trainer.criterion import LossParts
from hybrid_trainer.ranks import Ranks

_TINY = 1e-30


class PCGrad(Balancing):
    """Each task's gradient loses its part against the gradients of the others, one after the other, in random order.

    What is left is summed up. This is about the weights that tasks share; each head has one task's gradient alone. The
    step is then no gradient of one loss; `train/loss` is the sum by `training.loss_weights`.

    Args:
        model: bare, also where several processes train it: their gradients are added up here, task by task.
        given: (K,) weights of the tasks. seed: of the order, the same in all processes.
    """

    def __init__(self, model: nn.Module, given: Tensor, seed: int) -> None:
        self.given = given
        self._gradients = TaskGradients(shared_parameters(model, "training.balancing.kind=pcgrad"))
        self._heads = head_parameters(model)
        self._rows: Tensor | None = None  # (K, P) of the batches so far
        self._generator = torch.Generator(given.device).manual_seed(seed)

    def backward(self, parts: LossParts, scaler: GradScaler) -> None:
        """Keep each task's gradient on the shared weights; those of the heads are added as ever."""
        rows = self._gradients.rows(scaler.scale(parts.means * self.given))
        self._rows = rows if self._rows is None else self._rows + rows
        if self._heads:
            scaler.scale(parts.total).backward(inputs=self._heads)  # type: ignore[no-untyped-call]

    def join(self, ranks: Ranks, scaler: GradScaler) -> None:
        """Give the shared weights what is left of all gradients; the scaler's factor changes no direction."""
        assert self._rows is not None
        rows = self._rows
        ranks.add_up([rows, *(p.grad for p in self._heads if p.grad is not None)])
        order = random_others(len(rows), self._generator)
        self._gradients.set(surgery(rows @ rows.T, order) @ rows)
        self._rows = None

    def state_dict(self) -> dict[str, Any]:
        """The generator's state."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state."""
        self._generator.set_state(state["generator"].cpu())


def random_others(tasks: int, generator: torch.Generator) -> Tensor:
    """(K, K - 1): for each task the others in random order, drawn on the generator's device."""
    drawn = torch.rand(tasks, tasks, generator=generator, device=generator.device)
    return drawn.fill_diagonal_(2.0).argsort(dim=1)[:, :-1]  # the task itself comes last


def surgery(products: Tensor, order: Tensor) -> Tensor:
    """How much of each task's gradient is in the sum of the projected ones.

    A projected gradient is a sum of the tasks' own, so all that is needed are their inner products.

    Args:
        products: (K, K) inner products of the gradients. order: (K, K - 1) from `random_others`.

    Returns:
        (K,) what each gradient is multiplied by.
    """
    units = torch.eye(len(products), dtype=products.dtype, device=products.device)
    parts = units  # (K, K): row i is what is in task i's projected gradient
    sizes = products.diagonal().clamp(min=_TINY)
    for other in order.unbind(dim=1):  # (K,) whom each task meets
        against = (parts * products[other]).sum(dim=1)  # (K,) inner product of what is left and the other's gradient
        parts = parts - units[other] * (against.clamp(max=0) / sizes[other])[:, None]
    return parts.sum(dim=0)
