"""One training step."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hybrid_trainer.criterion import LossParts
from hybrid_trainer.engine.step import Stepper
from hybrid_trainer.types import Batch
from tests.engine.helpers import make_panel, make_stepper, same, weights, whole_batch

PRECISIONS = ["fp32", "bf16", "fp16"]
BATCH = whole_batch(make_panel(), 10, 25)


def change(stepper: Stepper, before: dict[str, Tensor]) -> Tensor:
    """All that a step has added to the weights, as one vector."""
    after = weights(stepper.model)
    return torch.cat([(after[name] - value).flatten() for name, value in before.items()])


def step(stepper: Stepper, batch: object = BATCH) -> LossParts:
    parts, _ = stepper.train([batch])[0]  # type: ignore[list-item]
    return parts


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_step_lowers_the_loss_of_its_batch(precision: str, optimizer: str) -> None:
    stepper = make_stepper(precision=precision, optimizer=optimizer, learning_rate=0.01)
    with torch.no_grad():
        before = stepper.forward(BATCH)[0].total.item()
    # In half precision a processor may have other kernels for forward passes that will not be differentiated.
    assert step(stepper).total.item() == pytest.approx(before, rel=1e-6 if precision == "fp32" else 1e-3)
    with torch.no_grad():
        after = stepper.forward(BATCH)[0].total.item()
    assert after < before - 1e-3


@pytest.mark.parametrize("precision", PRECISIONS)
def test_weights_and_losses_are_float32_in_every_precision(precision: str) -> None:
    stepper = make_stepper(precision=precision)
    parts = step(stepper)
    assert parts.total.dtype == parts.sums.dtype == torch.float32
    assert {value.dtype for value in weights(stepper.model).values()} == {torch.float32}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_forward_pass_has_the_precisions_type(precision: str) -> None:
    _, outputs = make_stepper(precision=precision).forward(BATCH)
    expected = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    assert {raw.dtype for raw in outputs.values()} == {expected}


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_gives_nearly_the_gradient_of_float32(precision: str) -> None:
    full, half = (
        make_stepper(precision=p, optimizer="sgd", momentum=0.0, weight_decay=0.0, clip_norm=None)
        for p in ("fp32", precision)
    )
    before = weights(full.model)
    step(full), step(half)
    expected = change(full, before)
    assert (change(half, before) - expected).norm() < 0.05 * expected.norm()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("clip_norm", [0.01, 0.5])
def test_the_gradient_is_clipped_to_its_largest_norm(precision: str, clip_norm: float) -> None:
    options = {"precision": precision, "optimizer": "sgd", "learning_rate": 1.0, "momentum": 0.0, "weight_decay": 0.0}
    free, clipped = make_stepper(clip_norm=None, **options), make_stepper(clip_norm=clip_norm, **options)
    before = weights(free.model)
    step(free), step(clipped)
    gradient = change(free, before)
    assert gradient.norm() > clip_norm  # else there would be nothing to clip
    assert change(clipped, before).norm().item() == pytest.approx(clip_norm, rel=1e-3)
    torch.testing.assert_close(
        change(clipped, before), gradient * clip_norm / gradient.norm(), rtol=1e-3, atol=1e-3 * clip_norm
    )


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_smaller_gradient_is_left_alone(precision: str) -> None:
    free, clipped = make_stepper(clip_norm=None, precision=precision), make_stepper(clip_norm=1e6, precision=precision)
    step(free), step(clipped)
    assert same(weights(clipped.model), weights(free.model))


def test_a_plain_step_is_torchs_own() -> None:
    stepper = make_stepper(optimizer="sgd", learning_rate=0.1, momentum=0.0, weight_decay=0.0, clip_norm=None)
    before = weights(stepper.model)
    parts, _ = stepper.forward(BATCH)
    parameters = dict(stepper.model.named_parameters())
    gradients = torch.autograd.grad(parts.total, list(parameters.values()))
    step(stepper)
    for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
        torch.testing.assert_close(parameter.detach(), before[name] - 0.1 * gradient)


def test_gradients_do_not_pile_up_over_steps() -> None:
    stepper = make_stepper(optimizer="sgd", learning_rate=0.1)
    step(stepper)
    assert all(parameter.grad is None for parameter in stepper.model.parameters())


def test_outputs_come_back_detached() -> None:
    parts, outputs = make_stepper().train([BATCH])[0]
    assert not any(raw.requires_grad for raw in outputs.values())
    assert {task: raw.shape for task, raw in outputs.items()} == {"signal": (16, 3), "range": (16, 2)}
    assert parts.counts.tolist() == [16, 16]


def test_a_forward_pass_alone_learns_nothing() -> None:
    stepper = make_stepper()
    before = weights(stepper.model)
    stepper.forward(BATCH)
    assert same(weights(stepper.model), before)


@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_float16_skips_a_step_whose_gradients_overflow(clip_norm: float | None) -> None:
    stepper = make_stepper(precision="fp16", clip_norm=clip_norm, losses={"range": "mse"})
    before, scale = weights(stepper.model), stepper.scaler.get_scale()
    labels = BATCH.targets | {"range": torch.full((16, 2), 1e20)}
    assert step(stepper, replace(BATCH, targets=labels)).total.item() == math.inf
    assert same(weights(stepper.model), before)
    assert stepper.scaler.get_scale() == scale / 2
    step(stepper)
    assert not same(weights(stepper.model), before)


def test_frozen_weights_stay() -> None:
    stepper = make_stepper()
    stepper.model.heads["head_signal"].weight.requires_grad_(False)
    before = weights(stepper.model)
    step(stepper)
    after = weights(stepper.model)
    assert torch.equal(after["heads.head_signal.weight"], before["heads.head_signal.weight"])
    assert not torch.equal(after["heads.head_range.weight"], before["heads.head_range.weight"])


def test_batches_of_one_update_are_one_batch_to_the_weights() -> None:
    # SGD: Adam would turn the last bit of a gradient near zero into a whole step.
    whole, halves = (make_stepper(optimizer="sgd", clip_norm=None, dropout=0.0) for _ in range(2))
    batch = whole_batch(make_panel(), 10, 21)
    batch.mask["signal"][:7] = 0  # the first half has fewer labels: a mean of means would weigh them wrongly
    whole.train([batch])
    parts = [rows_of(batch, slice(0, 6)), rows_of(batch, slice(6, 12))]
    done = halves.train(parts)
    assert len(done) == 2
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(halves.model.state_dict()[name], value, rtol=0, atol=2e-6, msg=name)


def rows_of(batch: Batch, rows: slice) -> Batch:
    return Batch(
        x=batch.x[rows],
        context=None if batch.context is None else batch.context[rows],
        ids=batch.ids[rows],
        targets={task: values[rows] for task, values in batch.targets.items()},
        mask={task: values[rows] for task, values in batch.mask.items()},
        row=batch.row[rows],
    )
