"""What stands beside the window: category vectors and context blocks, some of them missing or hidden."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from hybrid_trainer.models import make_model
from hybrid_trainer.models.fusion import Heads, SideInputs
from tests.data.tables import SOME_EXAMPLES
from tests.engine.helpers import DIMS, make_tiny_model

BLOCKS = {"text": 3, "mood": 2, "items": 1}
WIDE = replace(DIMS, context=BLOCKS, vocabularies={"instrument": 3, "sector": 5})
COLUMNS = [[0, 1, 2], [3, 4], [5]]
B = 4


def side(unknown_rate: float = 0.0, units: int | None = 4) -> SideInputs:
    torch.manual_seed(0)
    made = SideInputs(
        WIDE,
        2,
        embeddings={"sector": 3, "instrument": 2},
        use_context=True,
        context_units=units,
        dropout=0.0,
        unknown_rate=unknown_rate,
    )
    assert made.context is not None
    with torch.no_grad():
        for block in made.context.blocks.values():
            block.fallback.uniform_(1, 2)
    return made


def given_inputs(rows: int = B) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    encoded, context = torch.randn(rows, 2, generator=generator), torch.randn(rows, 6, generator=generator)
    return encoded, context, torch.tensor([[1, 4], [2, 0], [0, 1], [1, 1]]).repeat(rows // B, 1)


@pytest.mark.parametrize(("units", "sizes"), [(4, [4, 4, 4]), (None, [3, 2, 1])])
def test_the_parts_stand_side_by_side_in_their_order(units: int | None, sizes: list[int]) -> None:
    made = side(units=units)
    encoded, context, ids = given_inputs()
    context[2, 3:5] = torch.nan
    out = made(encoded, context, ids)
    assert out.shape == (B, made.out_size) == (B, 2 + 2 + 3 + sum(sizes))
    assert made.embedding is not None and made.context is not None
    window, instrument, sector, *blocks = out.split([2, 2, 3, *sizes], dim=1)
    assert torch.equal(window, encoded)
    assert torch.equal(instrument, made.embedding.tables[0].weight[ids[:, 0]])
    assert torch.equal(sector, made.embedding.tables[1].weight[ids[:, 1]])
    for own, columns, part in zip(made.context.blocks.values(), COLUMNS, blocks, strict=True):
        torch.testing.assert_close(part, own(context[:, columns]))
    assert torch.equal(blocks[1][2], made.context.blocks["block_mood"].fallback)


@SOME_EXAMPLES
@given(
    missing=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=B, max_size=B),
    junk=st.floats(-1e30, 1e30),
    family=st.sampled_from(["hybrid", "linear"]),
)
def test_what_stands_in_the_other_columns_of_a_missing_block_changes_nothing(
    missing: list[list[bool]], junk: float, family: str
) -> None:
    torch.manual_seed(0)
    model = make_tiny_model(dims=WIDE) if family == "hybrid" else linear()
    _, context, ids = given_inputs()
    x = torch.ones(B, WIDE.time_window, WIDE.features)
    other = context.clone()
    for row, blocks in enumerate(missing):
        for absent, columns in zip(blocks, COLUMNS, strict=True):
            if absent:
                context[row, columns] = torch.nan
                other[row, columns[:-1]] = junk
                other[row, columns[-1]] = torch.nan
    for before, after in zip(model(x, context, ids).values(), model(x, other, ids).values(), strict=True):
        assert before.isfinite().all()
        assert torch.equal(before, after)


def linear() -> nn.Module:
    return make_model("linear", WIDE, {"embeddings": {"instrument": 2}, "use_context": True})


def test_a_block_that_is_missing_is_not_a_block_of_zeros() -> None:
    for model in (make_tiny_model(dims=WIDE).eval(), linear()):
        with torch.no_grad():
            for block in model.side.context.blocks.values():
                block.fallback.uniform_(1, 2)
        x = torch.ones(1, WIDE.time_window, WIDE.features)
        ids = torch.ones(1, 2, dtype=torch.int64)
        zeros, absent = model(x, torch.zeros(1, 6), ids), model(x, torch.full((1, 6), torch.nan), ids)
        assert all((zeros[task] != absent[task]).all() for task in zeros)


def test_without_use_context_a_model_looks_at_no_block() -> None:
    for name in ("hybrid", "linear"):
        parameters = {"embeddings": {}, "use_context": False}
        model = make_tiny_model(dims=WIDE, **parameters) if name == "hybrid" else make_model(name, WIDE, parameters)
        x = torch.ones(B, WIDE.time_window, WIDE.features)
        _, context, ids = given_inputs()
        assert model.side.context is None
        assert torch.equal(model(x, context, ids)["signal"], model(x, None, ids)["signal"])


def test_training_hides_its_share_of_categories_and_blocks_each_on_its_own() -> None:
    made = side(unknown_rate=0.25).train()
    encoded, context, ids = given_inputs(rows=4000)
    ids = ids.clamp(min=1)
    assert made.embedding is not None and made.context is not None
    torch.manual_seed(3)
    _, instrument, sector, *blocks = made(encoded, context, ids).split([2, 2, 3, 4, 4, 4], dim=1)
    hidden = [(instrument == 0).all(dim=1), (sector == 0).all(dim=1)]
    hidden += [
        (part == own.fallback).all(dim=1) for own, part in zip(made.context.blocks.values(), blocks, strict=True)
    ]
    shares = torch.stack(hidden).float()
    assert shares.mean(dim=1).tolist() == pytest.approx([0.25] * 5, abs=0.03)
    assert torch.corrcoef(shares).fill_diagonal_(0).abs().max() < 0.06
    # what isn't hidden is as it was
    shown = ~hidden[2]
    torch.testing.assert_close(blocks[0][shown], made.context.blocks["block_text"](context[:, :3])[shown])


def test_hiding_repeats_with_the_seed_and_is_for_training_alone() -> None:
    made = side(unknown_rate=0.5)
    given = given_inputs(rows=40)

    def outputs(seed: int) -> Tensor:
        torch.manual_seed(seed)
        found: Tensor = made(*given)
        return found

    made.train()
    assert torch.equal(outputs(1), outputs(1))
    assert not torch.equal(outputs(1), outputs(2))
    made.eval()
    assert torch.equal(outputs(1), outputs(2))
    assert torch.equal(outputs(1), side()(*given))


def test_hiding_teaches_the_unknown_category_and_the_vectors_that_stand_in() -> None:
    made = side(unknown_rate=0.5).train()
    encoded, context, ids = given_inputs(rows=40)
    made(encoded, context, ids.clamp(min=1)).sum().backward()
    assert made.embedding is not None and made.context is not None
    assert all(table.weight.grad[0].all() for table in made.embedding.tables)
    assert all(block.fallback.grad.all() for block in made.context.blocks.values())


def test_a_missing_block_is_no_trouble_in_lower_precision() -> None:
    for model in (make_tiny_model(dims=WIDE), linear()):
        x = torch.ones(B, WIDE.time_window, WIDE.features)
        _, context, ids = given_inputs()
        context[0], context[1, 3:5] = torch.nan, torch.nan
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = model(x, context, ids)
        sum(raw.float().square().sum() for raw in outputs.values()).backward()
        assert all(raw.isfinite().all() for raw in outputs.values())
        assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
        assert all(block.fallback.grad.any() for block in (model.side.context.blocks[f"block_{n}"] for n in BLOCKS))


def test_a_block_may_have_any_name() -> None:
    dims = replace(DIMS, context={"values": 1, "type": 1, "train": 2})
    model = make_tiny_model(dims=dims)
    x = torch.ones(B, dims.time_window, dims.features)
    assert model(x, torch.ones(B, 4), torch.zeros(B, 1, dtype=torch.int64))["signal"].shape == (B, 3)


def test_heads_are_a_linear_layer_each_and_so_are_their_gradients() -> None:
    heads = Heads(5, {"values": 3, "b": 1, "train": 2}).double()
    x = torch.randn(B, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    outputs = heads(x)
    assert {task: tuple(raw.shape) for task, raw in outputs.items()} == {"values": (B, 3), "b": (B, 1), "train": (B, 2)}
    alone = {task: heads[f"head_{task}"](x) for task in outputs}
    inputs = [x, *heads.parameters()]
    joint = torch.autograd.grad(sum((raw**2).sum() for raw in outputs.values()), inputs)
    separate = torch.autograd.grad(sum((raw**2).sum() for raw in alone.values()), inputs)
    for ours, theirs in zip([*outputs.values(), *joint], [*alone.values(), *separate], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
