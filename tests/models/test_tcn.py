"""TCN."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from hybrid_trainer.models.tcn import CausalConvolution, ResidualBlock, residual_blocks
from tests.engine.helpers import DIMS
from tests.models.families import count, inputs, made, trunk_count


def body(features: int, channels: list[int], kernel: int) -> int:
    """By hand: two weight-normalised convolutions (weight, gain, bias) per block, a map where sizes differ."""
    total, before = 0, features
    for size in channels:
        total += size * before * kernel + size * size * kernel + 4 * size
        total += before * size + size if before != size else 0
        before = size
    return total


@pytest.mark.parametrize("channels", [[32, 32, 32, 32], [8, 16]])
def test_the_number_of_parameters_is_the_sum_over_the_parts(channels: list[int]) -> None:
    dims = replace(DIMS, context={"text": 2})
    found = count(made("tcn", dims, channels=channels))
    assert found == body(3, channels, 3) + trunk_count(dims, channels[-1], 64)


def test_as_many_parameters_as_the_papers_own_script_has() -> None:
    """Bai et al. (2018), sequential MNIST: TCN/mnist_pixel/pmnist_test.py says ksize 7, levels 8, nhid 25; ten classes.

    By hand: 4,700 in the first block, 8,850 in each other one, 260 behind them: the '70K' of the paper's table.
    """
    assert count(residual_blocks(1, [25] * 8, 7, 0.0)) + 25 * 10 + 10 == 4_700 + 7 * 8_850 + 260 == 66_910


@pytest.mark.parametrize(("channels", "kernel", "reach"), [([32], 2, 3), ([32, 32], 2, 7), ([32] * 3, 3, 29)])
def test_the_decision_row_sees_as_many_rows_as_the_formula_says(channels: list[int], kernel: int, reach: int) -> None:
    """1 + 2 * (kernel_size - 1) * (2^blocks - 1)."""
    dims = replace(DIMS, time_window=32)
    model = made("tcn", dims, channels=channels, kernel_size=kernel).eval()
    x, _, _ = inputs(dims)
    x.requires_grad_()
    model.blocks(x)[:, -1].sum().backward()
    assert x.grad is not None
    seen = x.grad.abs().sum(dim=(0, 2)) > 0
    assert seen.tolist() == [row >= 32 - reach for row in range(32)]


def test_no_row_sees_a_later_one() -> None:
    model = made("tcn").eval()
    x, _, _ = inputs(DIMS)
    changed = x.clone()
    changed[:, 5] += 1
    moved = (model.blocks(x) != model.blocks(changed)).any(dim=2).all(dim=0)
    assert moved.tolist() == [row >= 5 for row in range(8)]


def test_a_convolution_is_torchs_with_weight_norm() -> None:
    ours, theirs = CausalConvolution(3, 5, 3, 2), weight_norm(nn.Conv1d(3, 5, 3, padding=4, dilation=2))
    with torch.no_grad():
        ours.gain.uniform_(0.5, 2)
        theirs.bias.copy_(ours.bias)
        theirs.parametrizations.weight.original0.copy_(ours.gain[:, None, None])
        theirs.parametrizations.weight.original1.copy_(ours.direction)
    x = torch.randn(4, 8, 3)
    torch.testing.assert_close(ours(x), theirs(x.transpose(1, 2))[..., :8].transpose(1, 2))


def test_weight_norm_begins_with_the_weights_as_they_are_drawn() -> None:
    convolution = CausalConvolution(3, 5, 2, 1)
    x = torch.randn(4, 8, 3)
    plain = nn.functional.conv1d(x.transpose(1, 2), convolution.direction, convolution.bias)  # without the first row
    torch.testing.assert_close(convolution(x)[:, 1:], plain.transpose(1, 2))


def test_a_block_adds_its_input() -> None:
    block = ResidualBlock(3, 3, 2, 1, 0.0)
    with torch.no_grad():
        block.second.gain.zero_()
        block.second.bias.zero_()
    x = torch.randn(4, 8, 3)
    assert torch.equal(block(x), x.relu())
