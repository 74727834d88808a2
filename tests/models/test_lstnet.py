"""LSTNet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from sklearn.linear_model import LinearRegression
from torch import nn

from hybrid_trainer.models.lstnet import SkipGru
from tests.engine.helpers import DIMS
from tests.models.families import FORECAST, B, count, inputs, made, trunk_count


def body(features: int, filters: int, kernel: int, units: int, skip_units: int) -> int:
    """By hand: convolution, and two GRUs of three gates, with two biases each as torch has them."""

    def gru(size: int) -> int:
        return 3 * size * (filters + size) + 6 * size

    return features * filters * kernel + filters + gru(units) + gru(skip_units)


@pytest.mark.parametrize("highway", [0, 8])
def test_the_number_of_parameters_is_the_sum_over_the_parts(highway: int) -> None:
    dims = replace(FORECAST, heads={"load": 6, "signal": 3}, context={"text": 2})
    found = count(made("lstnet", dims, highway=highway))
    trunk = trunk_count(replace(dims, forecast_columns={}), 100 + 5 * 5, 64)
    assert found == body(5, 100, 3, 100, 5) + trunk + (3 * (highway + 1) if highway else 0)


def test_the_skipping_gru_reads_every_skipth_step_from_each_phase() -> None:
    """Seven steps and a period of three: the last six are used; phase 0 reads steps 1 and 4, phase 1 steps 2 and 5."""
    skip = SkipGru(4, 2, 3, 7)
    x = torch.randn(B, 7, 4)
    expected = torch.cat([skip.gru(x[:, [1 + phase, 4 + phase]])[0][:, -1] for phase in range(3)], dim=1)
    torch.testing.assert_close(skip(x), expected)
    assert skip.out_size == expected.shape[1] == 6


def silenced(**changes: Any) -> nn.Module:
    """A model in which the trunk says nothing."""
    model = made("lstnet", FORECAST, **changes).eval()
    with torch.no_grad():
        for parameter in model.trunk.heads.parameters():
            parameter.zero_()
    return model


def test_its_autoregression_alone_is_a_linear_regression_on_the_columns_own_last_rows() -> None:
    model = silenced(highway=4)
    x, context, ids = inputs(FORECAST, rows=40)
    found = model(x, context, ids)["load"].detach().view(40, 3, 2)
    (linear,) = model.highways["forecast_load"].maps
    for place, column in enumerate([3, 1]):
        window = x[:, -4:, column].numpy()
        regression = LinearRegression().fit(window, found[:, :, place].numpy())
        torch.testing.assert_close(torch.from_numpy(regression.coef_), linear.weight.detach(), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(torch.from_numpy(regression.intercept_), linear.bias.detach(), rtol=1e-3, atol=1e-4)


def test_without_a_highway_and_a_skipping_gru_the_rest_stays() -> None:
    assert not silenced(highway=0)(*inputs(FORECAST))["load"].any()
    assert made("lstnet", skip=0).skip is None
    assert made("lstnet", skip=0)(*inputs(DIMS))["signal"].shape == (B, 3)
