"""Flat configs, {"model.dropout": 0.1, ...}, of many runs: sections that are alike are one object in all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any

from hybrid_trainer.runs.comparison.named import Named

Section = Named[Any]


class Config(Mapping[str, Any]):
    """A flat config.

    Attributes:
        sections: the keys that begin with a section's name, by that name; nobody changes them.
    """

    __slots__ = ("sections",)

    def __init__(self, sections: Named[Section]) -> None:
        self.sections = sections

    @classmethod
    def of(cls, keys: Mapping[str, Any]) -> Config:
        """Make one of flat keys."""
        sections: dict[str, dict[str, Any]] = {}
        for key, value in keys.items():
            sections.setdefault(key.partition(".")[0], {})[key] = value
        return cls(Named.of({name: Named.of(section) for name, section in sections.items()}))

    def __getitem__(self, key: str) -> Any:
        return self.sections[key.partition(".")[0]][key]

    def get(self, key: str, default: Any = None) -> Any:
        """As a dict's; written out, since Mapping's own asks three times as long."""
        section = self.sections.get(key.partition(".")[0])
        return default if section is None else section.get(key, default)

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self.sections.row)

    def __len__(self) -> int:
        return sum(map(len, self.sections.row))


def section(name: str, value: Any) -> Section:
    """A section of a nested config by dotted keys; empty mappings and lists are values."""
    if not isinstance(value, dict) or not value:
        return Named((name,), (value,))
    names, row = _flat(name, value)
    return Named(tuple(names), row)


def _flat(above: str, tree: Mapping[str, Any]) -> tuple[list[str], list[Any]]:
    names, row = [*_dotted(above, tuple(tree))], [*tree.values()]
    nested = [place for place, value in enumerate(row) if type(value) is dict and value]
    for place in reversed(nested):
        inner_names, inner_row = _flat(names[place], row[place])
        names[place : place + 1], row[place : place + 1] = inner_names, inner_row
    return names, row


@lru_cache(maxsize=4096)
def _dotted(above: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{above}.{name}" for name in names)
