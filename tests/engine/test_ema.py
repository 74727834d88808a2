"""The average of the weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from hybrid_trainer.engine.ema import Ema
from tests.engine.helpers import make_panel, make_stepper, make_tiny_model, same, weights, whole_batch

TAKEN, SKIPPED = torch.tensor(0.0), torch.tensor(1.0)


def test_an_average_worked_out_by_hand() -> None:
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(8.0)
    ema = Ema(model, 0.75)
    seen = []
    for weight, skipped in [(16.0, TAKEN), (2.0, TAKEN), (100.0, SKIPPED), (8.0, TAKEN)]:
        model.weight.data.fill_(weight)
        ema.update(skipped)
        seen.append(ema.model.weight.item())
    assert seen == [10.0, 8.0, 8.0, 8.0]  # 8 + 8/4, 10 - 8/4, left out, 8 + 0/4


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
def test_it_is_torchs_average_of_the_same_weights(decay: float) -> None:
    stepper = make_stepper(ema_decay=decay, learning_rate=0.05)
    assert stepper.ema is not None
    theirs = AveragedModel(stepper.model, multi_avg_fn=get_ema_multi_avg_fn(decay))
    theirs.update_parameters(stepper.model)  # its first one copies
    for first in range(10, 30, 4):
        stepper.train([whole_batch(make_panel(), first, first + 8)])
        theirs.update_parameters(stepper.model)
    for name, value in theirs.module.state_dict().items():
        torch.testing.assert_close(stepper.ema.state_dict()[name], value, rtol=1e-6, atol=1e-7)
    assert not same(weights(stepper.ema.model), weights(stepper.model))


def test_buffers_of_numbers_are_averaged_and_counters_are_copied() -> None:
    model = nn.BatchNorm1d(1)
    ema = Ema(model, 0.5)
    model.running_mean.fill_(4.0)  # type: ignore[union-attr, operator]
    model.num_batches_tracked.fill_(7)  # type: ignore[union-attr, operator]
    ema.update(TAKEN)
    assert ema.model.running_mean.item() == 2.0  # type: ignore[union-attr, operator]
    assert ema.model.num_batches_tracked.item() == 7  # type: ignore[union-attr, operator]


def test_what_is_learned_does_not_depend_on_it() -> None:
    plain, averaged = make_stepper(dropout=0.2), make_stepper(dropout=0.2, ema_decay=0.9)
    for stepper in (plain, averaged):
        torch.manual_seed(1)
        for _ in range(3):
            stepper.train([whole_batch(make_panel(), 10, 25)])
    assert same(weights(averaged.model), weights(plain.model))


def test_it_needs_no_gradients_and_goes_on_from_its_state() -> None:
    model = make_tiny_model()
    first, second = Ema(model, 0.9), Ema(make_tiny_model(1), 0.9)
    assert not any(p.requires_grad for p in first.model.parameters())
    assert all(p.requires_grad for p in model.parameters())
    second.load_state_dict(first.state_dict())
    assert same(weights(second.model), weights(first.model))
