"""Which part each time, or each sequence, belongs to: by hand for each kind."""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hybrid_trainer.config.split import SplitConfig
from hybrid_trainer.data.split_kinds import (
    by_date,
    by_position,
    chronological,
    cpcv_paths,
    details,
    group_borders,
    sequence_order,
)
from hybrid_trainer.errors import ConfigError, TableError
from tests.data.tables import SOME_EXAMPLES

LETTERS = {0: "t", 1: "v", 2: "e", -1: "."}  # e: evaluation, the test part


def drawn(parts: Any) -> str:
    return "".join(LETTERS[code] for code in parts.tolist())


def positions(units: int, **keys: Any) -> str:
    return drawn(by_position(SplitConfig(**keys), units, "times"))


def test_by_fractions() -> None:
    assert positions(20, fractions=[0.5, 0.25, 0.25]) == "t" * 10 + "v" * 5 + "e" * 5


@pytest.mark.parametrize(
    ("window", "fold", "expected"),
    [
        ("expanding", 0, "ttttvveee......"),
        ("expanding", 1, "tttttttvveee..."),
        ("expanding", 2, "ttttttttttvveee"),
        ("rolling", 0, "ttttvveee......"),
        ("rolling", 1, "...ttttvveee..."),
        ("rolling", 2, "......ttttvveee"),
    ],
)
def test_walking_forward(window: str, fold: int, expected: str) -> None:
    keys = {"folds": 3, "test_size": 0.2, "valid_size": 2 / 15, "window": window, "fold": fold}
    assert positions(15, kind="walk_forward", **keys) == expected


@given(units=st.integers(40, 300), folds=st.integers(1, 6))
@SOME_EXAMPLES
def test_the_test_blocks_of_all_folds_follow_each_other_up_to_the_end(units: int, folds: int) -> None:
    keys: dict[str, Any] = {"kind": "walk_forward", "folds": folds, "test_size": 0.1, "valid_size": 0.1}
    tested = [positions(units, **keys, fold=fold) for fold in range(folds)]
    size = tested[0].count("e")
    for fold, parts in enumerate(tested):
        begin = units - (folds - fold) * size
        assert parts[begin : begin + size] == "e" * size
        assert parts.count("e") == size


@pytest.mark.parametrize(("fold", "expected"), [(0, "eeeeeetttv"), (1, "eeettteetv"), (5, "tttttveeee")])
def test_combinations_by_hand(fold: int, expected: str) -> None:
    # Ten times in groups of 3, 3, 2, 2; two of the four groups test; a fifth of what trains validates.
    assert positions(10, kind="cpcv", groups=4, test_groups=2, fold=fold, valid_size=0.2) == expected


@given(groups=st.integers(2, 7), k=st.integers(1, 4), units=st.integers(30, 90), fold=st.integers(0, 40))
@SOME_EXAMPLES
def test_the_tested_groups_are_those_of_the_combination(groups: int, k: int, units: int, fold: int) -> None:
    assume(k < groups and fold < comb(groups, k))
    parts = positions(units, kind="cpcv", groups=groups, test_groups=k, fold=fold, valid_size=0.2)
    tested = list(combinations(range(groups), k))[fold]
    borders = group_borders(groups, units)
    sizes = np.diff(borders)
    assert borders[-1] == units
    assert sizes.max() - sizes.min() <= 1
    for group in range(groups):
        inside = set(parts[borders[group] : borders[group + 1]])
        assert inside == {"e"} if group in tested else "e" not in inside
    assert parts.rfind("t") < parts.find("v")  # validation is the last of what is not tested


def test_the_paths_of_six_groups_of_which_two_test() -> None:
    # Lopez de Prado (2018), figure 12.1: fifteen splits, five paths; counted from 0.
    assert cpcv_paths(6, 2) == [
        [0, 0, 1, 2, 3, 4],
        [1, 5, 5, 6, 7, 8],
        [2, 6, 9, 9, 10, 11],
        [3, 7, 10, 12, 12, 13],
        [4, 8, 11, 13, 14, 14],
    ]


@given(groups=st.integers(2, 8), k=st.integers(1, 7))
@SOME_EXAMPLES
def test_each_tested_block_belongs_to_one_path_and_each_path_covers_every_group(groups: int, k: int) -> None:
    assume(k < groups)
    paths = cpcv_paths(groups, k)
    assert len(paths) == comb(groups, k) * k // groups
    used = [(fold, group) for path in paths for group, fold in enumerate(path)]
    tested = [(fold, group) for fold, chosen in enumerate(combinations(range(groups), k)) for group in chosen]
    assert sorted(used) == sorted(tested)


def test_a_report_of_combinations_says_the_way_to_the_paths() -> None:
    said = details(SplitConfig(kind="cpcv", fold=3))
    assert (said["fold"], said["folds"], said["tested_groups"]) == (3, 15, [0, 4])
    assert said["paths"] == cpcv_paths(6, 2)
    assert details(SplitConfig(kind="walk_forward", fold=3)) == {"fold": 3, "folds": 5, "window": "expanding"}
    assert details(SplitConfig()) == {}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"valid_from": "10", "test_from": "20"}, "ttvvee"),
        ({"valid_from": "11", "test_from": "16"}, "tttvee"),
        ({"valid_from": "10", "test_from": "20", "train_from": "5", "test_until": "25"}, ".tvve."),
    ],
)
def test_by_date(keys: dict[str, str], expected: str) -> None:
    times = np.array([0, 5, 10, 15, 20, 25])
    assert drawn(by_date(SplitConfig(kind="date", **keys), times, plain=True)) == expected


def test_dates_are_dates_where_times_are() -> None:
    days = np.arange("2020-01-01", "2020-01-07", dtype="datetime64[D]").astype("datetime64[ns]").astype(np.int64)
    config = SplitConfig(kind="date", valid_from="2020-01-03", test_from="2020-01-04T12:00Z")
    assert drawn(by_date(config, days, plain=False)) == "ttvvee"


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"valid_from": "20", "test_from": "10"}, "data.split.test_from: 10 must be later than valid_from=20"),
        (
            {"valid_from": "10", "test_from": "30"},
            "data.split.test_from: no row can be decided in 'test'; those that can lie between 0 and 25",
        ),
        (
            {"valid_from": "11", "test_from": "14"},
            "data.split.valid_from: no row can be decided in 'valid'; those that can lie between 0 and 25",
        ),
        (
            {"valid_from": "0", "test_from": "14"},
            "data.split.train_from: no row can be decided in 'train'; those that can lie between 0 and 25",
        ),
    ],
)
def test_dates_that_leave_a_part_empty_are_refused(keys: dict[str, str], text: str) -> None:
    with pytest.raises(TableError) as caught:
        by_date(SplitConfig(kind="date", **keys), np.array([0, 5, 10, 15, 20, 25]), plain=True)
    assert str(caught.value) == text


def test_a_date_for_a_plain_clock_is_refused() -> None:
    config = SplitConfig(kind="date", valid_from="2020-01-03", test_from="2020-01-04")
    with pytest.raises(ConfigError, match=r"^data\.split\.valid_from: '2020-01-03' is a date, but"):
        by_date(config, np.arange(9), plain=True)


@pytest.mark.parametrize(
    ("keys", "how"),
    [
        ({}, "[0.7, 0.15, 0.15]"),
        ({"kind": "walk_forward"}, "5 test blocks of 0.1"),
        ({"kind": "cpcv"}, "6 groups"),
        ({"kind": "cpcv", "groups": 2, "test_groups": 1}, "2 groups with a validation of 0.1"),
    ],
)
def test_too_few_units_are_refused(keys: dict[str, Any], how: str) -> None:
    with pytest.raises(TableError) as caught:
        by_position(SplitConfig(**keys), 2, "sequences")
    assert str(caught.value) == (
        f"data.split: 2 different sequences with a decidable row are too few to divide as {how}; "
        "bring more rows or lower model.time_window"
    )


def test_fractions_at_the_border_leave_no_part_empty() -> None:
    assert drawn(chronological([0.7, 0.15, 0.15], 6, "times")) == "ttttve"


# The order of independent sequences.


NAMES = tuple(f"s{number}" for number in range(200))


def order(names: tuple[str, ...] = NAMES, **keys: Any) -> list[int]:
    found: list[int] = sequence_order(SplitConfig(**keys), names, lambda: np.arange(len(names), 0, -1)).tolist()
    return found


def test_sequences_are_shuffled_by_their_names_and_a_seed_alone() -> None:
    assert sorted(order()) == list(range(200))
    assert order() == order()
    assert order() != list(range(200))
    assert order(seed=1) != order()
    fewer = NAMES[:100] + NAMES[150:]  # without some of them the others keep their order
    assert [fewer[index] for index in order(fewer)] == [NAMES[i] for i in order() if NAMES[i] in fewer]


def test_sequences_come_as_in_the_file_where_that_is_asked_for() -> None:
    assert order(order="file") == list(range(199, -1, -1))
