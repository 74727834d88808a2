"""When a key is searched at all: `when: "model=patchtst"`, `when: {model: [patchtst, tcn]}`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hydra.core.override_parser.types import ChoiceSweep

from hybrid_trainer.errors import ConfigError
from hybrid_trainer.sweeps.search.values import parse, plain_value


@dataclass(frozen=True)
class Condition:
    """Holds where each key has one of its values.

    Attributes:
        wanted: the values by key; none: it always holds.
    """

    wanted: Mapping[str, tuple[object, ...]]

    @property
    def keys(self) -> list[str]:
        """What it asks for."""
        return list(self.wanted)

    def holds(self, asked: Mapping[str, object]) -> bool:
        """Whether it holds; a key that was not asked for has none of the values."""
        return all(key in asked and is_one_of(asked[key], self.wanted[key]) for key in self.wanted)


ALWAYS = Condition({})


def condition_of(place: str, given: object) -> Condition:
    """Read what stands behind `when:`.

    Raises:
        ConfigError: it is no condition; the text begins with `place`.
    """
    if isinstance(given, str):
        parsed = parse(given)
        if parsed is None or parsed.value_type is None or parsed.is_interval_sweep() or parsed.is_range_sweep():
            raise _no_condition(place, given)
        value = parsed.value()
        values = [plain_value(each) for each in value.list] if isinstance(value, ChoiceSweep) else [value]
        return Condition({parsed.key_or_group: tuple(values)})
    if isinstance(given, dict) and given:
        return Condition({str(key): tuple(each) if isinstance(each, list) else (each,) for key, each in given.items()})
    raise _no_condition(place, given)


def _no_condition(place: str, given: object) -> ConfigError:
    return ConfigError(
        f"{place}.when: {given!r}: write 'KEY=VALUE', or {{KEY: VALUE}} with one value or a list of them"
    )


def is_one_of(value: object, wanted: tuple[object, ...]) -> bool:
    """Whether a value is one of some: true and 1 are not the same here."""
    return any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in wanted)
