"""What the channel-wise families have in common."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from hybrid_trainer.models.channels import ChannelForecast, ChannelLinear
from tests.engine.helpers import DIMS
from tests.models.families import FORECAST, B, inputs, made

FAMILIES = ["dlinear", "patchtst"]
MIXED = replace(FORECAST, heads={"signal": 3, "load": 6, "range": 2}, context={"text": 2})


def test_a_shared_map_is_torchs_and_own_maps_are_one_for_each_channel() -> None:
    x = torch.randn(B, 3, 5)
    shared, own = ChannelLinear(None, 5, 2), ChannelLinear(3, 5, 2)
    torch.testing.assert_close(shared(x), x @ shared.weight.T + shared.bias)
    for channel in range(3):
        torch.testing.assert_close(own(x)[:, channel], x[:, channel] @ own.weight[channel].T + own.bias[channel])


def test_a_forecast_is_row_after_row_each_column_from_its_own_channel() -> None:
    head = ChannelForecast([2, 0], 4, 6, individual=False, parts=1)
    described = torch.randn(B, 3, 4)
    first, second = head.maps[0](described[:, 2]), head.maps[0](described[:, 0])  # (B, 3 steps) each
    torch.testing.assert_close(head(described), torch.stack([first, second], dim=2).flatten(1))


def test_the_maps_of_several_parts_are_added() -> None:
    head = ChannelForecast([1], 4, 3, individual=True, parts=2)
    described = torch.randn(B, 2, 4)
    parts = [described[:, 1:, :2], described[:, 1:, 2:]]
    torch.testing.assert_close(head(described), sum(m(p)[:, 0] for m, p in zip(head.maps, parts, strict=True)))


@pytest.mark.parametrize("individual", [False, True])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_column_depends_on_its_own_feature_and_on_nothing_else(name: str, individual: bool) -> None:
    model = made(name, FORECAST, individual=individual).eval()
    x, context, ids = inputs(FORECAST)
    before = model(x, context, ids)["load"].view(B, 3, 2)
    for feature in range(FORECAST.features):
        changed = x.clone()
        changed[:, 2, feature] += 1
        moved = (model(changed, context, 1 - ids)["load"].view(B, 3, 2) != before).flatten(0, 1).any(dim=0)
        assert moved.tolist() == [feature == 3, feature == 1]


@pytest.mark.parametrize("name", FAMILIES)
def test_forecasts_stand_beside_other_heads_in_their_order_and_only_these_see_everything(name: str) -> None:
    model = made(name, MIXED).eval()
    x, context, ids = inputs(MIXED)
    assert context is not None
    before = model(x, context, ids)
    assert list(before) == ["signal", "load", "range"]
    for after in (model(x, context + 1, ids), model(x, context, 1 - ids)):
        assert torch.equal(after["load"], before["load"])
        assert all((after[task] != before[task]).any() for task in ("signal", "range"))
    for feature in range(MIXED.features):
        changed = x.clone()
        changed[:, 2, feature] += 1
        after = model(changed, context, ids)
        assert all((after[task] != before[task]).any(dim=1).all() for task in ("signal", "range"))


@pytest.mark.parametrize("name", FAMILIES)
def test_where_all_is_forecast_nothing_is_made_that_is_not_used(name: str) -> None:
    model = made(name, FORECAST)
    outputs = model(*inputs(FORECAST))
    outputs["load"].square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert not any("trunk" in parameter for parameter, _ in model.named_parameters())


@pytest.mark.parametrize("name", FAMILIES)
def test_without_forecasts_of_features_all_heads_share_the_trunk(name: str) -> None:
    outputs = made(name)(*inputs(DIMS))
    assert {task: tuple(raw.shape) for task, raw in outputs.items()} == {"signal": (B, 3), "range": (B, 2)}
