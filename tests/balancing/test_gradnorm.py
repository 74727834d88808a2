"""GradNorm against its own definition, differentiated by torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hybrid_trainer.balancing import make_balancing
from hybrid_trainer.balancing.gradnorm import GradNorm
from hybrid_trainer.balancing.task_gradients import head_parameters, last_shared_parameters, shared_parameters
from hybrid_trainer.engine.step import Stepper
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.models import make_model
from tests.engine.helpers import CPU, DIMS, SPECS, make_panel, make_stepper, make_tiny_model, same, whole_batch

RATE = 0.05
STEP: dict[str, Any] = {
    "balancing": "gradnorm",
    "optimizer": "sgd",
    "momentum": 0.0,
    "learning_rate": RATE,
    "loss_weights": {"range": 0.5},
}


def learned(stepper: Stepper) -> GradNorm:
    assert isinstance(stepper.balancing, GradNorm)
    return stepper.balancing


def by_definition(w: Tensor, means: Tensor, first: Tensor, layer: list[nn.Parameter], given: Tensor) -> Tensor:
    """What the paper's loss of the gradients says of w, its own graph and all."""
    leaf = w.clone().requires_grad_()
    norms = []
    for k in range(len(means)):
        gradients = torch.autograd.grad(given[k] * leaf[k] * means[k], layer, create_graph=True)
        norms.append(torch.cat([gradient.flatten() for gradient in gradients]).norm())
    pull = torch.stack(norms)
    rates = (means / first).detach()
    target = (pull.mean() * (rates / rates.mean()) ** 1.5).detach()
    (slope,) = torch.autograd.grad((pull - target).abs().sum(), leaf)
    moved = w - RATE * slope
    return 2 * moved / moved.sum()


def test_steps_move_the_weights_as_the_paper_says() -> None:
    panel, stepper = make_panel(), make_stepper(**STEP)
    given = torch.tensor([1.0, 0.5])
    first = torch.ones(2)
    for number, (start, stop) in enumerate([(10, 25), (26, 41), (42, 57)]):
        batch = whole_batch(panel, start, stop)
        parts, _ = stepper.forward(batch)
        if number == 0:
            first = parts.means.detach()
        layer = list(stepper.model.trunk.parameters())
        expected = by_definition(learned(stepper).learned.detach(), parts.means, first, layer, given)
        stepper.train([batch])
        torch.testing.assert_close(learned(stepper).learned.detach(), expected)
        torch.testing.assert_close(learned(stepper).weights, given * expected)
    torch.testing.assert_close(learned(stepper).first, first)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_model_learns_by_the_weighted_losses(precision: str) -> None:
    """The first step is that of fixed weights: they begin at 1; the scale of float16 changes no weight."""
    batch = whole_batch(make_panel(), 10, 25)
    ours, plain = (
        make_stepper(precision=precision, **STEP),
        make_stepper(precision=precision, **STEP | {"balancing": "fixed"}),
    )
    ours.train([batch]), plain.train([batch])
    for name, value in plain.model.state_dict().items():
        torch.testing.assert_close(ours.model.state_dict()[name], value, msg=name)
    reference = make_stepper(**STEP)
    reference.train([batch])
    torch.testing.assert_close(learned(ours).learned, learned(reference).learned, rtol=2e-2, atol=2e-3)


def test_a_task_without_a_label_is_neither_compared_nor_moved_until_it_has_one() -> None:
    panel, stepper = make_panel(), make_stepper(**STEP)
    batch = whole_batch(panel, 10, 25)
    batch.mask["range"].zero_()
    stepper.train([batch])
    assert learned(stepper).learned.tolist() == [1.0, 1.0]
    assert learned(stepper).first[0] > 0 and learned(stepper).first[1] == 0
    stepper.train([whole_batch(panel, 26, 41)])
    assert learned(stepper).first[1] > 0


def test_batches_of_one_update_are_one_batch_to_the_weights() -> None:
    panel = make_panel(unlabelled=0.3)
    whole, parts = make_stepper(**STEP), make_stepper(**STEP)
    for start in (10, 30):
        whole.train([whole_batch(panel, start, start + 15)])
        parts.train([whole_batch(panel, start, start + 4), whole_batch(panel, start + 5, start + 15)])
    torch.testing.assert_close(learned(parts).learned, learned(whole).learned)
    torch.testing.assert_close(learned(parts).first, learned(whole).first)


def test_the_total_is_what_each_step_minimised() -> None:
    panel, stepper = make_panel(), make_stepper(**STEP)
    totals = []
    for start in (10, 30):
        batch = whole_batch(panel, start, start + 15)
        with torch.no_grad():
            totals.append(float((stepper.forward(batch)[0].means * learned(stepper).weights).sum()))
        stepper.train([batch])
    row = stepper.balancing.row({})
    assert row["train/loss"] == pytest.approx(sum(totals) / 2, rel=1e-5)
    assert row["train/range/weight"] == learned(stepper).weights[1].item()


def test_weights_stay_above_zero_and_a_task_of_weight_zero_stays_out() -> None:
    stepper = make_stepper(**STEP | {"learning_rate": 100.0, "loss_weights": {}})
    batch = whole_batch(make_panel(), 10, 25)
    stepper.train([batch])
    assert (learned(stepper).learned > 0).all() and learned(stepper).learned.sum().item() == pytest.approx(2.0)
    alone = make_stepper(**STEP | {"loss_weights": {"range": 0.0}})
    alone.train([batch])
    assert learned(alone).weights.tolist() == [1.0, 0.0]


def test_the_last_shared_layer_is_the_trunk_or_all_that_is_no_heads() -> None:
    model = make_tiny_model()
    assert same(last_shared_parameters(model), list(model.trunk.parameters()))
    heads, shared = head_parameters(model), shared_parameters(model)
    assert len(heads) == 4 and len(heads) + len(shared) == len(list(model.parameters()))
    linear = make_model("linear", DIMS, {"embeddings": {"instrument": 2}, "use_context": False})
    assert same(last_shared_parameters(linear), list(linear.side.parameters()))
    bare = nn.Linear(2, 2)
    assert same(last_shared_parameters(bare), list(bare.parameters()))  # one that names neither


@pytest.mark.parametrize("kind", ["gradnorm", "pcgrad"])
def test_a_model_whose_tasks_share_nothing_is_refused(kind: str) -> None:
    linear = make_model("linear", DIMS, {"embeddings": {}, "use_context": False})
    with pytest.raises(ConfigError, match=f"training.balancing.kind={kind}: the tasks of this model share no weights"):
        make_balancing(kind, linear, SPECS, torch.ones(2, device=CPU), alpha=1.5, temperature=2.0, seed=0)
