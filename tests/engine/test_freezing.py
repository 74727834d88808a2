"""Parts that don't learn: no weight, no statistic of theirs moves, and nothing in them drops out."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from hybrid_trainer.engine.freezing import freeze, learning
from hybrid_trainer.engine.optimizers import make_optimizer
from hybrid_trainer.errors import ConfigError
from tests.engine.helpers import make_loader, make_panel, make_stepper, weights


def small() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential()
    model.add_module("encoder", nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)))
    model.add_module("recurrent", nn.LSTM(4, 4, num_layers=2, dropout=0.5, batch_first=True))
    model.add_module("head", nn.Linear(4, 2))
    return model


def moved(model: nn.Module) -> set[str]:
    return {name for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(
    ("parts", "left"),
    [
        (["encoder"], {"recurrent", "head"}),
        (["encoder", "recurrent"], {"head"}),
        (["*.weight_*", "*.bias_*"], {"encoder", "head"}),
        (["[er]*"], {"head"}),
    ],
)
def test_names_take_all_below_them_and_patterns_whatever_they_fit(parts: list[str], left: set[str]) -> None:
    model = small()
    frozen = freeze(model, parts)
    assert {name.split(".")[0] for name in moved(model)} == left
    assert frozen == sum(p.numel() for p in model.parameters() if not p.requires_grad)


def test_a_name_means_a_whole_part_not_the_beginning_of_a_word() -> None:
    model = small()
    freeze(model, ["head.bias"])
    assert moved(model) == set(dict(model.named_parameters())) - {"head.bias"}
    with pytest.raises(ConfigError, match=r"^model\.freeze: the model has no part 'encod'; did you mean 'encoder'\?$"):
        freeze(small(), ["encod"])
    with pytest.raises(
        ConfigError, match=r"has no part 'xyz'; known: encoder, recurrent, head, encoder\.0, encoder\.1$"
    ):
        freeze(small(), ["xyz"])


def test_everything_frozen_is_refused() -> None:
    with pytest.raises(ConfigError, match="is all of the model: nothing is left to learn"):
        freeze(small(), ["*"])


def test_nothing_frozen_costs_nothing() -> None:
    model = small()
    assert freeze(model, []) == 0
    learning(model)
    assert all(module.training for module in model.modules())


def test_frozen_parts_are_as_in_evaluation_also_behind_an_evaluation() -> None:
    model = small()
    freeze(model, ["encoder", "recurrent"])
    for _ in range(2):
        model.eval()
        learning(model)
        encoder, recurrent, head = model.children()
        assert not any(module.training for module in encoder.modules())
        assert head.training and model.training
        # cuDNN has a backward pass in training mode alone, so there its dropout goes.
        assert isinstance(recurrent, nn.LSTM) and recurrent.training and recurrent.dropout == 0.0
    x = torch.randn(8, 3)
    before = copy.deepcopy(encoder.state_dict())
    assert torch.equal(encoder(x), encoder(x))
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())


def test_a_part_that_learns_in_part_drops_out_as_before() -> None:
    model = small()
    freeze(model, ["encoder.0"])
    learning(model)
    modules = dict(model.named_modules())
    assert not modules["encoder.0"].training
    assert modules["encoder"].training and modules["encoder.1"].training and modules["encoder.2"].training


def test_the_optimizer_has_the_others_alone() -> None:
    model = small()
    freeze(model, ["encoder", "recurrent", "head.weight"])  # no matrix is left
    for capturable in (False, True):
        optimizer = make_optimizer(
            "adamw", model, learning_rate=0.1, weight_decay=0.1, momentum=0.0, capturable=capturable
        )
        assert [len(group["params"]) for group in optimizer.param_groups] == [0, 1]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_steps_move_what_is_not_frozen_and_nothing_else(precision: str) -> None:
    stepper = make_stepper(0, precision=precision, frozen=["convolution", "recurrent"])
    before = weights(stepper.model)
    learning(stepper.model)
    for batch in make_loader(make_panel(), 10, 44):
        stepper.train([batch])
    after = weights(stepper.model)
    same = {name for name in before if torch.equal(before[name], after[name])}
    fixed = {name for name in before if name.startswith(("convolution", "recurrent"))}
    assert fixed <= same and len(same - fixed) < len(before) - len(fixed)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.gpu
def test_on_a_gpu_what_is_in_front_of_a_frozen_lstm_learns() -> None:
    device = torch.device("cuda")
    stepper = make_stepper(0, frozen=["recurrent"], device=device)
    before = weights(stepper.model)
    learning(stepper.model)
    for batch in make_loader(make_panel(), 10, 44):
        stepper.train([batch.to(device)])
    after = weights(stepper.model)
    moved_now = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert "convolution" in moved_now and "recurrent" not in moved_now
