"""`lr-find [OVERRIDES] [-o lr.png]`: a learning-rate range test on a run's own model and data, with its picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table as RichTable

from hybrid_trainer.arguments import Parser
from hybrid_trainer.config.schema import Config
from hybrid_trainer.errors import ConfigError, TrainingError
from hybrid_trainer.runs.atomic import replacing, write_json
from hybrid_trainer.runs.logs import quiet
from hybrid_trainer.tune.curve import Suggestion, rates_between, run_test, smoothed, suggest
from hybrid_trainer.tune.trial import Trial, add_config, config_of, dataset_of, parse

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LINES = 8
_BLUE, _RED, _GREEN, _GREY = "#4477aa", "#cc3311", "#228833", "#bbbbbb"


def main(arguments: list[str]) -> int:
    """Raise the learning rate step by step until the loss diverges; suggest one, write a picture and a JSON file."""
    parser = Parser("lr-find", main.__doc__)
    add_config(parser)
    parser.add_argument("-o", "--output", type=Path, default=Path("lr.png"), metavar="PNG", help="default: lr.png")
    parser.add_argument("--lowest", type=float, default=1e-6, metavar="LR", help="the first learning rate")
    parser.add_argument("--highest", type=float, default=1.0, metavar="LR", help="the last one, if it gets that far")
    parser.add_argument("--steps", type=int, default=100, metavar="N", help="updates, each at a higher rate")
    options = parse(parser, arguments)
    if options.output.suffix.lower() != ".png":
        raise ConfigError(f"{options.output}: the suffix must be .png; the numbers go into a .json beside it")
    if not 0 < options.lowest < options.highest:
        raise ConfigError(f"--lowest: {options.lowest} must be above 0 and below --highest ({options.highest})")
    if options.steps < 10:
        raise ConfigError(f"--steps: {options.steps} must be at least 10")
    config = config_of(options.overrides)
    rates = rates_between(options.lowest, options.highest, options.steps)
    losses = losses_of(config, rates)
    smooth = smoothed(losses)
    found = suggest(rates, smooth)
    _write(options.output, config, rates[: len(losses)], losses, smooth, found)
    _show(rates[: len(losses)], smooth, found, diverged=len(losses) < len(rates))
    sys.stdout.write(f"written: {options.output}, {options.output.with_suffix('.json')}\n")
    if found is None:
        raise TrainingError(
            "the loss never fell, so no learning rate can be suggested; try --steps=300 or a lower --lowest, or look "
            "for extreme values in the targets"
        )
    sys.stdout.write(f"training.learning_rate={found.steepest:.2g}\n")
    return 0


def losses_of(config: Config, rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S,) the loss of an update at each rate, as far as they go; the same for the same seed and threads."""
    data, _ = dataset_of(config)
    with quiet():
        trial = Trial(config, data)
    optimizer = trial.trainer.stepper.optimizer

    def loss_at(rate: float) -> float:
        for group in optimizer.param_groups:
            group["lr"] = rate
        return trial.step()

    losses = run_test(rates, loss_at)
    if not len(losses):
        raise TrainingError("the first loss is not finite: look for extreme values in the targets")
    return losses


def draw(
    title: str,
    rates: NDArray[np.float64],
    losses: NDArray[np.float64],
    smooth: NDArray[np.float64],
    found: Suggestion | None,
) -> Figure:
    """The losses over the rates, and the suggestion marked on them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(rates, losses, color=_GREY, linewidth=1, label="loss of each update")
    axes.plot(rates, smooth, color=_BLUE, linewidth=2, label="smoothed")
    if found is not None:
        marks = (("steepest", found.steepest, _RED, "o"), ("a tenth of the minimum", found.tenth, _GREEN, "s"))
        for name, rate, color, marker in marks:
            height = float(np.interp(np.log(rate), np.log(rates), smooth))
            axes.axvline(rate, color=color, linewidth=1, linestyle=":")
            axes.plot([rate], [height], marker, color=color, markersize=7, label=f"{name}: {rate:.1e}")
    axes.set_xscale("log")
    room = 0.08 * float(smooth.max() - smooth.min()) or 0.1
    axes.set_ylim(float(smooth.min()) - 2 * room, float(smooth.max()) + 2 * room)  # single losses may lie outside
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    return figure


def _write(
    path: Path,
    config: Config,
    rates: NDArray[np.float64],
    losses: NDArray[np.float64],
    smooth: NDArray[np.float64],
    found: Suggestion | None,
) -> None:
    settings = config.training
    windows = settings.batch_size * settings.accumulate
    title = f"{config.model.name}, {settings.optimizer}, {windows} windows per update"
    with replacing(path) as temporary:
        draw(title, rates, losses, smooth, found).savefig(temporary, format="png")
    content = {
        "suggestion": None if found is None else {"steepest": found.steepest, "tenth_of_minimum": found.tenth},
        "model": config.model.name,
        "optimizer": settings.optimizer,
        "batch_size": settings.batch_size,
        "accumulate": settings.accumulate,
        "seed": config.seed,
        "learning_rate": rates.tolist(),
        "loss": losses.tolist(),
        "smoothed": smooth.tolist(),
    }
    write_json(path.with_suffix(".json"), content)


def _show(rates: NDArray[np.float64], smooth: NDArray[np.float64], found: Suggestion | None, *, diverged: bool) -> None:
    console = Console(width=100 if not sys.stdout.isatty() else None)
    table = RichTable(title="Learning-rate range test", title_justify="left")
    for name in ("learning rate", "smoothed loss"):
        table.add_column(name, justify="right")
    for index in np.unique(np.linspace(0, len(rates) - 1, _LINES).astype(int)):
        table.add_row(f"{rates[index]:.1e}", f"{smooth[index]:.4f}")
    console.print(table)
    if diverged:
        console.print(f"stopped at {rates[-1]:.1e}: the loss diverged", highlight=False)
    if found is not None:
        console.print(
            f"steepest descent at {found.steepest:.1e}; a tenth of the minimum is {found.tenth:.1e}", highlight=False
        )
