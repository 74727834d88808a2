"""`batch-size-find [OVERRIDES]`: the largest batch that fits, by trial, and the speed of every size that was tried."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table as RichTable

from hybrid_trainer.arguments import Parser
from hybrid_trainer.errors import ConfigError, TrainingError
from hybrid_trainer.tune.batch_trial import Trials
from hybrid_trainer.tune.search import STEP, largest
from hybrid_trainer.tune.trial import add_config, config_of, parse

_START = 16


def main(arguments: list[str]) -> int:
    """Double the batch until it does not fit or holds all training windows, then bisect; nothing is written."""
    parser = Parser("batch-size-find", main.__doc__)
    add_config(parser)
    parser.add_argument("--most", type=int, metavar="N", help="try no larger batch than this")
    parser.add_argument("--seconds", type=float, default=0.5, metavar="S", help="of updates, to tell a size's speed")
    parser.add_argument(
        "--memory-mib", type=int, metavar="MIB", help="taken as free, on a CPU; default: what the machine has free"
    )
    options = parse(parser, arguments)
    if options.most is not None and options.most < STEP:
        raise ConfigError(f"--most: {options.most} must be at least {STEP}")
    if not options.seconds > 0:
        raise ConfigError(f"--seconds: {options.seconds} must be above 0")
    if options.memory_mib is not None and options.memory_mib < 1:
        raise ConfigError(f"--memory-mib: {options.memory_mib} must be at least 1")
    config = config_of(options.overrides)
    free = None if options.memory_mib is None else options.memory_mib << 20
    trials = Trials(config, options.seconds, free)
    cap = trials.rows if options.most is None else min(options.most, trials.rows)
    best = largest(trials.fits, _START, cap)
    _show(trials, cap, best)
    if best is None:
        raise TrainingError(f"not even {min(STEP, cap)} windows fit: lower model.time_window or the model's sizes")
    sys.stdout.write(f"training.batch_size={best}\n")
    return 0


def _show(trials: Trials, cap: int, best: int | None) -> None:
    console = Console(width=100 if not sys.stdout.isatty() else None)
    table = RichTable(title=f"Batch sizes on the {trials.device}", title_justify="left")
    table.add_column("batch size", justify="right")
    table.add_column("windows per second", justify="right")
    table.add_column("")
    speeds = {size: speed for size, speed in trials.speeds.items() if speed is not None}
    fastest = max(speeds, key=speeds.__getitem__, default=None)
    for size in sorted(trials.speeds):
        marks = ["largest"] * (size == best) + ["fastest"] * (size == fastest) + ["does not fit"] * (size not in speeds)
        table.add_row(f"{size:,}", f"{speeds[size]:,.0f}" if size in speeds else "", ", ".join(marks))
    console.print(table)
    bound = f"{trials.free / 2**20:,.0f} MiB were free" if trials.device == "cpu" else "the GPU is full beyond that"
    if best == cap:
        bound = "that is --most" if cap < trials.rows else "those are all training windows"
    sys.stdout.write(f"largest: {bound}. The largest is rarely the fastest, and wants another learning rate\n")
