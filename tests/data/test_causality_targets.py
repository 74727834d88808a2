"""Every built-in target is about the future alone, and planted leaks are found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.config.targets import (
    TARGETS,
    ColumnTarget,
    FutureTarget,
    RegimeTarget,
    SignalTarget,
    SlTpTarget,
    TargetConfig,
    TripleBarrierTarget,
    VolatilityTarget,
)
from hybrid_trainer.data.ahead import future
from hybrid_trainer.data.causality_targets import target_leaks
from hybrid_trainer.data.features import lagged
from hybrid_trainer.data.table import Coded, Table
from hybrid_trainer.data.targets import TARGET_BUILDERS, Target
from hybrid_trainer.types import TargetSpec
from tests.data.tables import FEW_EXAMPLES, Values, price_table, random_prices

BUILT_IN: dict[str, TargetConfig] = {
    "signal": SignalTarget(horizon=3, lookback=5),
    "signal_quantiles": SignalTarget(horizon=2, lookback=5, threshold_quantiles=[0.3, 0.7]),
    "volatility": VolatilityTarget(horizon=3),
    "volatility_quantiles": VolatilityTarget(horizon=3, quantiles=[0.1, 0.5]),
    "regime": RegimeTarget(horizon=4),
    "sl_tp": SlTpTarget(horizon=3, atr_window=4),
    "triple_barrier": TripleBarrierTarget(horizon=4, lookback=5, uniqueness_weights=True),
    "future": FutureTarget(columns=["x", "close"], steps=3),
    "column": ColumnTarget(column="x", kind="regression"),
    "class_column": ColumnTarget(column="y", kind="classification"),
}


def table_of(seed: int, *lengths: int) -> Table:
    """Instruments with prices, a column x of numbers and a column y of classes."""
    parts = {name: random_prices(length, seed + index) for index, (name, length) in enumerate(zip("ABC", lengths))}  # noqa: B905
    generator = np.random.default_rng(seed)
    x = generator.normal(size=sum(lengths))
    y = Coded.of([str(number) for number in generator.integers(0, 3, sum(lengths))])
    return price_table(parts, numbers={"x": x}, labels={"y": y})


def test_every_builder_is_tried() -> None:
    assert {config.builder for config in BUILT_IN.values()} == set(TARGETS)


@FEW_EXAMPLES
@given(seed=st.integers(0, 2**31))
def test_no_built_in_target_leaks(seed: int) -> None:
    found = target_leaks(table_of(seed, 30, 25), BUILT_IN, np.random.default_rng(seed), samples=6)
    assert found == {name: [] for name in BUILT_IN}


def test_where_nothing_has_a_label_that_is_said() -> None:
    table = table_of(0, 5)
    found = target_leaks(table, {"slow": VolatilityTarget(horizon=9)}, np.random.default_rng(0))
    assert found == {"slow": ["no row of t.csv has a label"]}


def known_at_t(close: Values) -> Values:
    return close - lagged(close, 1)


def reaches_too_far(close: Values) -> Values:
    return future(close, 3) - close


def of_the_whole_sample(close: Values) -> Values:
    return (future(close, 1) - close) / close.std()


@pytest.fixture
def planted() -> Iterator[Any]:
    """Enters a builder of numbers from closes under the name 'planted', for one test."""

    def plant(compute: Any) -> TargetConfig:
        def build(name: str, table: Table, config: TargetConfig) -> Target:
            spec = TargetSpec(name=name, kind="regression", dim=1, horizon=config.horizon, labels=("x",))
            return Target(spec=spec, values=compute(table.prices["close"])[:, None])

        TARGET_BUILDERS.register("planted")(build)
        return TargetConfig(builder="planted", horizon=2)

    yield plant
    del TARGET_BUILDERS._entries["planted"]


@pytest.mark.parametrize(
    ("compute", "words"),
    [
        (known_at_t, "the label is known at its own row"),
        (reaches_too_far, "is not made from the 0 rows before it, itself and the 2 after it alone"),
        (of_the_whole_sample, "is not made from the 0 rows before it, itself and the 2 after it alone"),
    ],
)
def test_a_planted_leak_is_found(planted: Any, compute: Any, words: str) -> None:
    found = target_leaks(table_of(3, 60), {"mine": planted(compute)}, np.random.default_rng(0))
    assert any(words in text for text in found["mine"])
