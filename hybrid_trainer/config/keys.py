"""How a config key is declared (default, meaning) and the checks that sections run on themselves."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import field
from typing import Any, TypeVar

from hybrid_trainer.errors import ConfigError, did_you_mean

T = TypeVar("T")


def key(default: T, help: str) -> T:
    """Declare a key with its default and its meaning; `describe` and the error messages show the meaning."""
    made: Any = field(default_factory=lambda: copy.deepcopy(default), metadata={"help": help})
    return made  # type: ignore[no-any-return]


def check_choice(name: str, value: str, allowed: Iterable[str]) -> None:
    """Raise ConfigError unless `value` is one of `allowed`."""
    names = list(allowed)
    if value not in names:
        raise ConfigError(f"{name}: '{value}' is not one of {', '.join(names)}{_closest(value, names)}")


def check_range(
    name: str, value: float | None, *, low: float | None = None, above: float | None = None, high: float | None = None
) -> None:
    """Raise ConfigError unless low <= value, above < value, value <= high (each where given); NaN never passes."""
    if value is None:
        return
    bounds = []
    good = value == value
    if low is not None:
        bounds.append(f"at least {_plain(low)}")
        good = good and value >= low
    if above is not None:
        bounds.append(f"above {_plain(above)}")
        good = good and value > above
    if high is not None:
        bounds.append(f"at most {_plain(high)}")
        good = good and value <= high
    if not good:
        raise ConfigError(f"{name}: {value} is out of range; it must be {' and '.join(bounds)}")


def check_sizes(name: str, values: list[int], each_of: tuple[str, list[int]] | None = None) -> None:
    """Raise ConfigError unless they are positive integers, at least one, or one for each of another key's."""
    if not values or min(values) < 1 or (each_of is not None and len(values) != len(each_of[1])):
        if each_of is None:
            raise ConfigError(f"{name}: {values} must be one or more positive integers")
        other, its = each_of
        raise ConfigError(f"{name}: {values} must be {len(its)} positive integers, one for each of {other}={its}")


def _plain(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else f"{bound:g}"


def _closest(value: str, names: list[str]) -> str:
    hint = did_you_mean(value, names)
    return hint if "did you mean" in hint else ""
