"""`seeds=5` and `folds=all` on the line of a sweep: every configuration is run so often, with other seeds or folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import comb

from hybrid_trainer.config.split import SplitConfig
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.sweeps.names import key_of

SEEDS, FOLDS = "seeds", "folds"
_SEED, _FOLD = "seed", "data.split.fold"
_LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Replicates:
    """How often each configuration is run.

    Attributes:
        seeds: how many seeds; None: the config's own one. folds: whether all of the split's folds.
    """

    seeds: int | None = None
    folds: bool = False

    def __bool__(self) -> bool:
        return self.seeds is not None or self.folds

    def values(self, seed: int, splits: Sequence[SplitConfig]) -> dict[str, list[int]]:
        """The values of each key that is repeated.

        Args:
            seed: the config's own, which the others follow. splits: those of all jobs.

        Raises:
            ConfigError: a split has no folds, or not as many as the others, or seeds would become too large.
        """
        found: dict[str, list[int]] = {}
        if self.seeds is not None:
            if seed + self.seeds - 1 > _LARGEST_SEED:
                raise ConfigError(f"seeds: {self.seeds} seeds from {seed} on go beyond {_LARGEST_SEED}")
            found[_SEED] = list(range(seed, seed + self.seeds))
        if self.folds:
            counts = {folds_of(split) for split in splits}
            if len(counts) > 1:
                raise ConfigError(f"folds: the jobs have splits with different numbers of folds ({sorted(counts)})")
            found[_FOLD] = list(range(counts.pop()))
        return found


def take(words: list[str]) -> tuple[list[str], Replicates]:
    """Take `seeds=` and `folds=` out of a command line, as the user wrote it.

    Raises:
        ConfigError: a value is wrong, or the key that would be repeated has several values already.
    """
    given = {key_of(word): word.partition("=")[2] for word in words if key_of(word) in (SEEDS, FOLDS)}
    rest = [word for word in words if key_of(word) not in (SEEDS, FOLDS)]
    seeds = given.get(SEEDS)
    if seeds is not None and not (seeds.isascii() and seeds.isdigit() and int(seeds) > 0):
        raise ConfigError(f"seeds: '{seeds}' is not a number of seeds; write seeds=5")
    if given.get(FOLDS, "all") != "all":
        raise ConfigError(f"folds: '{given[FOLDS]}' is not 'all'; some of them: 'data.split.fold=range(0,3)'")
    for name, key in ((SEEDS, _SEED), (FOLDS, _FOLD)):
        if name in given and any(key_of(word) == key and _several(word) for word in rest):
            raise ConfigError(f"{name}: {key} has several values already; leave one of the two out")
    return rest, Replicates(None if seeds is None else int(seeds), FOLDS in given)


def dimensions(values: dict[str, list[int]]) -> list[str]:
    """Overrides that make a sweeper go through all values, for one that makes a grid: `seed=0,1,2`."""
    return [f"{key}={','.join(map(str, numbers))}" for key, numbers in values.items()]


def repetitions(values: dict[str, list[int]]) -> list[list[str]]:
    """The overrides of each repetition, for a sweeper that repeats what it tries: [['seed=0'], ['seed=1']]."""
    return [
        [f"{key}={number}" for key, number in zip(values, numbers, strict=True)]
        for numbers in product(*values.values())
    ]


def folds_of(split: SplitConfig) -> int:
    """How many folds a split has.

    Raises:
        ConfigError: it is of a kind without folds.
    """
    if split.kind == "walk_forward":
        return split.folds
    if split.kind == "cpcv":
        return comb(split.groups, split.test_groups)
    raise ConfigError(
        f"folds: data.split.kind={split.kind} has no folds; add data.split.kind=walk_forward, or cpcv for combinations"
    )


def _several(word: str) -> bool:
    value = word.partition("=")[2]
    return "," in value or value.startswith(("range(", "choice(", "interval("))
