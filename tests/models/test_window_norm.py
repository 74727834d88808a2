"""Normalisation of each window by itself."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from hybrid_trainer.models import MODELS
from hybrid_trainer.models.window_norm import NormalisedWindows, normalised
from tests.models.families import FORECAST, inputs, made

MIXED = replace(FORECAST, heads={"signal": 3, "load": 6})


class Seen(nn.Module):
    """Remembers the windows that it is given, and forecasts what it is told to."""

    def __init__(self, raw: Tensor) -> None:
        super().__init__()
        self.raw = raw
        self.x = torch.empty(0)

    def forward(self, x: Tensor, context: Tensor | None, ids: Tensor) -> dict[str, Tensor]:
        self.x = x
        return {"load": self.raw}


def test_revin_shows_windows_of_mean_0_and_deviation_1_and_undoes_it_on_the_forecast() -> None:
    dims = replace(FORECAST, forecast_scales={"load": [[2.0, 1.0], [0.5, -3.0]]})
    x, context, ids = inputs(dims)
    seen = Seen(torch.randn(len(x), 6))
    found = normalised(seen, dims, "revin", affine=False)(x, context, ids)["load"]
    torch.testing.assert_close(seen.x.mean(dim=1), torch.zeros(4, 5), rtol=0, atol=1e-5)
    torch.testing.assert_close(seen.x.std(dim=1, correction=0), torch.ones(4, 5), rtol=0, atol=1e-3)
    mean, deviation = x.mean(dim=1), (x.var(dim=1, correction=0) + 1e-5).sqrt()
    for index in range(6):  # row after row: steps of column 3 and column 1
        feature, gain, offset = [(3, 2.0, 1.0), (1, 0.5, -3.0)][index % 2]
        expected = (seen.raw[:, index] * deviation[:, feature] + mean[:, feature]) * gain + offset
        torch.testing.assert_close(found[:, index], expected)


def test_last_takes_the_last_row_off_and_puts_it_back() -> None:
    x, context, ids = inputs(FORECAST)
    seen = Seen(torch.zeros(len(x), 6))
    found = normalised(seen, FORECAST, "last", affine=False)(x, context, ids)["load"]
    assert torch.equal(seen.x, x - x[:, -1:])
    assert torch.equal(found, x[:, -1, [3, 1, 3, 1, 3, 1]])  # the naive forecast


@pytest.mark.parametrize("norm", ["last", "revin"])
def test_the_learned_scale_and_shift_begin_as_nothing_and_are_undone(norm: str) -> None:
    x, context, ids = inputs(FORECAST)
    first, seen = (Seen(torch.ones(len(x), 1) * torch.arange(6)) for _ in range(2))
    plain = normalised(first, FORECAST, norm, affine=False)(x, context, ids)["load"]
    model: Any = normalised(seen, FORECAST, norm, affine=True)
    torch.testing.assert_close(model(x, context, ids)["load"], plain)
    gain, shift = model.window_norm.gain, model.window_norm.shift
    with torch.no_grad():
        gain.uniform_(0.5, 2.0)
        shift.normal_()
    columns = [3, 1, 3, 1, 3, 1]
    seen.raw = seen.raw * gain[columns] + shift[columns]  # what the same forecast now looks like
    torch.testing.assert_close(model(x, context, ids)["load"], plain, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(seen.x, first.x * gain + shift)


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize(("norm", "affine"), [("last", False), ("revin", True)])
def test_every_family_takes_it_and_learns_all_of_it(name: str, norm: str, affine: bool) -> None:
    model = made(name, MIXED, window_norm=norm, window_affine=affine)
    outputs = model(*inputs(MIXED))
    assert {task: tuple(raw.shape) for task, raw in outputs.items()} == {"signal": (4, 3), "load": (4, 6)}
    sum(raw.square().sum() for raw in outputs.values()).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


@settings(max_examples=20, deadline=None)
@given(
    name=st.sampled_from(["hybrid", "linear", "dlinear"]),
    norm=st.sampled_from(["last", "revin"]),
    level=st.floats(-50, 50),
)
def test_a_window_at_another_level_is_forecast_at_that_level_and_told_the_same(
    name: str, norm: str, level: float
) -> None:
    model = made(name, MIXED, window_norm=norm).eval().double()
    x, context, ids = inputs(MIXED)
    before, after = model(x.double(), context, ids), model(x.double() + level, context, ids)
    torch.testing.assert_close(after["load"], before["load"] + level, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(after["signal"], before["signal"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["hybrid", "linear"])
def test_without_it_a_model_is_as_it_was(name: str) -> None:
    plain: Any = made(name)
    assert not isinstance(plain, NormalisedWindows)
    assert not any("window_norm" in weight for weight in plain.state_dict())


@pytest.mark.parametrize("name", list(MODELS))
def test_the_parts_keep_their_names_for_warm_starts_and_freezing_and_balancing(name: str) -> None:
    """And a copy, as an average of the weights is one, has windows of its own."""
    plain, model = made(name, MIXED), made(name, MIXED, window_norm="revin", window_affine=True)
    own = {"window_norm.gain", "window_norm.shift"}
    assert set(model.state_dict()) == set(plain.state_dict()) | own
    other: Any = copy.deepcopy(model)
    with torch.no_grad():
        other.window_norm.gain.zero_()
    assert float(model.window_norm.gain.detach().sum()) == 5.0
