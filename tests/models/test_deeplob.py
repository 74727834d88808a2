"""DeepLOB."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hybrid_trainer.models.deeplob import Inception, MergingBlock
from tests.engine.helpers import DIMS
from tests.models.families import B, count, inputs, made, trunk_count

BOOK = replace(DIMS, features=40, time_window=100, heads={"move": 3}, vocabularies={})


def body(groups: int, filters: int = 16, inception: int = 32, units: int = 64) -> int:
    """By hand, layer by layer as in the paper's figure; torch's LSTM has two biases where Keras' has one."""
    along = 2 * (4 * filters * filters + filters)
    blocks = 2 * filters + filters + (2 + groups) * filters * filters + 2 * filters + 3 * along
    branches = 3 * (filters * inception + inception) + (3 + 5) * inception * inception + 2 * inception
    return blocks + branches + 4 * units * (3 * inception + units) + 8 * units


def test_as_many_parameters_as_the_papers_figure_on_a_limit_order_book() -> None:
    """Zhang et al. (2019), counted by hand: its head reads the LSTM itself, and Keras' LSTM has one bias.

    The scripts that its authors published have 32 and 64 filters where the figure has 16 and 32.
    """
    found = count(made("deeplob", BOOK))
    assert found == body(10) + trunk_count(BOOK, 64, 64)
    assert body(10) - 4 * 64 + 64 * 3 + 3 == 60_691


@pytest.mark.parametrize(("features", "groups"), [(3, 1), (4, 1), (5, 2), (14, 4)])
def test_any_number_of_features_is_merged_by_fours_and_then_altogether(features: int, groups: int) -> None:
    dims = replace(DIMS, features=features)
    model = made("deeplob", dims)
    assert count(model) == body(groups) + trunk_count(dims, 64, 64)
    x, context, ids = inputs(dims)
    x.requires_grad_()
    model(x, context, ids)["signal"].sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).any(dim=0).any(dim=0).all()


def test_a_block_merges_neighbours_and_keeps_the_length() -> None:
    block = MergingBlock(1, 4, 2)
    x = torch.randn(B, 1, 8, 6)
    changed = x.clone()
    changed[:, :, :, 2] += 1
    moved = (block(x) != block(changed)).flatten(0, 2).any(dim=0)
    assert block(x).shape == (B, 4, 8, 3)
    assert moved.tolist() == [False, True, False]


def test_the_inception_module_is_three_rows_five_rows_and_the_largest_of_three() -> None:
    module = Inception(4, 2)
    x = torch.randn(B, 4, 8)

    def leaky(layer: nn.Module, given: torch.Tensor) -> torch.Tensor:
        return F.leaky_relu(layer(given), 0.01)

    expected = [
        leaky(module.three, leaky(module.narrow[0], x)),
        leaky(module.five, leaky(module.narrow[1], x)),
        leaky(module.narrow[2], F.max_pool1d(x, 3, stride=1, padding=1)),
    ]
    torch.testing.assert_close(module(x), torch.cat(expected, dim=1))
    assert module(x).shape == (B, 6, 8)
