"""DLinear."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from hybrid_trainer.models.dlinear import moving_average
from tests.engine.helpers import DIMS
from tests.models.families import ETTH2, FORECAST, B, count, inputs, made, trunk_count


def test_the_trend_of_a_ramp_is_the_ramp_but_at_its_ends() -> None:
    ramp = torch.arange(6.0).view(1, 1, 6)
    # Three rows: at the ends, 0 and 5 stand twice: (0 + 0 + 1) / 3 and (4 + 5 + 5) / 3.
    torch.testing.assert_close(moving_average(ramp, 3), torch.tensor([[[1 / 3, 1.0, 2.0, 3.0, 4.0, 14 / 3]]]))
    assert torch.equal(moving_average(ramp, 1), ramp)


@pytest.mark.parametrize(("steps", "published"), [(720, 139_700), (96, None)])
def test_as_many_parameters_as_published(steps: int, published: int | None) -> None:
    """Zeng et al. (2023), table 8, says 139.7K for 96 hours -> 720."""
    rows = 96 if published else 336
    dims = replace(ETTH2, time_window=rows, heads={"load": steps * 7})
    assert count(made("dlinear", dims)) == 2 * (rows * steps + steps)
    assert count(made("dlinear", dims, individual=True)) == 7 * 2 * (rows * steps + steps)
    if published:
        assert round(count(made("dlinear", dims)), -2) == published


def test_other_heads_read_trend_and_rest_of_every_feature() -> None:
    dims = replace(DIMS, context={"text": 2})
    assert count(made("dlinear", dims)) == trunk_count(dims, 2 * dims.time_window * dims.features, 64)


def test_a_forecast_is_that_of_the_papers_two_linear_layers() -> None:
    model = made("dlinear", FORECAST, moving_average=5)
    x, context, ids = inputs(FORECAST)
    seasonal, trend = nn.Linear(8, 3), nn.Linear(8, 3)
    head = model.heads.forecasts["forecast_load"]
    for ours, theirs in zip(head.maps, (trend, seasonal), strict=True):
        ours.load_state_dict(theirs.state_dict())
    average = nn.AvgPool1d(5, stride=1)
    series = x.transpose(1, 2)
    level = average(nn.functional.pad(series, (2, 2), mode="replicate"))
    expected = (trend(level) + seasonal(series - level)).transpose(1, 2)  # (B, 3 steps, 5 features)
    torch.testing.assert_close(model(x, context, ids)["load"], expected[:, :, [3, 1]].reshape(B, 6))
