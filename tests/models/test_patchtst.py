"""PatchTST."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from hybrid_trainer.models.patchtst import Attention, PatchEncoder, PatchLayer
from tests.engine.helpers import DIMS
from tests.models.families import ETTH2, FORECAST, count, inputs, made, trunk_count


def encoder(rows: int, patch_len: int, stride: int, *, layers: int = 1) -> PatchEncoder:
    return PatchEncoder(rows, patch_len, stride, 8, layers, heads=2, hidden=16, dropout=0.0, pre_norm=False)


@pytest.mark.parametrize(("rows", "patches"), [(336, 42), (512, 64), (32, 4), (8, 1)])
def test_as_many_patches_as_published(rows: int, patches: int) -> None:
    """Nie et al. (2023): PatchTST/42 looks back on 336 rows, PatchTST/64 on 512."""
    assert encoder(rows, 16, 8).patches == patches
    assert encoder(rows, 16, 8)(torch.randn(2, rows)).shape == (2, patches, 8)


def test_patches_overlap_and_the_last_value_is_repeated_behind_the_window() -> None:
    made_ = encoder(8, 4, 2, layers=0).eval()
    series = torch.arange(8.0)[None]
    with torch.no_grad():
        made_.position.zero_()
    expected = torch.tensor([[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7], [6, 7, 7, 7]]).float()
    torch.testing.assert_close(made_(series)[0], made_.embedding(expected))


def by_hand(patches: int, steps: int, size: int, hidden: int, layers: int) -> int:
    """Weights and biases of each part, as the authors' code has them; without their scale, which isn't learned."""
    layer = 4 * (size * size + size) + 2 * 2 * size + 2 * size * hidden + hidden + size
    return 16 * size + size + patches * size + layers * layer + patches * size * steps + steps


@pytest.mark.parametrize(("size", "heads", "hidden"), [(16, 4, 128), (128, 16, 256)])
def test_as_many_parameters_as_the_authors_code_has(size: int, heads: int, hidden: int) -> None:
    model = made("patchtst", ETTH2, d_model=size, attention_heads=heads, d_ff=hidden)
    assert count(model) == by_hand(42, 96, size, hidden, 3)
    own = made("patchtst", ETTH2, d_model=size, attention_heads=heads, d_ff=hidden, individual=True)
    assert count(own) - count(model) == 6 * (42 * size * 96 + 96)


def test_other_heads_read_the_patches_of_every_feature() -> None:
    dims = replace(DIMS, context={"text": 2}, time_window=16)
    body = by_hand(2, 0, 16, 128, 3)
    assert count(made("patchtst", dims)) == body + trunk_count(dims, 3 * 2 * 16, 64)


def test_attention_is_torchs_where_no_layer_stands_before() -> None:
    ours, theirs = Attention(8, 2, 0.0), nn.MultiheadAttention(8, 2, batch_first=True)
    theirs.load_state_dict(
        {
            "in_proj_weight": ours.inner.weight,
            "in_proj_bias": ours.inner.bias,
            "out_proj.weight": ours.outer.weight,
            "out_proj.bias": ours.outer.bias,
        }
    )
    x = torch.randn(3, 5, 8)
    torch.testing.assert_close(ours(x, None)[0], theirs(x, x, x)[0], rtol=1e-5, atol=1e-6)


def test_the_scores_of_the_layer_before_are_added() -> None:
    attention = Attention(8, 2, 0.0)
    x, before = torch.randn(3, 5, 8), torch.randn(3, 2, 5, 5)
    queries, keys = attention.inner(x)[..., :16].chunk(2, dim=2)
    own = torch.stack([q @ k.mT for q, k in zip(queries.split(4, 2), keys.split(4, 2), strict=True)], 1) / math.sqrt(4)
    torch.testing.assert_close(attention(x, before)[1], own + before)
    assert not torch.allclose(attention(x, before)[0], attention(x, None)[0])


@pytest.mark.parametrize("pre_norm", [False, True])
def test_a_layer_adds_each_part_and_normalises_behind_or_before_it(pre_norm: bool) -> None:
    layer = PatchLayer(8, 2, 16, 0.0, pre_norm=pre_norm)
    x = torch.randn(6, 5, 8)

    def normed(values: torch.Tensor) -> torch.Tensor:  # over series and patches, as BatchNorm1d at its start
        mean = values.mean(dim=(0, 1))
        return (values - mean) / (values.var(dim=(0, 1), correction=0) + 1e-5).sqrt()

    if pre_norm:
        within = normed(x)
        within = normed(within + layer.attention(within, None)[0])
        expected = within + layer.feed_forward(within)
    else:
        within = normed(x + layer.attention(x, None)[0])
        expected = normed(within + layer.feed_forward(within))
    torch.testing.assert_close(layer(x, None)[0], expected)


def test_level_and_spread_of_a_window_only_move_and_stretch_its_forecast() -> None:
    model = made("patchtst", FORECAST).eval()
    x, context, ids = inputs(FORECAST)
    torch.testing.assert_close(
        model(3 * x + 5, context, ids)["load"], 3 * model(x, context, ids)["load"] + 5, rtol=1e-3, atol=1e-3
    )
