"""A run.json as compare needs it. Runs of one sweep say mostly the same, so what was parsed once is not parsed again.

What nobody asks for is passed over, and a section of the config stays text until another one than those known comes.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from hybrid_trainer.runs.comparison.configs import Config, Section, section
from hybrid_trainer.runs.comparison.named import Named


class _Entries(msgspec.Struct):
    """The entries of a run.json that compare reads."""

    status: str
    stop_reason: str | None
    config: dict[str, msgspec.Raw]
    metrics: dict[str, float | None]
    process: dict[str, Any] | None = None
    smaller_is_better: list[str] = []  # msgspec makes a new one each time


@dataclass(frozen=True, slots=True)
class Record:
    """The same with a flat config, and without metrics that are no number."""

    status: str
    reason: str
    process: dict[str, Any]
    config: Config
    metrics: Named[float]
    falling: frozenset[str]


_entries = msgspec.json.Decoder(_Entries).decode


def parse(content: bytes) -> Record:
    """Read a record.

    Raises:
        msgspec.DecodeError: it is no record, or lacks an entry; the message says which.
    """
    entries = _entries(content)
    return Record(
        entries.status,
        entries.stop_reason or "",
        entries.process or {},
        Config(Named(tuple(entries.config), tuple(map(_section, entries.config, map(bytes, entries.config.values()))))),
        _numbers(entries.metrics),
        _NONE if not entries.smaller_is_better else frozenset(entries.smaller_is_better),
    )


_NONE: frozenset[str] = frozenset()


@lru_cache(maxsize=4096)
def _section(name: str, text: bytes) -> Section:
    return section(name, msgspec.json.decode(text))


def _numbers(metrics: dict[str, float | None]) -> Named[float]:
    """Metrics without those that are no number."""
    if None in metrics.values():
        metrics = {name: value for name, value in metrics.items() if value is not None}
    return Named(tuple(metrics), array("d", metrics.values()))  # type: ignore[arg-type]
