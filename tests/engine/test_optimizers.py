"""Optimizers by name."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from hybrid_trainer.engine.optimizers import make_optimizer
from hybrid_trainer.models import MODELS
from tests.engine.helpers import make_tiny_model
from tests.models.families import FORECAST, made

KINDS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}


def make(name: str, model: nn.Module, weight_decay: float = 0.1, momentum: float = 0.9) -> torch.optim.Optimizer:
    return make_optimizer(name, model, learning_rate=0.5, weight_decay=weight_decay, momentum=momentum)


@pytest.mark.parametrize("name", KINDS)
def test_a_name_makes_the_fused_optimizer_with_its_learning_rate(name: str) -> None:
    optimizer = make(name, make_tiny_model())
    assert type(optimizer) is KINDS[name]
    assert all(group["fused"] and group["lr"] == 0.5 for group in optimizer.param_groups)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("family", list(MODELS))
def test_weight_decay_spares_biases_norms_embeddings_and_other_learned_vectors(name: str, family: str) -> None:
    dims = replace(FORECAST, heads={"load": 6, "signal": 3}, context={"text": 2})
    changes = {"individual": True} if family in ("dlinear", "patchtst") else {}
    model = made(family, dims, window_norm="revin", window_affine=True, **changes)
    decay = {id(p): group["weight_decay"] for group in make(name, model).param_groups for p in group["params"]}
    words = ("bias", "norm", "embedding.tables", "fallback", "position", ".gain", ".shift")
    for parameter_name, parameter in model.named_parameters():
        spared = any(word in f".{parameter_name}" for word in words)
        assert decay[id(parameter)] == (0.0 if spared else 0.1), parameter_name


def test_every_parameter_is_in_one_group_and_a_frozen_one_in_none() -> None:
    model = make_tiny_model()
    model.heads["head_signal"].weight.requires_grad_(False)
    inside = [id(p) for group in make("adamw", model).param_groups for p in group["params"]]
    assert sorted(inside) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    assert id(model.heads["head_signal"].weight) not in inside


def test_decay_alone_shrinks_matrices_and_leaves_vectors() -> None:
    layer = nn.Linear(2, 2)
    matrix, vector = layer.weight.detach().clone(), layer.bias.detach().clone()
    optimizer = make("adamw", layer, weight_decay=0.1)
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), matrix * (1 - 0.5 * 0.1))
    assert torch.equal(layer.bias.detach(), vector)


def test_sgd_is_nesterovs_with_momentum_and_plain_without() -> None:
    layer = nn.Linear(1, 1, bias=False)
    start = layer.weight.item()
    optimizer = make("sgd", layer, weight_decay=0.0, momentum=0.5)
    for _ in range(2):
        layer.weight.grad = torch.ones(1, 1)
        optimizer.step()
    # Nesterov: velocities 1 and 1.5, steps 1 + 0.5 * 1 and 1 + 0.5 * 1.5
    assert layer.weight.item() == pytest.approx(start - 0.5 * (1.5 + 1.75))
    assert not make("sgd", layer, momentum=0.0).param_groups[0]["nesterov"]
