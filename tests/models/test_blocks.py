"""The parts that models are made of."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hybrid_trainer.models.blocks import (
    CategoryEmbedding,
    ContextBlock,
    ConvEncoder,
    DenseBlock,
    Pooling,
    RecurrentEncoder,
    _along_time,
)

B, T, F = 4, 8, 3


def windows(seed: int = 0) -> Tensor:
    return torch.randn(B, T, F, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("filters", [[8], [8, 4]])
def test_convolutions_keep_the_length_and_end_in_the_last_filter_count(filters: list[int], kernel_size: int) -> None:
    assert ConvEncoder(F, filters, kernel_size, 0.0)(windows()).shape == (B, T, filters[-1])


def test_a_convolution_sees_kernel_size_neighbours_in_time() -> None:
    encoder = ConvEncoder(F, [8], 3, 0.0)
    x, changed = windows(), windows()
    changed[:, 4] += 1
    moved = (encoder(x) != encoder(changed)).any(dim=2).all(dim=0)
    assert moved.tolist() == [step in (3, 4, 5) for step in range(T)]


@pytest.mark.parametrize(("rows", "steps", "columns", "filters", "kernel_size"), [
    (4, 8, 3, 8, 3), (1, 8, 3, 8, 5), (5, 1, 3, 4, 3), (4, 8, 1, 1, 3), (4, 8, 3, 8, 1), (2, 2, 2, 3, 7)
])  # fmt: skip
def test_a_convolution_and_its_gradients_are_those_of_conv1d(
    rows: int, steps: int, columns: int, filters: int, kernel_size: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    convolution = nn.Conv1d(columns, filters, kernel_size, padding=kernel_size // 2).double()
    x = torch.randn(rows, steps, columns, dtype=torch.float64, generator=generator, requires_grad=True)
    weights = torch.randn(rows, steps, filters, dtype=torch.float64, generator=generator)
    found = [
        [out, *torch.autograd.grad((out * weights).sum(), [x, *convolution.parameters()])]
        for out in (_along_time(convolution, x), convolution(x.transpose(1, 2)).transpose(1, 2))
    ]
    for ours, torchs in zip(*found, strict=True):
        torch.testing.assert_close(ours, torchs, rtol=1e-12, atol=1e-12)


def test_a_convolution_block_is_convolution_layer_norm_gelu() -> None:
    encoder = ConvEncoder(F, [8], 3, 0.0)
    x = windows()
    convolved = encoder.convolutions[0](x.transpose(1, 2)).transpose(1, 2)
    mean, variance = convolved.mean(dim=2, keepdim=True), convolved.var(dim=2, keepdim=True, unbiased=False)
    expected = nn.functional.gelu((convolved - mean) / (variance + 1e-5).sqrt())
    torch.testing.assert_close(encoder(x), expected)


@pytest.mark.parametrize(("dilations", "reach"), [([1, 1], 2), ([1, 2], 3), ([2, 1], 3)])
def test_dilations_widen_what_a_step_sees(dilations: list[int], reach: int) -> None:
    encoder = ConvEncoder(F, [8, 4], 3, 0.0, dilations=dilations)
    x, changed = windows(), windows()
    changed[:, 4] += 1
    moved = (encoder(x) != encoder(changed)).any(dim=2).all(dim=0)
    assert moved.tolist() == [abs(step - 4) <= reach for step in range(T)]


def test_a_dilated_convolution_is_conv1ds() -> None:
    convolution = nn.Conv1d(F, 5, 3, padding=2, dilation=2)
    x = windows()
    torch.testing.assert_close(_along_time(convolution, x), convolution(x.transpose(1, 2)).transpose(1, 2))


def test_a_residual_block_adds_its_input_through_a_map_where_sizes_differ() -> None:
    torch.manual_seed(0)
    encoder = ConvEncoder(F, [8, 8], 3, 0.0, residual=True)
    plain = ConvEncoder(F, [8, 8], 3, 0.0)
    plain.load_state_dict({k: v for k, v in encoder.state_dict().items() if not k.startswith("shortcuts")})
    x = windows()
    first = ConvEncoder(F, [8], 3, 0.0)
    first.load_state_dict({k: v for k, v in plain.state_dict().items() if ".0." in k})
    middle = first(x) + x @ encoder.shortcuts[0].weight.T
    second = ConvEncoder(8, [8], 3, 0.0)
    second.load_state_dict({k.replace(".1.", ".0."): v for k, v in plain.state_dict().items() if ".1." in k})
    torch.testing.assert_close(encoder(x), second(middle) + middle)
    assert sum(p.numel() for p in encoder.parameters()) - sum(p.numel() for p in plain.parameters()) == F * 8


def test_without_layer_norm_a_block_is_convolution_and_gelu() -> None:
    encoder = ConvEncoder(F, [8], 3, 0.0, layer_norm=False)
    x = windows()
    convolved = encoder.convolutions[0](x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(encoder(x), nn.functional.gelu(convolved))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_gru_starts_with_orthogonal_gates(bidirectional: bool) -> None:
    encoder = RecurrentEncoder(F, 8, 2, 0.0, bidirectional, cell="gru")
    assert encoder(windows()).shape == (B, T, encoder.out_size)
    for gru in encoder.layers:
        assert isinstance(gru, nn.GRU)
        for name, weight in gru.named_parameters():
            for gate in weight.split(8) if name.startswith("weight_hh") else ():
                torch.testing.assert_close(gate @ gate.T, torch.eye(8), rtol=0, atol=1e-5)


def test_the_forget_bias_is_as_given_or_torchs() -> None:
    (given,) = RecurrentEncoder(F, 8, 1, 0.0, forget_bias=2.5).layers
    assert torch.equal((given.bias_ih_l0 + given.bias_hh_l0)[8:16], torch.full((8,), 2.5))
    torch.manual_seed(0)
    (plain,) = RecurrentEncoder(F, 8, 1, 0.0, forget_bias=None).layers
    torch.manual_seed(0)
    torchs = nn.LSTM(F, 8, batch_first=True)
    assert torch.equal(plain.bias_ih_l0, torchs.bias_ih_l0)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_recurrent_encoder_gives_every_steps_state(layers: int) -> None:
    encoder = RecurrentEncoder(F, 8, layers, 0.0)
    assert len(encoder.layers) == layers
    assert encoder(windows()).shape == (*windows().shape[:2], 8)


def test_stacked_layers_equal_torchs_stacked_lstm() -> None:
    encoder = RecurrentEncoder(F, 8, 2, 0.0)
    reference = nn.LSTM(F, 8, num_layers=2, batch_first=True)
    state = {
        name.replace("_l0", f"_l{number}"): value
        for number, lstm in enumerate(encoder.layers)
        for name, value in lstm.state_dict().items()
    }
    reference.load_state_dict(state)
    torch.testing.assert_close(encoder(windows()), reference(windows())[0])


@pytest.mark.parametrize("layers", [1, 2])
def test_forget_gates_start_at_one_and_recurrent_weights_orthogonal(layers: int) -> None:
    units = 8
    for lstm in RecurrentEncoder(F, units, layers, 0.0).layers:
        forget = (lstm.bias_ih_l0 + lstm.bias_hh_l0)[units : 2 * units]
        assert torch.equal(forget, torch.ones(units))
        for weight in lstm.weight_hh_l0.split(units):
            torch.testing.assert_close(weight @ weight.T, torch.eye(units), rtol=0, atol=1e-5)


def test_dropout_lies_between_the_layers_and_not_behind_the_last() -> None:
    torch.manual_seed(0)
    one, two = RecurrentEncoder(F, 8, 1, 0.5).train(), RecurrentEncoder(F, 8, 2, 0.5).train()
    assert torch.equal(one(windows()), one(windows()))
    assert not torch.equal(two(windows()), two(windows()))
    assert (two(windows()) != 0).all()
    two.eval()
    assert torch.equal(two(windows()), two(windows()))


def test_embeddings_are_looked_up_by_column_and_joined_in_order() -> None:
    embedding = CategoryEmbedding([2, 0], [4, 3], [2, 3])
    ids = torch.tensor([[1, 9, 3], [2, 9, 1]])  # the input between them is not used
    expected = torch.cat([embedding.tables[0].weight[[3, 1]], embedding.tables[1].weight[[1, 2]]], dim=1)
    assert embedding.out_size == 5
    assert torch.equal(embedding(ids), expected)


def test_the_unknown_category_starts_as_zero_and_is_learned_where_a_row_has_it() -> None:
    embedding = CategoryEmbedding([0], [3], [4])
    out = embedding(torch.tensor([[0], [2], [0]]))
    assert torch.equal(out[[0, 2]], torch.zeros(2, 4))
    out.sum().backward()
    gradient = embedding.tables[0].weight.grad
    assert gradient.tolist() == [[2.0] * 4, [0.0] * 4, [1.0] * 4]


@pytest.mark.parametrize("units", [None, 6])
def test_a_learned_vector_stands_in_for_a_missing_block_and_only_there(units: int | None) -> None:
    block = ContextBlock(F, units, 0.0)
    with torch.no_grad():
        block.fallback.uniform_()
    x = torch.randn(B, F, generator=torch.Generator().manual_seed(0))
    whole = block(x)
    assert whole.shape == (B, block.out_size) == (B, units or F)
    torch.testing.assert_close(whole, block.encoder(x))
    x[1] = torch.nan
    x[3, 0] = torch.nan  # one column is enough
    some = block(x)
    assert torch.equal(some[[0, 2]], whole[[0, 2]])
    assert torch.equal(some[[1, 3]], block.fallback.expand(2, -1))


def test_the_vector_that_stands_in_learns_from_its_rows_and_the_encoder_from_the_others() -> None:
    block = ContextBlock(F, 6, 0.0)
    x = torch.randn(B, F, generator=torch.Generator().manual_seed(0))
    x[[1, 2]] = torch.nan
    weights = torch.arange(24.0).view(B, 6)
    (block(x) * weights).sum().backward()
    assert torch.equal(block.fallback.grad, weights[1] + weights[2])
    gradients = [parameter.grad.clone() for parameter in block.encoder.parameters()]
    block.zero_grad()
    (block(x[[0, 3]]) * weights[[0, 3]]).sum().backward()
    assert not block.fallback.grad.any()
    for parameter, gradient in zip(block.encoder.parameters(), gradients, strict=True):
        assert gradient.isfinite().all()
        torch.testing.assert_close(parameter.grad, gradient)


def test_a_dense_block_is_linear_layer_norm_gelu() -> None:
    block = DenseBlock(F, 6, 0.0)
    x = torch.randn(B, F, generator=torch.Generator().manual_seed(0))
    linear = x @ block.linear.weight.T + block.linear.bias
    mean, variance = linear.mean(dim=1, keepdim=True), linear.var(dim=1, keepdim=True, unbiased=False)
    torch.testing.assert_close(block(x), nn.functional.gelu((linear - mean) / (variance + 1e-5).sqrt()))


def test_a_dense_block_drops_its_share_of_units_only_in_training() -> None:
    torch.manual_seed(0)
    block = DenseBlock(F, 2000, 0.25).train()
    x = torch.randn(1, F)
    dropped = (block(x) == 0).float().mean().item()
    assert dropped == pytest.approx(0.25, abs=0.05)
    assert (block.eval()(x) != 0).all()


def test_a_bidirectional_encoder_equals_torchs_and_starts_orthogonal_both_ways() -> None:
    encoder = RecurrentEncoder(F, 8, 1, 0.0, bidirectional=True)
    reference = nn.LSTM(F, 8, batch_first=True, bidirectional=True)
    reference.load_state_dict(encoder.layers[0].state_dict())
    assert encoder.out_size == 16
    torch.testing.assert_close(encoder(windows()), reference(windows())[0])
    for weight in encoder.layers[0].weight_hh_l0_reverse.split(8):
        torch.testing.assert_close(weight @ weight.T, torch.eye(8), rtol=0, atol=1e-5)


def test_pooling_takes_the_last_step_and_of_what_was_read_backwards_the_first() -> None:
    x = torch.arange(24.0).view(1, 3, 8)
    assert torch.equal(Pooling("last", 8)(x), x[:, -1])
    assert torch.equal(Pooling("last", 8, backward=4)(x), torch.cat([x[:, -1, :4], x[:, 0, 4:]], dim=1))
    torch.testing.assert_close(Pooling("mean", 8)(x), x.mean(dim=1))


def test_attention_is_a_weighted_mean_whose_weights_can_pick_any_step() -> None:
    x = windows()
    pooling = Pooling("attention", F)
    assert pooling.score is not None
    last = pooling.score[2]
    with torch.no_grad():
        last.weight.zero_()
    torch.testing.assert_close(pooling(x), x.mean(dim=1))  # equal scores
    with torch.no_grad():
        pooling.score[0].weight.zero_()
        pooling.score[0].weight[0, 0], pooling.score[0].bias[:] = 1.0, 0.0
        last.weight[0, 0] = 1e4
    best = x[..., 0].argmax(dim=1)
    torch.testing.assert_close(pooling(x), x[torch.arange(len(x)), best])
