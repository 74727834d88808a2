"""Random tables, windows and horizons through the whole chain: no check finds anything in what the package brings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hybrid_trainer import prepare
from hybrid_trainer.errors import TableError
from hybrid_trainer.leaks import borders, fitting, inputs, labels
from hybrid_trainer.leaks.finding import Finding, Subject
from tests.conftest import make_config
from tests.data.tables import price_table, random_prices

CPU = torch.device("cpu")
LONG = settings.get_current_profile_name() == "long"
CHAIN = settings(
    max_examples=40 if LONG else 4,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.parametrize(("feature_set", "warm_up"), [("core", 61), ("technical", 188)])
@CHAIN
@given(data=st.data())
def test_no_check_finds_anything_in_what_the_package_brings(
    feature_set: str, warm_up: int, data: st.DataObject
) -> None:
    seed = data.draw(st.integers(0, 2**31))
    window, horizon = data.draw(st.integers(2, 12)), data.draw(st.integers(1, 8))
    lengths = data.draw(st.lists(st.integers(30, 160), min_size=1, max_size=3))
    parts = {
        name: random_prices(warm_up + length, seed + code)
        for code, (name, length) in enumerate(zip("ABC", lengths, strict=False))
    }
    starts = {name: data.draw(st.integers(0, 40)) for name in parts}
    times = [start + np.arange(len(parts[name]["close"])) for name, start in starts.items()]
    table = price_table(parts, timestamp=np.concatenate(times).astype(np.int64))
    heads = "model.heads=[signal,volatility,sl_tp,trade,next]"
    config = make_config(
        f"data.feature_set={feature_set}", f"model.time_window={window}", heads,
        f"data.targets.signal={{horizon: {horizon}, threshold_quantiles: [0.4,0.6]}}",
        f"data.targets.trade={{builder: triple_barrier, horizon: {horizon}}}",
        f"data.targets.next={{builder: future, columns: [close], steps: {horizon}}}",
        "data.targets.volatility.horizon=2", "data.targets.sl_tp.horizon=3",
    )  # fmt: skip
    try:
        made = prepare.dataset(config, table, CPU)
    except TableError:  # too short for three parts, or for all classes
        assume(False)
    subject = Subject(config=config, data=made, samples=3, seed=seed % 1000)
    found: list[Finding] = [
        check(subject)
        for check in (
            inputs.cut_off, inputs.changed, labels.about_the_future, labels.not_an_input, borders.no_label_crosses,
            fitting.fitted_on_training,
        )
    ]  # fmt: skip
    assert [finding.failures for finding in found] == [[]] * 6


def test_bits_are_compared_and_nan_is_nan() -> None:
    one = torch.tensor([1.0, 0.0, float("nan"), 2.0])
    other = torch.tensor([1.0, -0.0, -float("nan"), np.nextafter(np.float32(2), np.float32(3))])
    assert inputs.same(one, other).tolist() == [True, False, True, False]
    assert inputs.same(torch.tensor([1, 2]), torch.tensor([1, 3])).tolist() == [True, False]
