"""Which part each unit belongs to, for each kind of split.

A unit is a time of the common calendar in which some row can be decided; of independent sequences, it is a sequence.
Every function returns (U,) int8: a number into SPLITS, or UNUSED for what is only looked back on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import combinations, pairwise
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.config.spans import parse_moment
from hybrid_trainer.config.split import SplitConfig
from hybrid_trainer.data.timestamps import iso
from hybrid_trainer.errors import TableError
from hybrid_trainer.types import SPLITS

Parts = NDArray[np.int8]

TRAIN, VALID, TEST, UNUSED = 0, 1, 2, -1


def by_position(config: SplitConfig, units: int, noun: str) -> Parts:
    """Divide units that are in order: by fractions, in walk-forward folds, or in combinations of groups."""
    if config.kind == "walk_forward":
        return walk_forward(config, units, noun)
    if config.kind == "cpcv":
        return cpcv(config, units, noun)
    return chronological(config.fractions, units, noun)


def chronological(fractions: list[float], units: int, noun: str) -> Parts:
    """The first share trains, the next validates, the last tests."""
    cuts = np.round(np.cumsum(fractions)[:2] * units).astype(int)
    if not 0 < cuts[0] < cuts[1] < units:
        raise _too_few(units, noun, str(fractions))
    return np.repeat(np.array([TRAIN, VALID, TEST], dtype=np.int8), np.diff([0, *cuts, units]))


def walk_forward(config: SplitConfig, units: int, noun: str) -> Parts:
    """Test blocks of one size follow each other up to the end; before each lies its validation, before that training.

    Expanding training begins with the calendar; rolling training is as long as that of fold 0.
    """
    test, valid = round(config.test_size * units), round(config.valid_size * units)
    shortest = units - config.folds * test - valid  # what fold 0 trains on
    if min(test, valid, shortest) < 1:
        raise _too_few(units, noun, f"{config.folds} test blocks of {config.test_size:g}")
    test_begin = units - (config.folds - config.fold) * test
    train_begin = 0 if config.window == "expanding" else test_begin - valid - shortest
    parts = np.full(units, UNUSED, dtype=np.int8)
    parts[train_begin : test_begin - valid] = TRAIN
    parts[test_begin - valid : test_begin] = VALID
    parts[test_begin : test_begin + test] = TEST
    return parts


def cpcv(config: SplitConfig, units: int, noun: str) -> Parts:
    """Combinatorial purged cross-validation (Lopez de Prado, 2018, chapter 12): `fold` counts the combinations.

    N groups of neighbouring units, as equal as can be; k of them test, the others train, and of these the last
    `valid_size` by time validates.
    """
    if units < config.groups:
        raise _too_few(units, noun, f"{config.groups} groups")
    parts = np.full(units, TRAIN, dtype=np.int8)
    borders = group_borders(config.groups, units)
    for group in combination(config):
        parts[borders[group] : borders[group + 1]] = TEST
    train = np.flatnonzero(parts == TRAIN)
    valid = round(config.valid_size * len(train))
    if not 0 < valid < len(train):
        raise _too_few(units, noun, f"{config.groups} groups with a validation of {config.valid_size:g}")
    parts[train[-valid:]] = VALID
    return parts


def group_borders(groups: int, units: int) -> list[int]:
    """Where each of the groups begins, and the end: the first groups are longer by one where it doesn't divide."""
    return [group * (units // groups) + min(group, units % groups) for group in range(groups + 1)]


def combination(config: SplitConfig) -> tuple[int, ...]:
    """The test groups of this fold; folds count the combinations in lexicographic order."""
    return list(combinations(range(config.groups), config.test_groups))[config.fold]


def cpcv_paths(groups: int, test_groups: int) -> list[list[int]]:
    """Return (paths, groups): in which fold each backtest path finds its predictions for each group.

    Every group is tested in C(N - 1, k - 1) folds; the first path takes the first of them, the second path the second,
    so that each path covers all groups and each test block of each fold belongs to one path.
    """
    found: list[list[int]] = [[] for _ in range(groups)]
    for fold, tested in enumerate(combinations(range(groups), test_groups)):
        for group in tested:
            found[group].append(fold)
    return [[found[group][path] for group in range(groups)] for path in range(comb(groups - 1, test_groups - 1))]


def by_date(config: SplitConfig, times: NDArray[np.int64], *, plain: bool) -> Parts:
    """Divide the (U,) ascending times at given moments; `plain`: they are integers, not dates."""
    keys = ["train_from", "valid_from", "test_from", "test_until"]
    given = {name: getattr(config, name) for name in keys}
    moments = {
        name: parse_moment(f"data.split.{name}", text, plain=plain) for name, text in given.items() if text is not None
    }
    names = list(moments)
    for earlier, later in pairwise(names):
        if moments[earlier] >= moments[later]:
            raise TableError(f"data.split.{later}: {given[later]} must be later than {earlier}={given[earlier]}")
    parts = np.full(len(times), UNUSED, dtype=np.int8)
    edges = [int(np.searchsorted(times, moments[name])) if name in moments else None for name in keys]
    for part, (start, stop) in enumerate(pairwise(edges)):
        parts[start:stop] = part
        if not (parts == part).any():
            raise TableError(
                f"data.split.{keys[part]}: no row can be decided in '{SPLITS[part]}'; those that can lie between "
                f"{iso(times[0])} and {iso(times[-1])}"
            )
    return parts


def sequence_order(
    config: SplitConfig, names: tuple[str, ...], first_lines: Callable[[], NDArray[np.int64]]
) -> NDArray[np.int64]:
    """The sequences in the order in which they are divided: by a hash of seed and name, or by their first line."""
    if config.order == "file":
        return np.argsort(first_lines(), kind="stable")
    hashes = [hashlib.sha256(f"{config.seed}:{name}".encode()).digest() for name in names]
    return np.array(sorted(range(len(names)), key=hashes.__getitem__), dtype=np.int64)


def details(config: SplitConfig) -> dict[str, Any]:
    """What a report says of the kind: the fold, and for cpcv the way from folds to backtest paths."""
    if config.kind == "walk_forward":
        return {"fold": config.fold, "folds": config.folds, "window": config.window}
    if config.kind == "cpcv":
        return {
            "fold": config.fold,
            "folds": comb(config.groups, config.test_groups),
            "groups": config.groups,
            "tested_groups": list(combination(config)),
            "paths": cpcv_paths(config.groups, config.test_groups),
        }
    return {}


def _too_few(units: int, noun: str, how: str) -> TableError:
    return TableError(
        f"data.split: {units} different {noun} with a decidable row are too few to divide as {how}; "
        "bring more rows or lower model.time_window"
    )
