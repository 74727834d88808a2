"""MLSTM-FCN."""

from __future__ import annotations

from dataclasses import replace

import torch

from hybrid_trainer.models.mlstm_fcn import ConvolutionBlock, SqueezeExcite
from tests.engine.helpers import DIMS
from tests.models.families import B, count, inputs, made, trunk_count


def test_the_number_of_parameters_is_the_sum_over_the_parts() -> None:
    dims = replace(DIMS, context={"text": 2})
    convolutions = (3 * 8 * 128 + 128) + (128 * 5 * 256 + 256) + (256 * 3 * 128 + 128) + 2 * (128 + 256 + 128)
    excite = 2 * 128 * 8 + 2 * 256 * 16
    lstm = 4 * 8 * (8 + 8) + 2 * 4 * 8  # it reads windows of 8 rows, feature by feature
    assert count(made("mlstm_fcn", dims)) == convolutions + excite + lstm + trunk_count(dims, 128 + 8, 64)


def test_squeeze_and_excite_weighs_each_channel_by_what_the_means_of_all_say() -> None:
    module = SqueezeExcite(4, 2)
    with torch.no_grad():
        module.squeeze.weight.copy_(torch.tensor([[1.0, 0, 0, 0], [0, -1, 0, 0]]))
        module.excite.weight.copy_(torch.tensor([[1.0, 0], [0, 0], [0, 5], [-1, 0]]))
    x = torch.tensor([[[1.0, 1, 1, 1], [3.0, 3, 5, 7]]])  # means 2, 2, 3, 4: squeezed to relu(2) = 2 and relu(-2) = 0
    shares = torch.tensor([2.0, 0.0, 0.0, -2.0]).sigmoid()
    torch.testing.assert_close(module(x), x * shares)
    assert SqueezeExcite(8, 16).squeeze.out_features == 1


def test_a_block_is_convolution_batch_norm_relu_at_the_same_length() -> None:
    block = ConvolutionBlock(3, 5, 4, None)
    x = torch.randn(B, 8, 3)
    convolved = torch.nn.functional.conv1d(
        torch.nn.functional.pad(x.transpose(1, 2), (1, 2)), block.convolution.weight, block.convolution.bias
    )
    mean, variance = convolved.mean(dim=(0, 2)), convolved.var(dim=(0, 2), correction=0)
    expected = ((convolved - mean[:, None]) / (variance[:, None] + 1e-5).sqrt()).relu()
    torch.testing.assert_close(block(x), expected.transpose(1, 2), rtol=1e-4, atol=1e-5)


def test_all_blocks_but_the_last_have_squeeze_and_excite() -> None:
    kinds = [type(block.weigh).__name__ for block in made("mlstm_fcn").blocks]
    assert kinds == ["SqueezeExcite", "SqueezeExcite", "Identity"]


def test_the_lstm_reads_feature_by_feature_each_ones_window_as_a_step() -> None:
    model = made("mlstm_fcn", replace(DIMS, features=5)).eval()
    (lstm,) = model.recurrent.layers
    assert lstm.input_size == DIMS.time_window
    x, _, _ = inputs(replace(DIMS, features=5))
    assert model.recurrent(x.transpose(1, 2)).shape == (B, 5, 8)
