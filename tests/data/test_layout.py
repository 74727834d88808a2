"""Which columns a run reads for the features that it asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hybrid_trainer.config.data import TableData
from hybrid_trainer.config.targets import ColumnTarget, TargetConfig
from hybrid_trainer.data.features import FEATURES, feature
from hybrid_trainer.data.layout import Layout, layout_for
from hybrid_trainer.errors import ConfigError, TableError

BARS = ["time", "Open", "High", "Low", "Close", "Volume", "x", "y"]
SENSOR = ["time", "close", "x", "y"]
OWN: dict[str, TargetConfig] = {"label": ColumnTarget(column="y", kind="regression")}


@pytest.fixture(autouse=True)
def user_feature(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(FEATURES, "_entries", dict(FEATURES._entries))
    feature("of_x", 3, reads=("x", "volume"))(lambda bars: bars["x"])
    yield


def layout(columns: list[str], **keys: Any) -> Layout:
    return layout_for(TableData(path="t.csv", timestamp="time", **keys), OWN, columns, "t.csv")


def test_an_expression_over_prices_reads_the_prices() -> None:
    found = layout(BARS, expressions={"m": "col('close').diff() * col('x')"})
    assert found.prices == {"open": "Open", "high": "High", "low": "Low", "close": "Close", "volume": "Volume"}
    assert found.numbers == ("x", "y")
    assert found.optional == ("y",)


def test_an_expression_over_other_columns_needs_no_prices() -> None:
    found = layout(BARS, expressions={"m": "col('x').diff()"})
    assert (found.prices, found.numbers) == ({}, ("x", "y"))


def test_without_a_full_set_of_prices_close_is_a_column_like_any_other() -> None:
    found = layout(SENSOR, expressions={"m": "col('close').diff()"})
    assert (found.prices, found.numbers) == ({}, ("close", "y"))


def test_a_single_feature_brings_the_columns_that_it_declares() -> None:
    found = layout(BARS, extra_features=["of_x"])
    assert found.prices["volume"] == "Volume"
    assert found.numbers == ("x", "y")
    assert layout(BARS, extra_features=["rsi_14"]).prices["close"] == "Close"


@pytest.mark.parametrize(
    ("columns", "keys", "said"),
    [
        (
            BARS,
            {"expressions": {"m": "col('clos').diff()"}},
            "t.csv: there is no column 'clos' (data.expressions.m); did you mean 'Close'?",
        ),
        (
            SENSOR,
            {"expressions": {"m": "col('volume') + col('close')"}},
            "t.csv: there is no column 'volume' (data.expressions.m); known: time, close, x, y",
        ),
        (
            SENSOR,
            {"extra_features": ["of_x"]},
            "t.csv: there is no column 'volume' (data.extra_features); known: time, close, x, y",
        ),
        (
            SENSOR,
            {"extra_features": ["rsi_14"]},
            "t.csv: there is no column open or high or low, which data.extra_features needs; say where they stand "
            "(data.columns.open=COLUMN), or do without prices (model.heads=[label]); known: time, close, x, y",
        ),
        (
            SENSOR,
            {"feature_set": "technical"},
            "t.csv: there is no column open or high or low, which data.feature_set=technical needs; say where they "
            "stand (data.columns.open=COLUMN), or do without prices (model.heads=[label]); known: time, close, x, y",
        ),
    ],
)
def test_a_column_that_features_read_and_that_is_not_there_is_told(
    columns: list[str], keys: dict[str, Any], said: str
) -> None:
    with pytest.raises(TableError) as caught:
        layout(columns, **keys)
    assert str(caught.value) == said


def test_a_label_that_an_expression_reads_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        layout(BARS, expressions={"m": "col('y').shift(1)"})
    assert str(caught.value) == (
        "data.targets.label.column: 'y' is read by data.expressions.m as well, so the label would be read off the "
        "input; remove it there, or set data.targets.label.allow_contemporaneous=true"
    )


@pytest.mark.parametrize("text", ["col('x').shift(-1)", "col('x').rolling_mean(3, center=True)"])
def test_an_expression_that_looks_ahead_is_refused_before_the_table_is_read(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^data\.expressions\.m: .*would read later rows"):
        layout(BARS, expressions={"m": text})


def test_a_mean_over_the_market_brings_the_columns_inside_and_the_time_is_none() -> None:
    found = layout(BARS, expressions={"m": "col('x').diff().market_mean()"}, extra_features=["time_of_week_sin"])
    assert (found.prices, found.numbers) == ({}, ("x", "y"))


def test_sequences_without_a_calendar_have_no_market() -> None:
    with pytest.raises(ConfigError) as caught:
        layout(
            BARS, instrument="x", independent_sequences=True, expressions={"m": "col('close').log().market_mean() + 1"}
        )
    assert str(caught.value) == (
        "data.expressions.m: market_mean() is over all instruments at one time, but independent sequences share no "
        "calendar; leave it out"
    )
