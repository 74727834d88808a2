"""A model's outputs for many rows."""

from __future__ import annotations

import pytest
import torch

from hybrid_trainer.engine.collect import collect
from hybrid_trainer.engine.device import choose_precision
from tests.engine.helpers import CPU, make_loader, make_panel, make_tiny_model, whole_batch


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_outputs_come_in_the_order_of_the_rows_whatever_the_batches(batch_size: int) -> None:
    model, panel = make_tiny_model().eval(), make_panel()
    outputs = collect(model, make_loader(panel, 10, 29, batch_size=batch_size), choose_precision("fp32", CPU))
    batch = whole_batch(panel, 10, 29)
    expected = model(batch.x, batch.context, batch.ids)
    assert list(outputs) == ["signal", "range"]
    for task, raw in outputs.items():
        assert raw.shape == expected[task].shape
        torch.testing.assert_close(raw, expected[task], rtol=1e-5, atol=1e-6)


def test_nothing_is_dropped_and_no_random_number_is_used() -> None:
    model = make_tiny_model(dropout=0.5).train()
    loader, precision = make_loader(make_panel(), 10, 29), choose_precision("fp32", CPU)
    state = torch.get_rng_state()
    first, second = collect(model, loader, precision), collect(model, loader, precision)
    assert torch.equal(first["signal"], second["signal"])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_outputs_of_half_precision_come_as_float32(precision: str) -> None:
    model, loader = make_tiny_model(), make_loader(make_panel(), 10, 29)
    chosen = choose_precision(precision, CPU)
    half = collect(model, loader, chosen)
    full = collect(model, loader, choose_precision("fp32", CPU))
    for task, raw in half.items():
        assert raw.dtype == torch.float32 and not raw.requires_grad
        torch.testing.assert_close(raw, full[task], rtol=0.05, atol=0.05)
        assert torch.equal(raw, full[task]) is (chosen.dtype is None)
