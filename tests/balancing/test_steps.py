"""Whatever balances the tasks: steps that are not finite, nothing that waits, and what belongs to the optimizer."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from hybrid_trainer.errors import ConfigError
from hybrid_trainer.types import Batch
from tests.engine.helpers import make_loader, make_panel, make_stepper, make_trainer, same, weights, whole_batch
from tests.engine.test_step import NoSync

KINDS = ["uncertainty", "dwa", "gradnorm", "pcgrad"]
BATCH = whole_batch(make_panel(), 10, 25)


def spoilt() -> Batch:
    labels = BATCH.targets["range"].clone()
    labels[3, 1] = math.inf
    return replace(BATCH, targets=BATCH.targets | {"range": labels})


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_that_is_not_finite_changes_no_bit(kind: str, precision: str) -> None:
    options: dict[str, Any] = {"balancing": kind, "precision": precision, "skip_bad": True, "look_every": 1}
    ours, theirs = make_stepper(**options), make_stepper(**options)
    if precision == "fp16":
        for stepper in (ours, theirs):  # so that no good step overflows
            stepper.scaler.load_state_dict(stepper.scaler.state_dict() | {"scale": 256.0})
    ours.train([BATCH]), theirs.train([BATCH])
    scale = theirs.scaler.state_dict()
    ours.train([spoilt()], look=True)
    assert not ours.counts(moves=True)
    if precision == "fp16":
        ours.scaler.load_state_dict(scale)
    for _ in range(2):
        ours.train([BATCH]), theirs.train([BATCH])
        assert ours.counts(moves=True)
        assert same(weights(ours.model), weights(theirs.model))
        assert same(ours.optimizer.state_dict(), theirs.optimizer.state_dict())
        if kind != "pcgrad":  # whose order of tasks is drawn for skipped steps too
            assert same(ours.balancing.state_dict(), theirs.balancing.state_dict())
    assert ours.probe is not None
    assert ours.probe.norm_counts.tolist() == [1.0, 0.0]  # the huber loss of that label has a finite gradient


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_waits_for_nothing(kind: str) -> None:
    stepper = make_stepper(balancing=kind, look_every=1)
    stepper.train([BATCH], look=True)
    with NoSync():
        stepper.train([BATCH], look=True)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("kind", ["uncertainty", "gradnorm"])
def test_learned_weights_are_the_optimizers_without_decay_outside_of_clipping(kind: str, optimizer: str) -> None:
    made = [
        make_stepper(balancing=kind, optimizer=optimizer, weight_decay=decay, clip_norm=clip)
        for decay, clip in ((0.0, None), (0.5, 1e-3))
    ]
    for stepper in made:
        stepper.train([BATCH])
        own = stepper.optimizer.param_groups[-1]
        assert [list(map(id, own["params"])), own["weight_decay"]] == [[id(stepper.balancing.parameters[0])], 0.0]
    first, second = (stepper.balancing.state_dict()["learned"] for stepper in made)
    assert torch.equal(first, second)
    assert not torch.equal(first, torch.full((2,), 0.0 if kind == "uncertainty" else 1.0))


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_says_its_weights_and_validates_by_the_given_ones(kind: str) -> None:
    panel = make_panel(unlabelled=0.2)
    trainer = make_trainer(balancing=kind, epochs=3, ema_decay=0.5, loss_weights={"range": 0.5})
    for row in trainer.fit(make_loader(panel, 10, 44, shuffle_seed=3), make_loader(panel, 48, 59)):
        assert row["valid/loss"] == pytest.approx(row["valid/signal/loss"] + 0.5 * row["valid/range/loss"], rel=1e-5)
        assert ("train/range/weight" in row) == (kind != "pcgrad")
        if kind == "pcgrad":
            assert row["train/loss"] == pytest.approx(
                row["train/signal/loss"] + 0.5 * row["train/range/loss"], rel=1e-5
            )
        if kind == "dwa":
            by_weights = sum(row[f"train/{task}/weight"] * row[f"train/{task}/loss"] for task in ("signal", "range"))
            assert row["train/loss"] == pytest.approx(by_weights, rel=1e-5)
    assert trainer.stepper.ema is not None
    assert list(trainer.stepper.ema.state_dict()) == list(trainer.model.state_dict())


def test_uncertainty_lowers_what_it_minimises() -> None:
    panel = make_panel()
    trainer = make_trainer(balancing="uncertainty", epochs=6, learning_rate=0.02)
    history = trainer.fit(make_loader(panel, 10, 44, shuffle_seed=3), make_loader(panel, 48, 59))
    assert history[-1]["train/loss"] < history[0]["train/loss"]


@pytest.mark.parametrize("kind", KINDS)
def test_parts_that_are_frozen_stay_and_the_others_are_balanced(kind: str) -> None:
    """Of the heads as well; the trunk's bias alone is frozen, so gradnorm compares on its weight."""
    frozen = ["convolution", "recurrent", "heads.head_range", "trunk.*.bias"]
    stepper = make_stepper(balancing=kind, look_every=1, frozen=frozen)
    before = weights(stepper.model)
    for _ in range(2):
        stepper.train([BATCH], look=True)
    after = weights(stepper.model)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    fixed = tuple(part for part in frozen if "*" not in part)
    learns = {name for name, p in stepper.model.named_parameters() if p.requires_grad}
    assert moved == learns and not any(name.startswith(fixed) for name in learns)
    assert stepper.probe is not None and all(math.isfinite(value) for value in stepper.probe.row().values())


def test_what_is_frozen_cannot_be_compared_on() -> None:
    with pytest.raises(
        ConfigError, match=r"^training\.balancing\.kind=gradnorm: .*'trunk', which model\.freeze keeps from learning"
    ):
        make_stepper(balancing="gradnorm", frozen=["trunk"])
    make_stepper(balancing="pcgrad", look_every=1, frozen=["trunk"])
    shared = ["convolution", "recurrent", "side", "trunk"]
    for given, key in (({"balancing": "pcgrad"}, "balancing.kind=pcgrad"), ({"look_every": 1}, "task_gradients_every")):
        with pytest.raises(ConfigError, match=rf"^training\.{key}: .* share no weights that learn: model\.freeze"):
            make_stepper(**given, frozen=shared)  # type: ignore[arg-type]
    make_stepper(balancing="uncertainty", frozen=shared).train([BATCH])
