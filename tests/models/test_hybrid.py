"""EnhancedHybridModel."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from hybrid_trainer.models import InputDims
from tests.engine.helpers import DIMS, PARAMETERS, WINDOW, make_tiny_model

B = 4


def inputs(dims: InputDims, rows: int = B, seed: int = 0) -> tuple[Tensor, Tensor | None, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, dims.time_window, dims.features, generator=generator)
    context = torch.randn(rows, sum(dims.context.values()), generator=generator) if dims.context else None
    return x, context, torch.randint(0, 3, (rows, len(dims.vocabularies)), generator=generator)


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def count_by_hand(dims: InputDims, parameters: dict[str, Any]) -> int:
    """Weights and biases of each part, layer norms with two numbers per channel."""
    sizes, kernel = [dims.features, *parameters["cnn_filters"]], parameters["kernel_size"]
    total = sum(a * b * kernel + b + 2 * b for a, b in pairwise(sizes))
    units, size = parameters["lstm_units"], sizes[-1]
    for _ in range(parameters["lstm_layers"]):
        total += 4 * units * (size + units) + 2 * 4 * units  # torch keeps two biases per gate
        size = units
    for name, vector in parameters["embeddings"].items():
        if name in dims.vocabularies:
            total += dims.vocabularies[name] * vector
            size += vector
    if dims.context and parameters["use_context"]:
        for columns in dims.context.values():  # linear and norm, and the vector that stands in
            total += (
                columns * parameters["context_units"] + 3 * parameters["context_units"] + parameters["context_units"]
            )
            size += parameters["context_units"]
    trunk = parameters["trunk_units"]
    return total + size * trunk + 3 * trunk + sum((trunk + 1) * outputs for outputs in dims.heads.values())


def test_each_head_has_its_own_number_of_outputs() -> None:
    dims = replace(DIMS, heads={"signal": 5, "volatility": 1, "regime": 3, "sl_tp": 2})
    outputs = make_tiny_model(dims=dims)(*inputs(dims))
    assert {task: tuple(raw.shape) for task, raw in outputs.items()} == {
        "signal": (B, 5),
        "volatility": (B, 1),
        "regime": (B, 3),
        "sl_tp": (B, 2),
    }


def test_a_linear_path_tells_what_is_linear_in_the_last_row_however_large_it_is() -> None:
    model = make_tiny_model(linear_path=True).eval()
    x, context, ids = inputs(DIMS)
    with torch.no_grad():
        for head in model.heads.values():
            head.weight[:, : -DIMS.features] = 0
        outputs = model(x, context, ids)
        larger = model(1000 * x, context, ids)
    for head, (task, raw) in zip(model.heads.values(), outputs.items(), strict=True):
        torch.testing.assert_close(raw, x[:, -1] @ head.weight[:, -DIMS.features :].T + head.bias)
        torch.testing.assert_close(larger[task] - head.bias, 1000 * (raw - head.bias), rtol=1e-4, atol=1e-4)
    assert count(model) == count(make_tiny_model()) + DIMS.features * sum(DIMS.heads.values())


def test_a_highway_adds_a_linear_map_of_each_forecasts_own_last_rows() -> None:
    dims = replace(DIMS, heads={"load": 6, "signal": 3}, forecast_columns={"load": [2, 0]})
    torch.manual_seed(0)
    model = make_tiny_model(dims=dims, highway=3).eval()
    x, context, ids = inputs(dims)
    (linear,) = model.highways["forecast_load"].maps
    with torch.no_grad():
        outputs = model(x, context, ids)
        without = model.highways.pop("forecast_load") and model(x, context, ids)
    own = x[:, -3:, [2, 0]].transpose(1, 2) @ linear.weight.T + linear.bias  # (B, C, H)
    torch.testing.assert_close(outputs["load"] - without["load"], own.transpose(1, 2).flatten(1), rtol=1e-4, atol=1e-5)
    assert torch.equal(outputs["signal"], without["signal"])


def test_only_the_heads_asked_for_are_made_and_in_their_order() -> None:
    dims = replace(DIMS, heads={"regime": 3, "signal": 5})
    model = make_tiny_model(dims=dims)
    assert list(model(*inputs(dims))) == ["regime", "signal"]
    assert count(model) == count(make_tiny_model(dims=replace(DIMS, heads={"regime": 3}))) + 9 * 5


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("context", [{}, {"context": 4}, {"text": 3, "items": 1}])
@pytest.mark.parametrize("embeddings", [{}, {"instrument": 2}])
@pytest.mark.parametrize("use_context", [True, False])
def test_shapes_and_sizes_fit_with_and_without_context_and_embeddings(
    rows: int, context: dict[str, int], embeddings: dict[str, int], use_context: bool
) -> None:
    dims = replace(DIMS, context=context)
    changes = {"embeddings": embeddings, "use_context": use_context}
    model = make_tiny_model(dims=dims, **changes)
    outputs = model(*inputs(dims, rows))
    assert {task: tuple(raw.shape) for task, raw in outputs.items()} == {"signal": (rows, 3), "range": (rows, 2)}
    assert count(model) == count_by_hand(dims, PARAMETERS | changes)


@settings(max_examples=15, deadline=None)
@given(
    filters=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    kernel=st.sampled_from([1, 3, 5]),
    units=st.integers(1, 6),
    layers=st.integers(1, 3),
    vector=st.integers(1, 4),
    trunk=st.integers(1, 6),
)
def test_the_number_of_parameters_is_the_sum_over_the_parts(
    filters: list[int], kernel: int, units: int, layers: int, vector: int, trunk: int
) -> None:
    changes = {
        "cnn_filters": filters,
        "kernel_size": kernel,
        "lstm_units": units,
        "lstm_layers": layers,
        "embeddings": {"instrument": vector},
        "trunk_units": trunk,
    }
    dims = replace(DIMS, context={"text": 2, "mood": 1})
    assert count(make_tiny_model(dims=dims, **changes)) == count_by_hand(dims, PARAMETERS | changes)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("step", [0, 3, WINDOW - 1])
def test_every_step_of_the_window_reaches_every_head(step: int, layers: int) -> None:
    model = make_tiny_model(lstm_layers=layers).eval()
    x, context, ids = inputs(DIMS)
    changed = x.clone()
    changed[:, step] += 1
    before, after = model(x, context, ids), model(changed, context, ids)
    assert all((before[task] != after[task]).all() for task in before)


def test_context_and_instrument_reach_every_head() -> None:
    dims = replace(DIMS, context={"context": 2})
    model = make_tiny_model(dims=dims).eval()
    x, context, _ = inputs(dims)
    assert context is not None
    ids = torch.ones(B, 1, dtype=torch.int64)
    before = model(x, context, ids)
    for after in (model(x, context + 1, ids), model(x, context, ids + 1)):
        assert all((before[task] != after[task]).any() for task in before)


def test_context_that_is_not_used_does_not_matter() -> None:
    dims = replace(DIMS, context={"context": 2})
    model = make_tiny_model(dims=dims, use_context=False).eval()
    x, context, ids = inputs(dims)
    assert context is not None
    assert torch.equal(model(x, context, ids)["signal"], model(x, context + 1, ids)["signal"])


def test_categories_that_are_not_used_do_not_matter() -> None:
    dims = replace(DIMS, vocabularies={"instrument": 3, "sector": 5})
    model = make_tiny_model(dims=dims, embeddings={"sector": 2}).eval()
    x, context, _ = inputs(dims)
    ids = torch.ones(B, 2, dtype=torch.int64)
    before = model(x, context, ids)["signal"]
    assert torch.equal(model(x, context, ids + torch.tensor([1, 0]))["signal"], before)
    assert not torch.equal(model(x, context, ids + torch.tensor([0, 3]))["signal"], before)


def test_an_unknown_instrument_stays_the_zero_vector_where_no_row_has_it_and_is_learned_where_one_does() -> None:
    x, context, _ = inputs(DIMS)
    for seen in (1, 0):
        model = make_tiny_model()
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
        table = model.side.embedding.tables[0].weight
        known = table[1:].detach().clone()
        assert not table[0].any()
        for _ in range(3):
            optimizer.zero_grad()
            raw = model(x, context, torch.tensor([[seen], [1], [2], [seen]]))
            sum(values.square().sum() for values in raw.values()).backward()
            optimizer.step()
        assert table[0].any() == (seen == 0)
        assert (table[1:] != known).all()


def test_a_row_does_not_depend_on_the_others_in_its_batch() -> None:
    model = make_tiny_model().eval()
    x, context, ids = inputs(DIMS, rows=6)
    together, alone = model(x, context, ids), model(x[2:3], context, ids[2:3])
    for task, raw in alone.items():
        torch.testing.assert_close(raw[0], together[task][2], rtol=1e-5, atol=1e-6)


def test_in_evaluation_nothing_is_dropped() -> None:
    model = make_tiny_model(dropout=0.5, lstm_layers=2)
    given = inputs(DIMS)
    assert torch.equal(model.eval()(*given)["signal"], model(*given)["signal"])
    assert not torch.equal(model.train()(*given)["signal"], model(*given)["signal"])


def test_the_same_seed_makes_the_same_model() -> None:
    given = inputs(DIMS)
    assert torch.equal(make_tiny_model(3)(*given)["range"], make_tiny_model(3)(*given)["range"])
    assert not torch.equal(make_tiny_model(3)(*given)["range"], make_tiny_model(4)(*given)["range"])


def test_every_parameter_gets_a_gradient() -> None:
    dims = replace(DIMS, context={"context": 2})
    model = make_tiny_model(dims=dims, cnn_filters=[4, 4], lstm_layers=2)
    x, context, _ = inputs(dims)
    context[0] = torch.nan
    outputs = model(x, context, torch.ones(B, 1, dtype=torch.int64))
    sum(raw.square().sum() for raw in outputs.values()).backward()
    without = [name for name, parameter in model.named_parameters() if not parameter.grad.any()]
    assert without == []


@pytest.mark.parametrize("task", ["next_move", "values", "type", "train", "head_"])
def test_a_task_may_have_any_name_that_config_allows(task: str) -> None:
    dims = replace(DIMS, heads={task: 3})
    assert list(make_tiny_model(dims=dims)(*inputs(dims))) == [task]
