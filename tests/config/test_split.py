"""The keys of a split: each kind has its own, and a key that nobody would read is refused."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_trainer.config.data import TableData
from hybrid_trainer.config.split import KINDS, SplitConfig
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.sweeps.checking import points as points_of
from tests.conftest import make_config


def refused(**keys: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        SplitConfig(**keys)
    return str(caught.value)


DATE = {"kind": "date", "valid_from": "2012-01-01", "test_from": "2013-01-01"}
TOUCHED: dict[str, Any] = {
    "fractions": [0.6, 0.2, 0.2],
    "valid_from": "2012-01-01",
    "test_from": "2012-01-01",
    "train_from": "2012-01-01",
    "test_until": "2012-01-01",
    "folds": 3,
    "fold": 1,
    "window": "rolling",
    "test_size": 0.15,
    "valid_size": 0.2,
    "groups": 5,
    "test_groups": 1,
    "column": "part",
}
NEEDED = {"date": DATE, "column": {"kind": "column", "column": "part"}}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TOUCHED)
def test_a_kind_takes_its_own_keys_and_refuses_the_others_by_name(kind: str, name: str) -> None:
    keys = {"kind": kind, **NEEDED.get(kind, {}), name: TOUCHED[name]}
    if name in KINDS[kind]:
        assert getattr(SplitConfig(**keys), name) == TOUCHED[name]
        return
    owners = " or ".join(other for other, names in KINDS.items() if name in names)
    assert refused(**keys) == f"data.split.{name}: data.split.kind={kind} does not use it; it belongs to kind={owners}"


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"kind": "walk"}, "data.split.kind: 'walk' is not one of chronological, date, walk_forward, cpcv, column"),
        ({**DATE, "test_from": "June 2012"}, "data.split.test_from: 'June 2012' is not a time"),
        ({"kind": "date", "test_from": "2012-01-01"}, "data.split.valid_from: data.split.kind=date needs it"),
        ({"kind": "date", "valid_from": "2012-01-01"}, "data.split.test_from: data.split.kind=date needs it"),
        ({"kind": "column"}, "data.split.column: data.split.kind=column needs it"),
        ({"embargo": "3 days"}, "data.split.embargo: '3 days' is neither a number of bars nor a duration"),
        ({"kind": "walk_forward", "window": "all"}, "data.split.window: 'all' is not one of expanding, rolling"),
        ({"kind": "walk_forward", "folds": 0}, "data.split.folds: 0 is out of range"),
        (
            {"kind": "walk_forward", "folds": 9, "test_size": 0.1, "valid_size": 0.1},
            "data.split.test_size: 9 test blocks of 0.1 and a validation of 0.1 of the calendar leave nothing",
        ),
        (
            {"kind": "walk_forward", "fold": 5},
            "data.split.fold: 5 is out of range; data.split.folds=5 has the folds 0 to 4",
        ),
        (
            {"kind": "cpcv", "fold": 15},
            "data.split.fold: 15 is out of range; 6 groups with 2 for test has the folds 0 to 14",
        ),
        ({"kind": "cpcv", "test_groups": 6}, "data.split.test_groups: 6 is out of range"),
        ({"kind": "cpcv", "groups": 1}, "data.split.groups: 1 is out of range"),
        (
            {"kind": "cpcv", "groups": 20, "test_groups": 10},
            "data.split.groups: 20 groups with 10 for test have 184756",
        ),
        ({"kind": "cpcv", "valid_size": 0.95}, "data.split.valid_size: 0.95 is out of range"),
        ({"order": "random"}, "data.split.order: 'random' is not one of shuffled, file"),
    ],
)
def test_a_split_that_cannot_be_made_is_refused(keys: dict[str, Any], text: str) -> None:
    assert refused(**keys).startswith(text)


def table_data(**keys: Any) -> TableData:
    return TableData(path="t.csv", **keys)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (
            {"instrument": None},
            "data.instrument: data.independent_sequences=true needs the column that names a sequence",
        ),
        ({"split": SplitConfig(**DATE)}, "data.split.kind: independent sequences share no calendar"),
        ({"split": SplitConfig(embargo="1")}, "data.split.embargo: whole sequences are divided"),
    ],
)
def test_independent_sequences_need_names_and_have_no_calendar(keys: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        table_data(**({"instrument": "who", "independent_sequences": True} | keys))
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("keys", [{"order": "file"}, {"seed": 1}])
def test_an_order_of_sequences_is_for_independent_ones(keys: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"it is used with data.independent_sequences=true alone"):
        table_data(split=SplitConfig(**keys))
    table_data(split=SplitConfig(**keys), instrument="who", independent_sequences=True)


@pytest.mark.parametrize("max_gap", ["auto", None, "5", "90min"])
def test_a_gap_is_automatic_a_number_of_steps_a_duration_or_none(max_gap: str | None) -> None:
    assert table_data(max_gap=max_gap).max_gap == max_gap


def test_a_gap_that_is_neither_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^data\.max_gap: 'weekly' is neither"):
        table_data(max_gap="weekly")


def test_the_command_line_says_spans_and_dates_as_a_user_would() -> None:
    config = make_config(
        "data.max_gap=5", "data.split.kind=date", "data.split.valid_from=20120101", "data.split.test_from=2012-06-01"
    )
    assert (config.data.max_gap, config.data.split.valid_from) == ("5", "20120101")
    assert make_config("data.max_gap=null").data.max_gap is None
    assert make_config("data.split.embargo=5").data.split.embargo == "5"
    assert make_config("data.split.embargo=2h").data.split.embargo == "2h"


def test_a_range_of_folds_is_a_sweep_whose_every_fold_is_checked_first() -> None:
    points = points_of(["data.split.kind=walk_forward", "data.split.fold=range(5)"])
    assert [make_config(*point).data.split.fold for point in points] == [0, 1, 2, 3, 4]
    points = points_of(["data.split.kind=walk_forward", "data.split.fold=range(6)"])
    with pytest.raises(ConfigError, match=r"data\.split\.fold: 5 is out of range"):
        for point in points:
            make_config(*point)
