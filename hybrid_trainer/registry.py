"""Names to objects: a config names a class, a registry knows it; no free import path is ever taken from a config."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from hybrid_trainer.errors import ConfigError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """A named set of objects of one sort, such as the model families.

    Args:
        sort: what the entries are, in the singular, for messages: 'optimizer'.
    """

    def __init__(self, sort: str) -> None:
        self.sort = sort
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that enters its object under `name`; a second entry of one name is a ValueError."""

        def enter(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"there is already a {self.sort} named '{name}'")
            self._entries[name] = entry
            return entry

        return enter

    def get(self, name: str, key: str) -> T:
        """Return the entry; for an unknown name raise ConfigError naming the config `key` that asked for it."""
        if name not in self._entries:
            raise ConfigError(f"{key}: there is no {self.sort} '{name}'{did_you_mean(name, self._entries)}")
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries
