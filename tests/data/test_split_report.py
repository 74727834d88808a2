"""What the split report states: dates, counts and shares that add up, per part and instrument."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from hybrid_trainer.config.split import SplitConfig
from hybrid_trainer.data.split_report import report
from hybrid_trainer.data.splits import Split, clocks_of, make_split
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.targets import Target
from hybrid_trainer.data.timestamps import iso
from hybrid_trainer.types import SPLITS, TargetSpec
from tests.data.tables import closes_table

DAY = 86_400 * 10**9
SEGMENTS = {"gaps": 1, "count": 3, "too_short": 1, "rows_lost": 2, "stretches": 3, "stretches_without_a_window": 1}


@pytest.fixture
def table() -> Table:
    """A of 30 rows, B of 10 in the same time, C of 5 at its end: 400 days apart."""
    times = [*range(1, 31), *range(3, 31, 3), *range(26, 31)]
    return closes_table([1] * 30, [1] * 10, [1] * 5, timestamp=np.array(times) * DAY * 400)


@pytest.fixture
def split(table: Table) -> Split:
    config = SplitConfig(fractions=[0.5, 0.25, 0.25], embargo="1")
    return make_split(config, table, np.arange(len(table)), clocks_of(table, 2))


@pytest.fixture
def codes() -> Any:
    return np.random.default_rng(0).integers(-1, 3, 45)


@pytest.fixture
def said(table: Table, split: Split, codes: Any) -> dict[str, Any]:
    numbers = np.where(codes < 0, np.nan, codes).astype(float)[:, None]
    classes = TargetSpec(name="c", kind="classification", dim=3, horizon=2, labels=("x", "y", "z"))
    number = TargetSpec(name="n", kind="regression", dim=1, horizon=2, labels=("v",))
    targets = [Target(spec=classes, values=codes), Target(spec=number, values=numbers)]
    return report(split, table.timestamp, table.instrument, table.instruments, targets, unlabelled=7, segments=SEGMENTS)


def test_the_whole_is_stated(said: dict[str, Any]) -> None:
    assert (said["kind"], said["embargo"], said["independent_sequences"]) == ("chronological", "1", False)
    assert said["purging"] == "on one calendar for all instruments"
    assert (said["rows_without_any_label"], said["rows_in_no_part"], said["segments"]) == (7, 0, SEGMENTS)
    assert list(said["parts"]) == list(SPLITS)
    assert json.loads(json.dumps(said)) == said


@pytest.mark.parametrize("part", SPLITS)
def test_a_parts_counts_dates_and_shares_are_those_of_its_rows(
    part: str, said: dict[str, Any], table: Table, split: Split, codes: Any
) -> None:
    stated, rows = said["parts"][part], split.rows[part]
    assert stated["rows"] == len(rows)
    assert (stated["purged"], stated["embargoed"]) == (len(split.purged[part]), len(split.embargoed[part]))
    assert (stated["first"], stated["last"]) == (iso(table.timestamp[rows].min()), iso(table.timestamp[rows].max()))
    assert stated["targets"] == shares(codes[rows])
    each = stated["instruments"]
    for code, name in enumerate(table.instruments):
        own = rows[table.instrument[rows] == code]
        given_up = {
            what: int((table.instrument[some[part]] == code).sum())
            for what, some in {"purged": split.purged, "embargoed": split.embargoed}.items()
        }
        if not len(own) and not any(given_up.values()):
            assert name not in each
            continue
        assert each[name]["rows"] == len(own)
        assert {what: each[name][what] for what in given_up} == given_up
        if len(own):
            ends = (iso(table.timestamp[own[0]]), iso(table.timestamp[own[-1]]))
            assert (each[name]["first"], each[name]["last"]) == ends
            assert each[name]["targets"] == shares(codes[own])


def shares(codes: Any) -> dict[str, Any]:
    labelled = codes[codes >= 0]
    counted: dict[str, Any] = {"labelled": len(labelled), "masked": len(codes) - len(labelled)}
    with_classes = dict(counted)
    if len(labelled):
        with_classes["class_shares"] = {
            name: round(int((labelled == code).sum()) / len(labelled), 6) for code, name in enumerate("xyz")
        }
    return {"c": with_classes, "n": counted}


def test_an_instrument_that_is_not_in_a_part_is_not_named_there(said: dict[str, Any]) -> None:
    assert list(said["parts"]["train"]["instruments"]) == ["A", "B"]
    assert list(said["parts"]["test"]["instruments"]) == ["A", "B", "C"]


def test_it_is_said_where_sequences_are_independent(table: Table, split: Split) -> None:
    said = report(
        split, table.timestamp, table.instrument, table.instruments, [], unlabelled=0, segments={}, independent=True
    )
    assert said["independent_sequences"] is True
    assert said["purging"].startswith("within each sequence")
