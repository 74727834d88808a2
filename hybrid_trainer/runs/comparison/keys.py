"""Which keys tell runs apart, and by which of them one loss isn't the other."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from hybrid_trainer.runs.comparison.configs import Config, Section
from hybrid_trainer.runs.comparison.named import Named, columns, union
from hybrid_trainer.runs.comparison.run import COMPLETE, Run

_NOT_COMPARED = ("paths.", "run.", "training.resume")  # where a run goes, and what it is called
_MEANING = ("data.", "model.heads", "model.time_window", "training.loss_weights", "training.losses")
_SAYING = {key.partition(".")[0] for key in _MEANING}
_EMPTY: Section = Named.of({})


def all_keys(configs: Iterable[Config]) -> dict[str, None]:
    """The keys that some config has, by sections in the order in which they are met."""
    return union(chain.from_iterable(each for _, each in _sections(list(configs))))


def differing_keys(runs: Sequence[Run]) -> list[str]:
    """The config keys that don't have one value in all runs, paths and names aside; those of complete runs first."""
    readable = [run.config for run in runs if run.config]
    complete = [run.config for run in runs if run.config and run.status == COMPLETE]
    explaining = varying(complete)
    return explaining if len(complete) == len(readable) else [*dict.fromkeys([*explaining, *varying(readable)])]


def varying(configs: Collection[Config]) -> list[str]:
    """The keys that don't have one value in all configs; a key that is missing counts as null."""
    found = []
    for name, sections in _sections(configs):
        differ = {*chain.from_iterable(map(_differing, _by_option(name, sections)))}
        differ |= {key for key in (f"{name}.name", "data.path") if _differ([row.get(key) for row in sections])}
        found += [key for key in union(sections) if key in differ and not key.startswith(_NOT_COMPARED)]
    return found


def _sections(configs: Collection[Config]) -> Iterator[tuple[str, list[Section]]]:
    """Each section that some config has, as all those that aren't one object."""
    for name, sections in columns([config.sections for config in configs], _EMPTY):
        yield name, list(dict(zip(map(id, sections), sections, strict=True)).values())


def _by_option(name: str, sections: Iterable[Section]) -> list[list[Section]]:
    """Sections of one option each: that another data set has other columns says nothing."""
    groups: dict[str, list[Section]] = {}
    for section in sections:
        groups.setdefault(json.dumps(section.get(f"{name}.name")), []).append(section)
    return list(groups.values())


def _differing(sections: Sequence[Section]) -> list[str]:
    """The keys that don't have one value in all sections."""
    return [key for key, values in columns(sections, None) if _differ(values)]


def _differ(values: Sequence[Any]) -> bool:
    return values.count(values[0]) != len(values)


def incomparable(runs: Iterable[Run], aside: Collection[str] = ()) -> list[str]:
    """The keys by which one total loss means another thing in some complete run: data, heads, window and weights.

    Args:
        aside: keys that may differ, since each configuration has all their values.
    """
    complete = [run.config for run in runs if run.status == COMPLETE]
    differ = chain.from_iterable(_differing(sections) for name, sections in _sections(complete) if name in _SAYING)
    return [key for key in differ if key.startswith(_MEANING) and key not in aside]


def text(value: Any) -> str:
    """A value as tables show it."""
    return value if isinstance(value, str) else json.dumps(value)
