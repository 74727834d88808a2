"""One training step."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from hybrid_trainer.criterion import LossParts
from hybrid_trainer.engine.device import choose_precision
from hybrid_trainer.engine.ema import Ema
from hybrid_trainer.engine.optimizers import make_optimizer
from hybrid_trainer.engine.step import Stepper
from hybrid_trainer.engine.tally import EpochTally
from hybrid_trainer.types import Batch
from tests.engine.helpers import CPU, FEATURES, make_loader, make_panel, make_stepper, same, weights, whole_batch

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
    expected = choose_precision(precision, CPU).dtype or torch.float32
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
def test_a_float16_gradient_that_overflows_skips_its_step_and_lowers_the_scale_alone(clip_norm: float | None) -> None:
    stepper = make_stepper(precision="fp16", clip_norm=clip_norm, losses={"range": "mse"}, ema_decay=0.5)
    before, scale = weights(stepper.model), stepper.scaler.get_scale()
    labels = BATCH.targets | {"range": torch.full((16, 2), 1e5)}  # a loss of 1e10; its gradient times 65536 is too much
    assert math.isfinite(step(stepper, replace(BATCH, targets=labels)).total.item())
    assert same(weights(stepper.model), before) and not stepper.counts(moves=True)
    assert stepper.scaler.get_scale() == scale / 2
    assert stepper.ema is not None and same(weights(stepper.ema.model), before)
    assert stepper.watch.first(1) is None  # that is normal
    step(stepper)
    assert not same(weights(stepper.model), before) and stepper.counts(moves=True)


# What is not finite.


def bad(kind: str) -> Batch:
    """A batch with a loss that isn't finite; `huber` has a gradient that is."""
    value = {"huber": math.inf, "mse": math.inf, "nan": math.nan}[kind]
    labels = BATCH.targets["range"].clone()
    labels[3, 1] = value
    return replace(BATCH, targets=BATCH.targets | {"range": labels})


@pytest.mark.parametrize("warm", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("kind", ["huber", "mse", "nan"])
@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_step_that_is_not_finite_changes_no_bit(precision: str, optimizer: str, kind: str, warm: bool) -> None:
    losses = {"range": "huber" if kind == "huber" else "mse"}
    made = [make_stepper(precision=precision, optimizer=optimizer, losses=losses, skip_bad=True) for _ in range(2)]
    ours, theirs = made
    if precision == "fp16":
        for stepper in made:  # so that no good step overflows
            stepper.scaler.load_state_dict(stepper.scaler.state_dict() | {"scale": 256.0})
    if warm:
        step(ours), step(theirs)
    scale = theirs.scaler.state_dict()
    step(ours, bad(kind))
    assert not ours.counts(moves=True)
    assert same(weights(ours.model), weights(theirs.model))
    if precision == "fp16":
        ours.scaler.load_state_dict(scale)  # it takes the gradient for an overflow
    for _ in range(2):
        step(ours), step(theirs)
        assert ours.counts(moves=True)
        assert same(weights(ours.model), weights(theirs.model))
        assert same(ours.optimizer.state_dict(), theirs.optimizer.state_dict())
    assert ours.watch.first(3 + warm) == ("loss of task 'range'", 1 + warm)
    assert int(ours.watch.skipped) == 1


@pytest.mark.parametrize("precision", PRECISIONS)
def test_behind_a_bad_step_none_is_taken_until_somebody_has_looked(precision: str) -> None:
    stepper = make_stepper(precision=precision)
    step(stepper)
    before, state = weights(stepper.model), stepper.optimizer.state_dict()
    state = {key: value.clone() for key, value in state["state"][0].items()}
    step(stepper, bad("nan")), step(stepper), step(stepper)
    assert same(weights(stepper.model), before)
    assert same(stepper.optimizer.state_dict()["state"][0], state)
    assert stepper.watch.first(4) == ("loss of task 'range'", 2)
    stepper.watch.reset()
    step(stepper)
    assert not same(weights(stepper.model), before)


def test_a_gradient_alone_that_is_not_finite_is_told_as_such() -> None:
    stepper = make_stepper(clip_norm=None)
    stepper.model.heads["head_range"].weight.register_hook(lambda gradient: gradient * math.inf)
    before = weights(stepper.model)
    assert math.isfinite(step(stepper).total.item())
    assert same(weights(stepper.model), before)
    assert stepper.watch.first(1) == ("the gradient", 1)


def test_one_bad_batch_of_a_group_skips_the_groups_step() -> None:
    stepper = make_stepper(skip_bad=True)
    before = weights(stepper.model)
    stepper.train([BATCH, bad("nan"), BATCH])
    assert same(weights(stepper.model), before) and not stepper.counts(moves=True)
    stepper.train([BATCH, BATCH])
    assert not same(weights(stepper.model), before)


class NoSync(TorchDispatchMode):
    """Fails on whatever would make the host wait for a GPU."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert function.overloadpacket not in WAITS, function
        return function(*args, **(kwargs or {}))


WAITS = [getattr(torch.ops.aten, name) for name in ("_local_scalar_dense", "item", "nonzero", "masked_select", "equal")]


@pytest.mark.parametrize("options", [{}, {"ema_decay": 0.9, "skip_bad": True}, {"optimizer": "sgd"}], ids=str)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_step_with_its_losses_and_metrics_waits_for_nothing(
    precision: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a CPU alone one_hot looks at the range of the classes.
    monkeypatch.setattr(F, "one_hot", lambda target, classes: (target[:, None] == torch.arange(classes)).long())
    stepper = make_stepper(precision=precision, **options)
    tally = EpochTally(stepper.criterion, CPU)
    loader = make_loader(make_panel(), 10, 33)

    def one(rows: Tensor) -> None:
        batch = loader.gather(rows)
        ((parts, outputs),) = stepper.train([batch])
        tally.add(batch, parts, outputs, stepper.watch.keep)

    one(torch.arange(10, 18))
    with NoSync():
        one(torch.arange(18, 26))
    with NoSync(), pytest.raises(AssertionError, match="_local_scalar_dense"):
        stepper.counts(moves=True)  # so the mode would have seen it


class Normed(nn.Module):
    """A model behind a batch norm of its windows' features."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(FEATURES)
        self.model = model

    def forward(self, x: Tensor, context: None, ids: Tensor) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = self.model(self.norm(x.mT).mT, context, ids)
        return outputs


@pytest.mark.parametrize(("precision", "skip_bad"), [("fp32", True), ("fp16", False), ("fp16", True)])
def test_a_step_that_is_not_taken_moves_no_batch_norm(precision: str, skip_bad: bool) -> None:
    of = make_stepper(precision=precision, skip_bad=skip_bad)
    model = Normed(of.model)
    optimizer = make_optimizer("sgd", model, learning_rate=0.01, weight_decay=0.0, momentum=0.0)
    average = Ema(model, 0.5)
    stepper = Stepper(model, of.criterion, optimizer, of.precision, 1.0, skip_bad=skip_bad, ema=average)
    step(stepper)
    before = weights(model), weights(average.model)
    assert model.norm.num_batches_tracked == 1
    targets = {"signal": BATCH.targets["signal"], "range": BATCH.targets["range"] + math.inf}
    step(stepper, replace(BATCH, x=BATCH.x * math.nan, targets=targets))
    assert stepper.skipped == 1
    assert same((weights(model), weights(average.model)), before)
    stepper.watch.reset()  # as the next epoch does: a bad step may have been the end of all
    step(stepper)
    assert model.norm.num_batches_tracked == 2
    assert not same(weights(model), before[0])


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
