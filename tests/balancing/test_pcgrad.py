"""Gradient surgery against the paper's own loop, and against torchjd's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchjd.aggregation import PCGrad as TorchjdPCGrad

from hybrid_trainer.balancing.pcgrad import PCGrad, random_others, surgery
from hybrid_trainer.balancing.task_gradients import head_parameters, shared_parameters
from tests.engine.helpers import make_panel, make_stepper, whole_batch

STEP: dict[str, Any] = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "clip_norm": None, "dropout": 0.0}


def by_hand(gradients: Tensor, order: Tensor) -> Tensor:
    """Algorithm 1 of Yu et al. (2020)."""
    projected = []
    for i, gradient in enumerate(gradients):
        left = gradient.clone()
        for j in order[i].tolist():
            product = left @ gradients[j]
            if product < 0:
                left -= product / (gradients[j] @ gradients[j]) * gradients[j]
        projected.append(left)
    return torch.stack(projected).sum(dim=0)


def drawn(seed: int, tasks: int, size: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(tasks, size, dtype=torch.float64, generator=generator), random_others(tasks, generator)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 6))
def test_it_is_the_papers_loop(seed: int, tasks: int, size: int) -> None:
    gradients, order = drawn(seed, tasks, size)
    ours = surgery(gradients @ gradients.T, order) @ gradients
    torch.testing.assert_close(ours, by_hand(gradients, order), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("seed", range(10))
def test_it_is_torchjds(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    gradients, order = drawn(seed, 4, 6)
    orders = iter(order)
    monkeypatch.setattr(torch, "randperm", lambda *given, **named: next(orders))
    theirs = TorchjdPCGrad()(gradients)
    torch.testing.assert_close(surgery(gradients @ gradients.T, order) @ gradients, theirs, rtol=1e-6, atol=1e-8)


def test_gradients_that_agree_are_added_up_and_those_that_oppose_each_other_vanish() -> None:
    order = torch.tensor([[1], [0]])
    agree = torch.tensor([[1.0, 2.0], [3.0, 0.5]])
    assert surgery(agree @ agree.T, order).tolist() == [1.0, 1.0]
    oppose = torch.tensor([[1.0, 0.0], [-2.0, 0.0]])
    torch.testing.assert_close(surgery(oppose @ oppose.T, order) @ oppose, torch.zeros(2))
    nothing = torch.tensor([[1.0, 2.0], [0.0, 0.0]])  # a task without a label
    torch.testing.assert_close(surgery(nothing @ nothing.T, order) @ nothing, nothing[0])


def test_the_others_come_in_any_order_and_never_the_task_itself() -> None:
    generator = torch.Generator().manual_seed(0)
    seen = {tuple(row.tolist()) for _ in range(40) for row in random_others(3, generator)}
    assert seen == {(1, 2), (2, 1), (0, 2), (2, 0), (0, 1), (1, 0)}
    for row, others in enumerate(random_others(3, generator).tolist()):
        assert row not in others


def opposing(panel_seed: int = 0) -> Any:
    """A batch and the tasks' gradients on the shared weights; a pair that conflicts is looked for."""
    batch = whole_batch(make_panel(seed=panel_seed), 10, 25)
    stepper = make_stepper(**STEP)
    parts, _ = stepper.forward(batch)
    shared = shared_parameters(stepper.model)
    rows = [torch.autograd.grad(mean, shared, retain_graph=True) for mean in parts.means]
    return batch, torch.stack([torch.cat([value.flatten() for value in row]) for row in rows])


def test_a_step_moves_shared_weights_by_the_surgery_and_heads_by_their_own_gradient() -> None:
    seed = next(seed for seed in range(50) if (lambda rows: rows[0] @ rows[1] < 0)(opposing(seed)[1]))
    batch, rows = opposing(seed)
    ours, plain = make_stepper(balancing="pcgrad", learning_rate=1.0, **STEP), make_stepper(learning_rate=1.0, **STEP)
    before = [p.detach().clone() for p in shared_parameters(ours.model)]
    ours.train([batch]), plain.train([batch])
    moved = torch.cat([(b - p.detach()).flatten() for b, p in zip(before, shared_parameters(ours.model), strict=True)])
    torch.testing.assert_close(moved, TorchjdPCGrad()(rows), rtol=1e-4, atol=1e-6)
    assert not torch.allclose(moved, rows.sum(dim=0), atol=1e-4)
    for mine, theirs in zip(head_parameters(ours.model), head_parameters(plain.model), strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_weights_of_tasks_multiply_their_gradients_and_the_scaler_changes_nothing(precision: str) -> None:
    batch, rows = opposing(3)
    stepper = make_stepper(
        balancing="pcgrad", learning_rate=1.0, loss_weights={"range": 0.25}, precision=precision, **STEP
    )
    before = [p.detach().clone() for p in shared_parameters(stepper.model)]
    stepper.train([batch])
    after = shared_parameters(stepper.model)
    moved = torch.cat([(b - p.detach()).flatten() for b, p in zip(before, after, strict=True)])
    expected = TorchjdPCGrad()(rows * torch.tensor([[1.0], [0.25]]))
    exact = {"rtol": 1e-4, "atol": 1e-6} if precision == "fp32" else {"rtol": 5e-2, "atol": 5e-3}
    torch.testing.assert_close(moved, expected, **exact)


def test_batches_of_one_update_are_one_batch() -> None:
    panel = make_panel(unlabelled=0.3)
    whole, parts = (make_stepper(balancing="pcgrad", learning_rate=0.1, **STEP) for _ in range(2))
    for start in (10, 30):
        whole.train([whole_batch(panel, start, start + 15)])
        parts.train([whole_batch(panel, start, start + 4), whole_batch(panel, start + 5, start + 15)])
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(parts.model.state_dict()[name], value, rtol=0, atol=2e-6, msg=name)


def test_the_order_goes_on_where_a_state_was_taken() -> None:
    made = [PCGrad(make_stepper().model, torch.ones(2), seed) for seed in (0, 1)]
    random_others(5, made[0]._generator)
    made[1].load_state_dict(made[0].state_dict())
    assert torch.equal(*(random_others(5, each._generator) for each in made))
