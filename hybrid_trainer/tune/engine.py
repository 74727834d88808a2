"""`tune-engine [OVERRIDES]`: which threads and which precision are the fastest here, for a run's own model and data."""

from __future__ import annotations

import itertools
import socket
import sys
from datetime import UTC, datetime
from operator import attrgetter
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from hybrid_trainer.arguments import Parser
from hybrid_trainer.config import machine_profile
from hybrid_trainer.config.axes import AXES, Axis, cores
from hybrid_trainer.config.known_keys import known_keys
from hybrid_trainer.config.schema import Config
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.runs.atomic import write_json
from hybrid_trainer.runs.logs import quiet
from hybrid_trainer.tune.choice import choose, race, ratio
from hybrid_trainer.tune.trial import Trial, add_config, config_of, dataset_of, parse, with_values

Candidate = tuple[Any, ...]
Times = dict[Candidate, list[float]]
_LEAST_STEPS = 3


def main(arguments: list[str]) -> int:
    """Measure, show what was measured, and write the machine profile that runs take their defaults from."""
    parser = Parser("tune-engine", main.__doc__)
    add_config(parser)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often each candidate is measured")
    parser.add_argument("--seconds", type=float, default=0.5, metavar="S", help="of steps per candidate and round")
    parser.add_argument(
        "--allow-bf16", action="store_true", help="let bf16 win on a CPU: it changes what is learned, not only bits"
    )
    options = parse(parser, arguments)
    if options.rounds < 3:
        raise ConfigError(f"--rounds: {options.rounds} must be at least 3: fewer do not show how much they differ")
    if not options.seconds > 0:
        raise ConfigError(f"--seconds: {options.seconds} must be above 0")
    config = config_of(options.overrides, profile=False)  # what was found before must not be in its own way
    path = None if config.paths.machine_profile is None else machine_profile.place_of(config.paths.machine_profile)
    axes, times, device = measure(config, options.rounds, options.seconds)
    default = tuple(attrgetter(axis.key)(config) for axis in axes)
    winner = choose(times, default, lambda one: options.allow_bf16 or not _opt_in(axes, one, default))
    console = Console(width=110 if not sys.stdout.isatty() else None)
    console.print(_table(axes, times, default, winner))
    for line in _said(axes, times, default, winner, options.allow_bf16):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if path is None:
        console.print("nothing was written: paths.machine_profile=null", markup=False)
        return 0
    write_json(path, _profile(config, axes, times, default, winner, device) | {"overrides": options.overrides})
    console.print(f"written: {path}; runs take these values from it as their defaults", markup=False, soft_wrap=True)
    return 0


def measure(config: Config, rounds: int, seconds: float) -> tuple[list[Axis], Times, str]:
    """Time every candidate on the config's data; returns the axes, the times and the device's type."""
    data, on = dataset_of(config)
    axes = [axis for axis in AXES if axis.only in (None, on.device.type) and not _given(config, axis.key)]
    candidates = list(itertools.product(*(axis.values(cores()) for axis in axes)))
    if len(candidates) < 2:
        raise ConfigError("tune-engine: there is nothing to choose: one core, or all keys are given")
    default = tuple(attrgetter(axis.key)(config) for axis in axes)

    def time_of(candidate: Candidate) -> float:
        values = {axis.key: value for axis, value in zip(axes, candidate, strict=True)}
        return Trial(with_values(config, values), data).seconds_per_step(seconds, _LEAST_STEPS)

    with quiet():
        return axes, race(candidates, default, rounds, time_of), on.device.type


def _given(config: Config, key: str) -> bool:
    """A key that was set is taken as it is: it has not its default."""
    return bool(attrgetter(key)(config) != known_keys()[key].default)


def _opt_in(axes: list[Axis], one: Candidate, default: Candidate) -> bool:
    return any(axis.opt_in and mine != own for axis, mine, own in zip(axes, one, default, strict=True))


def _table(axes: list[Axis], times: Times, default: Candidate, winner: Candidate) -> RichTable:
    table = RichTable(title="Time of a training step", title_justify="left")
    for axis in axes:
        table.add_column(axis.key.rpartition(".")[2], justify="right")
    for name in ("ms", "to the default", "its range", "rounds"):
        table.add_column(name, justify="right")
    table.add_column("")
    for one, its in times.items():
        found = ratio(its, times[default])
        marks = ["default"] * (one == default) + ["chosen"] * (one == winner)
        marks += ["given up"] * (len(its) < len(times[default]))
        table.add_row(
            *map(str, one),
            f"{1e3 * median(its):.2f}",
            f"{found.median:.2f}",
            f"{found.low:.2f} to {found.high:.2f}",
            str(found.rounds),
            ", ".join(marks),
        )
    return table


def _said(axes: list[Axis], times: Times, default: Candidate, winner: Candidate, allow: bool) -> list[str]:
    """What was chosen and how sure that is; what else looked faster, and why it was not taken."""
    base = times[default]
    keys = [axis.key for axis in axes]
    found = ratio(times[winner], base)
    lines = [f"{_named(keys, winner)}: the default stays"]
    if winner != default:
        lines = [
            f"{_named(keys, winner)}: {found.median:.2f} of the default's time, "
            f"{found.low:.2f} to {found.high:.2f} in {found.rounds} rounds"
        ]
    free = choose(times, default, lambda one: True)
    if free != winner and not allow:
        lines.append(
            f"{_named(keys, free)} would take {ratio(times[free], base).median:.2f} of the default's time, but changes "
            "what is learned; --allow-bf16 takes it"
        )
    seen = min(
        (one for one in times if not _opt_in(axes, one, default)), key=lambda one: ratio(times[one], base).median
    )
    unsure = ratio(times[seen], base)
    if winner == default and seen != default and 1 - unsure.median >= 0.1:
        lines.append(
            f"{_named(keys, seen)} took {unsure.median:.2f} of the default's time, but {unsure.low:.2f} to "
            f"{unsure.high:.2f} in single rounds, which says too little: try again when the machine is quiet"
        )
    return lines


def _named(keys: list[str], values: Candidate) -> str:
    return " ".join(f"{key}={value}" for key, value in zip(keys, values, strict=True))


def _profile(
    config: Config, axes: list[Axis], times: Times, default: Candidate, winner: Candidate, device: str
) -> dict[str, Any]:
    """The profile file: what is to be used, for which machine, and what was measured."""
    keys = [axis.key for axis in axes]
    chosen = zip(keys, winner, default, strict=True)
    return {
        "version": machine_profile.VERSION,
        "machine": machine_profile.this_machine(),
        "values": {key: value for key, value, own in chosen if value != own},
        "host": socket.gethostname(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device,
        "model": config.model.name,
        "batch_size": config.training.batch_size,
        "measured": [
            {"values": dict(zip(keys, one, strict=True)), "step_ms": [round(1e3 * each, 4) for each in its]}
            for one, its in times.items()
        ],
    }
