"""A run.json as compare needs it. Runs of one sweep say mostly the same, so what was parsed once is not parsed again.

Our records are written with an indent of two: a line that begins with two spaces and a quote begins an entry of the
record (no string of JSON holds a line break), one with four a section of the config, one with six a key of a section.
The text is cut there, what nobody needs stays text, and what two runs say alike is parsed once. Any other layout is
parsed as a whole, and so is whatever seems damaged.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_ENTRY = '\n  "'
_PART = '\n    "'
_LEAF = '\n      "'


@dataclass(frozen=True, slots=True)
class Record:
    """The entries of a run.json that compare reads, with a flat config; `process` only while the status is running."""

    status: str
    reason: str
    process: Any
    config: dict[str, Any]
    metrics: dict[str, float]
    falling: frozenset[str]


def parse(content: bytes) -> Record:
    """Read a record.

    Raises:
        KeyError: it lacks an entry. ValueError, TypeError, AttributeError, RecursionError: it is no record.
    """
    text = content.decode()
    try:
        return _cut(text)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):  # damaged, or laid out by someone else
        return _whole(json.loads(text))


def _whole(record: dict[str, Any]) -> Record:
    status = str(record["status"])
    return Record(
        status,
        str(record["stop_reason"] or ""),
        record["process"] if status == "running" else None,
        dict(flat(record["config"])),
        _numbers(record["metrics"]),
        frozenset(map(str, record.get("smaller_is_better", []))),
    )


def _cut(text: str) -> Record:
    """The same from a text with our layout.

    Raises:
        ValueError: it has another layout.
    """
    body = text.rstrip()
    if not body.startswith("{" + _ENTRY) or not body.endswith("\n}"):
        raise ValueError("not laid out as our records are")
    entries = {}
    for entry in body[1:-2].split(_ENTRY)[1:]:
        name, _, value = entry.partition('": ')
        entries[name] = value.removesuffix(",")
    status = str(json.loads(entries["status"]))
    return Record(
        status,
        str(json.loads(entries["stop_reason"]) or ""),
        json.loads(entries["process"]) if status == "running" else None,
        _config(entries["config"]),
        _numbers(json.loads(entries["metrics"])),
        frozenset(map(str, json.loads(entries.get("smaller_is_better", "[]")))),
    )


def _config(text: str) -> dict[str, Any]:
    if not text.startswith("{" + _PART) or not text.endswith("\n  }"):
        raise ValueError("not laid out as our configs are")
    config: dict[str, Any] = {}
    for part in text[1:-4].split(_PART)[1:]:
        config.update(_part(part.removesuffix(",")))
    return config


@lru_cache(maxsize=1024)
def _part(text: str) -> dict[str, Any]:
    """One section, such as `model": {...}` (its first quote is cut off), flat; nobody changes what it returns."""
    name, _, value = text.partition('": ')
    if not value.startswith("{" + _LEAF) or not value.endswith("\n    }"):
        return dict(flat(json.loads(f'{{"{text}}}')))
    section: dict[str, Any] = {}
    for leaf in value[1:-6].split(_LEAF)[1:]:
        section |= _leaf(name, leaf.removesuffix(","))
    return section


@lru_cache(maxsize=4096)
def _leaf(section: str, text: str) -> dict[str, Any]:
    """One key of a section with all that is below it, flat."""
    if "\\" in section:
        raise ValueError("the names of sections are plain")
    return dict(flat(json.loads(f'{{"{text}}}'), f"{section}."))


def flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) for each leaf of a config; equal keys are one object in all runs."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield sys.intern(f"{prefix}{key}"), value


def _numbers(metrics: dict[str, Any]) -> dict[str, float]:
    """Metrics without those that are no number; equal names are one object in all runs."""
    if None in metrics.values():
        metrics = {name: value for name, value in metrics.items() if value is not None}
    return dict(zip(_shared(tuple(metrics)), map(float, metrics.values()), strict=True))


@lru_cache(maxsize=1024)
def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    return names
