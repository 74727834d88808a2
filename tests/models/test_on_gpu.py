"""Every family on a GPU: only operations that repeat, to the bit, and none that waits for the device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hybrid_trainer.models import MODELS
from tests.models.families import FORECAST, inputs, made

DIMS = replace(FORECAST, heads={"load": 6, "signal": 3}, context={"text": 2})


@pytest.fixture
def deterministic() -> Iterator[None]:
    """As a run computes."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)
    torch.cuda.set_sync_debug_mode("default")


def gradients(name: str) -> list[Tensor]:
    model = made(name, DIMS, window_norm="revin", window_affine=True).cuda().train()
    x, context, ids = (given if given is None else given.cuda() for given in inputs(DIMS, rows=64))
    for mode in ("default", "error"):  # the first pass chooses kernels
        torch.cuda.set_sync_debug_mode(mode)
        torch.cuda.manual_seed(0)
        model.zero_grad()
        sum(raw.square().sum() for raw in model(x, context, ids).values()).backward()
    torch.cuda.set_sync_debug_mode("default")
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.gpu
@pytest.mark.parametrize("name", list(MODELS))
def test_a_step_of_a_family_repeats_and_does_not_wait(name: str, deterministic: None) -> None:
    first, second = gradients(name), gradients(name)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
