"""Which keys tell runs apart, and whether one loss means the same in all of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any

from hybrid_trainer.runs.comparison.run import COMPLETE, Run

Config = dict[str, Any]

_NOT_COMPARED = ("paths.", "run.", "training.resume")  # where a run goes, and what it is called
_MEANING = ("data.", "model.heads", "model.time_window", "training.loss_weights", "training.losses")


def differing_keys(runs: Sequence[Run]) -> list[str]:
    """The config keys that don't have one value in all runs, paths and names aside."""
    readable = [run.config for run in runs if run.config]
    complete = [run.config for run in runs if run.config and run.status == COMPLETE]
    return varying(complete or readable)  # what only failed runs tried explains no result


def varying(configs: Sequence[Config]) -> list[str]:
    """The keys that don't have one value in all configs; a key that is missing counts as null."""
    alike: dict[str, list[Sequence[Config]]] = {}
    found = []
    for key in dict.fromkeys(chain.from_iterable(configs)):
        if key.startswith(_NOT_COMPARED):
            continue
        section = key.partition(".")[0]
        if section not in alike:
            alike[section] = _by_option(configs, section)
        groups = [configs] if key in (f"{section}.name", "data.path") else alike[section]
        if any(_differ(group, key) for group in groups):
            found.append(key)
    return found


def _by_option(configs: Sequence[Config], section: str) -> list[Sequence[Config]]:
    """Configs of one option each: that another data set has other columns says nothing."""
    groups: dict[str, list[Config]] = {}
    for config in configs:
        groups.setdefault(json.dumps(config.get(f"{section}.name")), []).append(config)
    return list(groups.values())


def _differ(configs: Sequence[Config], key: str) -> bool:
    values = [config.get(key) for config in configs]
    return values.count(values[0]) != len(values)


def comparable(runs: Sequence[Run], aside: Collection[str] = ()) -> bool:
    """Whether one total loss means the same in all complete runs: the same data, heads, window and weights.

    Args:
        aside: keys that may differ, since each configuration has all their values.
    """
    configs = [run.config for run in runs if run.status == COMPLETE]
    keys = dict.fromkeys(chain.from_iterable(configs))
    return not any(_differ(configs, key) for key in keys if key.startswith(_MEANING) and key not in aside)


def text(value: Any) -> str:
    """A value as tables show it."""
    return value if isinstance(value, str) else json.dumps(value)
