"""The whole of what is searched: the keys in the order in which they are asked for, each where its condition holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from optuna.trial import Trial
from yaml import YAMLError

from hybrid_trainer.errors import ConfigError, did_you_mean
from hybrid_trainer.sweeps.search.conditions import is_one_of
from hybrid_trainer.sweeps.search.dimensions import ENTRY_WORDS, Dimension, of_entry, of_override

_HERE = "hydra.sweeper.search_space"
_LARGEST_GRID = 100_000

Point = dict[str, object]
"""A value of the study's for each key that is asked for."""


@dataclass(frozen=True)
class Space:
    """What is searched.

    Attributes:
        dimensions: each behind those that its condition names. fixed: the overrides of every trial.
        given: the value of each key that `fixed` sets.
    """

    dimensions: list[Dimension]
    fixed: list[str]
    given: Mapping[str, object]

    def ask(self, trial: Trial) -> list[str]:
        """Let the study pick a value for each key whose condition holds; returns the overrides of the trial."""
        asked, point = dict(self.given), {}
        for dimension in self.dimensions:
            if dimension.when.holds(asked):
                point[dimension.key] = dimension.ask(trial)
                asked[dimension.key] = dimension.meant(point[dimension.key])
        return self.overrides(point)

    def overrides(self, point: Point) -> list[str]:
        """The overrides of a trial with these values."""
        searched = [each.override(point[each.key]) for each in self.dimensions if each.key in point]
        return [*self.fixed, *searched]

    def probes(self) -> list[list[str]]:
        """Overrides to try out beforehand: every choice and both ends of each key, one key at a time.

        Raises:
            ConfigError: a condition names a value that its key never has.
        """
        found = [self._filled({})]
        for dimension in self.dimensions:
            needed = self._needed(dimension)
            if needed is not None:
                found += [self._filled({**needed, dimension.key: value}) for value in dimension.ends()]
        overrides = [self.overrides(point) for point in found]
        return [each for number, each in enumerate(overrides) if each not in overrides[:number]]

    def grid(self) -> list[Point]:
        """Every point there is, the last key changing first.

        Raises:
            ConfigError: there are infinitely many, or more than anybody would try.
        """
        for dimension in self.dimensions:
            if dimension.all_values() is None:
                raise ConfigError(
                    f"{dimension.key}: an interval has no grid; write a range or the values, or take another "
                    "hydra.sweeper.sampler.name"
                )
        points: list[Point] = []
        for point in self._points({}, self.dimensions):
            points.append(point)
            if len(points) > _LARGEST_GRID:
                raise ConfigError(f"hydra.sweeper.sampler.name: the grid has more than {_LARGEST_GRID} points")
        return points

    def _filled(self, chosen: Point) -> Point:
        """What is chosen, and of every other key that is asked for then its first value."""
        point: Point = {}
        for dimension in self.dimensions:
            if dimension.when.holds(self._meant(point)):
                point[dimension.key] = chosen.get(dimension.key, dimension.ends()[0])
        return point

    def _needed(self, dimension: Dimension) -> Point | None:
        """Values of other keys with which a key is asked for; None: what is given once and for all keeps it out."""
        needed: Point = {}
        others = {each.key: each for each in self.dimensions}
        for key, wanted in dimension.when.wanted.items():
            if key in self.given:
                if not is_one_of(self.given[key], wanted):
                    return None
                continue
            other = others[key]
            fitting = [value for value in other.all_values() or other.ends() if is_one_of(other.meant(value), wanted)]
            if not fitting:
                raise ConfigError(f"{_HERE}.{dimension.key}.when: {key} is never {' or '.join(map(str, wanted))}")
            before = self._needed(other)
            if before is None:
                return None
            needed |= {**before, key: fitting[0]}
        return needed

    def _points(self, point: Point, rest: list[Dimension]) -> Iterator[Point]:
        if not rest:
            yield point
            return
        dimension = rest[0]
        if not dimension.when.holds(self._meant(point)):
            yield from self._points(point, rest[1:])
            return
        for value in dimension.all_values() or []:
            yield from self._points({**point, dimension.key: value}, rest[1:])

    def _meant(self, point: Point) -> Point:
        return {
            **self.given,
            **{each.key: each.meant(point[each.key]) for each in self.dimensions if each.key in point},
        }


def make_space(overrides: list[Override], entries: Mapping[str, object]) -> Space:
    """What a command line and a YAML search space say together; the command line wins.

    Raises:
        ConfigError: there is nothing to search, or something in it is none of what `dimensions` knows.
    """
    fixed = [override for override in overrides if not override.is_sweep_override()]
    dimensions = {each.key: each for each in map(of_override, (each for each in overrides if each not in fixed))}
    given = {override.key_or_group: override.value() for override in fixed}
    for key, entry in entries.items():
        made = of_entry(str(key), entry)
        if made.key not in dimensions and made.key not in given:
            dimensions[made.key] = made
    if not dimensions:
        raise ConfigError(
            "hydra/sweeper=optuna: nothing is searched; give a key several values (model.lstm_units=32,64) or an "
            "interval ('training.learning_rate=tag(log, interval(1e-4, 1e-2))'), or name a hydra.sweeper.search_space"
        )
    return Space(_in_order(list(dimensions.values()), given), [str(each.input_line) for each in fixed], given)


def entries_of(given: object) -> dict[str, object]:
    """The entries of `hydra.sweeper.search_space`: a mapping, or the YAML file that holds one.

    Raises:
        ConfigError: it is neither.
    """
    if given is None:
        return {}
    where = _HERE
    if isinstance(given, str):
        where = f"{_HERE}: {given}"
        try:
            given = OmegaConf.to_container(OmegaConf.load(Path(given)))
        except OSError as error:
            raise ConfigError(f"{where}: {error.strerror or 'must hold a mapping'}") from error
        except (YAMLError, UnicodeDecodeError, OmegaConfBaseException) as error:
            raise ConfigError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(given, dict):
        raise ConfigError(f"{where}: must be a mapping such as {{model.lstm_units: [32, 64]}}, or a YAML file of one")
    return _flat(given)


def _flat(tree: dict[object, object], above: str = "") -> dict[str, object]:
    """Entries by their whole keys: model: {lstm_units: [32, 64]} is model.lstm_units: [32, 64]."""
    found: dict[str, object] = {}
    for key, entry in tree.items():
        if isinstance(entry, dict) and not ENTRY_WORDS.intersection(map(str, entry)):
            found |= _flat(entry, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = entry
    return found


def _in_order(waiting: list[Dimension], given: Mapping[str, object]) -> list[Dimension]:
    """Each behind those that its condition names, else as they came."""
    known = {*given, *(each.key for each in waiting)}
    for dimension in waiting:
        for key in dimension.when.keys:
            if key not in known:
                raise ConfigError(
                    f"{_HERE}.{dimension.key}.when: '{key}' is neither searched nor given{did_you_mean(key, known)}"
                )
    placed: list[Dimension] = []
    while waiting:
        settled = {*given, *(each.key for each in placed)}
        ready = [each for each in waiting if settled.issuperset(each.when.keys)]
        if not ready:
            raise ConfigError(
                f"{_HERE}: {', '.join(each.key for each in waiting)}: their conditions wait for each other"
            )
        placed.append(ready[0])
        waiting = [each for each in waiting if each is not ready[0]]
    return placed
