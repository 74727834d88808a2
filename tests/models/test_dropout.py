"""Dropout that draws 16 bits a unit."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.models.dropout import Dropout
from tests.data.tables import SOME_EXAMPLES


@SOME_EXAMPLES
@given(
    rate=st.floats(0.02, 0.98),
    shape=st.lists(st.integers(1, 7), min_size=1, max_size=3),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_a_unit_is_zeroed_or_scaled_and_so_is_its_gradient(rate: float, shape: list[int], dtype: torch.dtype) -> None:
    x = torch.ones(shape, dtype=dtype, requires_grad=True)
    out = Dropout(rate)(x)
    share = round(rate * 65536) / 65536
    scale = torch.tensor(1.0, dtype=dtype).mul_(1 / (1 - share))
    assert out.shape == x.shape and out.dtype == dtype
    assert bool(((out == 0) | (out == scale)).all())
    out.sum().backward()
    assert torch.equal(x.grad, out)


@pytest.mark.parametrize("rate", [0.001, 0.2, 0.5, 0.9])
def test_the_share_is_the_rate_and_the_mean_stays(rate: float) -> None:
    torch.manual_seed(0)
    n = 1_000_001  # no multiple of four
    out = Dropout(rate)(torch.ones(n))
    deviation = math.sqrt(rate * (1 - rate) / n)
    assert (out == 0).double().mean().item() == pytest.approx(rate, abs=4 * deviation + 1 / 65536)
    assert out.double().mean().item() == pytest.approx(1, abs=4 * deviation / (1 - rate))


def test_the_four_units_of_a_draw_fall_independently_of_each_other() -> None:
    torch.manual_seed(0)
    dropped = (Dropout(0.3)(torch.ones(400_000)) == 0).double().view(-1, 4)
    among_them = torch.corrcoef(dropped.T)
    torch.testing.assert_close(among_them, torch.eye(4, dtype=torch.float64), rtol=0, atol=0.015)
    assert abs(torch.corrcoef(torch.stack([dropped[:-1, 3], dropped[1:, 0]]))[0, 1].item()) < 0.015


def test_the_seed_decides_and_every_call_draws_anew() -> None:
    dropout, x = Dropout(0.5), torch.ones(64)
    torch.manual_seed(3)
    first, second = dropout(x), dropout(x)
    torch.manual_seed(3)
    assert torch.equal(dropout(x), first)
    assert not torch.equal(first, second)


def test_nothing_is_dropped_and_nothing_drawn_outside_training_or_at_a_rate_of_zero() -> None:
    before, x = torch.get_rng_state(), torch.ones(8)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("rate", "left"), [(1.0, 0.0), (1e-9, 1.0)])
def test_rates_too_near_the_ends_for_sixteen_bits_are_torchs(rate: float, left: float) -> None:
    assert torch.equal(Dropout(rate)(torch.ones(1000)), torch.full((1000,), left))
