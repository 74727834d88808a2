"""A config's model and batches, made for being tried out: a few steps of training that leave nothing behind."""

from __future__ import annotations

import math
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from hybrid_trainer.config import user_files
from hybrid_trainer.config.compose import compose_bare, compose_config, to_config
from hybrid_trainer.config.overrides import prepare
from hybrid_trainer.config.schema import Config
from hybrid_trainer.data.sources import check_columns
from hybrid_trainer.seeding import seed_everything
from hybrid_trainer.train import load

if TYPE_CHECKING:
    from hybrid_trainer.arguments import Parser
    from hybrid_trainer.build import Machine
    from hybrid_trainer.data.dataset import Dataset
    from hybrid_trainer.types import Batch

_WARM_UP = 2


def add_config(parser: Parser) -> None:
    """The arguments that every command with a run's config has."""
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as for a run: model.lstm_units=128")
    parser.add_argument("--config", metavar="FILE", help="your own YAML of keys, as for a run")


def parse(parser: Parser, arguments: Sequence[str]) -> Namespace:
    """The command's options; a file of keys becomes one of the overrides."""
    return parser.parse_intermixed_args(user_files.take_config_option(list(arguments)))


def config_of(overrides: list[str], *, profile: bool = True) -> Config:
    """The checked config; without `profile`, what a machine profile says is left aside."""
    given = prepare(user_files.overrides() + overrides)
    config = to_config(compose_config(given) if profile else compose_bare(given))
    check_columns(config.data, config.active_targets)
    return config


def with_values(config: Any, values: dict[str, Any]) -> Any:
    """A copy of a config, or of a section, with some keys changed: {path: value}."""
    changed: dict[str, Any] = {}
    for path, value in values.items():
        name, _, rest = path.partition(".")
        section = changed.get(name, getattr(config, name))
        changed[name] = with_values(section, {rest: value}) if rest else value
    assert is_dataclass(config) and not isinstance(config, type)
    return replace(config, **changed)


def dataset_of(config: Config) -> tuple[Dataset, Machine]:
    """The data that a run would train on, and what it would compute with.

    Raises:
        UserError: what a run would raise before its first epoch.
    """
    table = load(config)  # torch isn't imported yet: a bad table is told at once
    seed_everything(config.seed, deterministic=config.training.deterministic, threads=config.training.threads)
    from hybrid_trainer import build, prepare

    on = build.machine(config)
    return prepare.dataset(config, table, on.device), on


class Trial:
    """A model with its initial weights, and training batches without end; the same ones for the same seed.

    Args:
        config: checked; threads, precision and all else are taken from it. data: what `dataset_of` made.
    """

    def __init__(self, config: Config, data: Dataset) -> None:
        settings = config.training
        seed_everything(config.seed, deterministic=settings.deterministic, threads=settings.threads)
        from hybrid_trainer import build

        on = build.machine(config)
        origin = build.origin_of(config)
        self.trainer = build.trainer(config, build.model_spec(config, data), data, on, [], origin=origin)
        from hybrid_trainer.engine.freezing import learning

        learning(self.trainer.model)
        self.size = settings.batch_size
        self._loader = data.loader("train", settings.batch_size, shuffle_seed=config.seed)
        self._groups = self._endless()

    def _endless(self) -> Iterator[list[Batch]]:
        """The batches of each update; an epoch's last ones are left out where they are fewer or smaller."""
        while True:
            whole = 0
            for index, group in enumerate(self.trainer.groups(self._loader)):
                if index == 0:
                    whole = sum(len(batch.row) for batch in group)
                if sum(len(batch.row) for batch in group) == whole:
                    yield group
            self._loader.epoch += 1

    def step(self) -> float:
        """One update; returns its loss, and so waits for the device; NaN where it was not finite and is not taken."""
        done = self.trainer.stepper.train(next(self._groups))
        loss = sum(float(parts.total.detach()) for parts, _ in done)
        return math.nan if float(self.trainer.stepper.skipped) else loss

    def windows_per_step(self) -> int:
        """How many windows an update is made from."""
        return min(self.size * self.trainer.accumulate, len(self._loader.rows))

    def seconds_per_step(self, seconds: float, least: int) -> float:
        """The median time of an update, from `least` updates or as many as take `seconds`, after two to warm up."""
        for _ in range(_WARM_UP):
            self.step()
        times: list[float] = []
        while len(times) < least or sum(times) < seconds:
            began = time.perf_counter()
            self.step()
            times.append(time.perf_counter() - began)
        return median(times)
