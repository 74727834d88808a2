"""`repro-check [OVERRIDES]`: does the same command give the same bits? A short run, twice, in fresh processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from hybrid_trainer.arguments import Parser
from hybrid_trainer.config import user_files
from hybrid_trainer.config.compose import compose_config, to_config
from hybrid_trainer.config.overrides import prepare
from hybrid_trainer.config.schema import Config
from hybrid_trainer.data.sources import check_columns
from hybrid_trainer.errors import TrainingError, UserError
from hybrid_trainer.runs.evidence import Part, digest, evidence, first_difference

_EPOCHS = 2
_NAMES = ("first", "second")
_LINES = 12  # of what a failed run said
# A run of its own: it goes nowhere but into its folder, and doesn't look for one that it could go on with.
_OWN = ("paths.model_save_path=null", "paths.log_dir=null", "run.id=null", "training.resume=off")


def main(arguments: list[str]) -> int:
    """Train twice for a few epochs, each time in a fresh process, and compare the bits; status 1 where they differ."""
    parser = Parser("repro-check", main.__doc__)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as for a run: model.lstm_units=128")
    parser.add_argument("--config", metavar="FILE", help="your own YAML of keys, as for a run")
    options = parser.parse_intermixed_args(user_files.take_config_option(arguments))
    config = to_config(compose_config(prepare(user_files.overrides() + options.overrides)))
    check_columns(config.data, config.active_targets)
    cut = _cut(config, options.overrides)
    console = Console(width=120 if not sys.stdout.isatty() else None)
    for key in cut:
        console.print(f"cut: {key}, was {config.training.epochs}; give it to train for longer", markup=False)
    parent = Path(config.paths.root) / "outputs"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent, prefix="repro-check-"))
    differ = False
    try:
        differ = _compare(console, [*arguments, *cut, *_OWN], folder)
    finally:
        shutil.rmtree(folder if not differ else folder / "cache", ignore_errors=True)
    if differ:
        console.print(f"both runs are kept: {folder}", markup=False, soft_wrap=True)
    return int(differ)


def _cut(config: Config, overrides: Sequence[str]) -> list[str]:
    """The overrides that make a run short, where its command line doesn't say how long it shall be."""
    given = any(word.partition("=")[0].lstrip("+~") == "training.epochs" for word in overrides)
    return [] if given or config.training.epochs <= _EPOCHS else [f"training.epochs={_EPOCHS}"]


def _compare(console: Console, arguments: Sequence[str], folder: Path) -> bool:
    """Train both, one behind the other, and show what is the same; returns whether anything differs."""
    # The first finds features where any run would; the second makes them anew: a cache that is wrong shows, too.
    for name, own in zip(_NAMES, ([], [f"paths.cache_dir={_quoted(folder / 'cache')}"]), strict=True):
        console.print(f"{name} run: trains in a fresh process", markup=False)
        _train([*arguments, *own, f"hydra.run.dir={_quoted(folder / name)}"], folder / f"{name}.log")
    first, second = (evidence(folder / name, _final_weights(folder / name)) for name in _NAMES)
    table = RichTable(title="The same command, twice", title_justify="left")
    for column in ("what", "SHA-256, first", "second", ""):
        table.add_column(column)
    parted = []
    for what, part in first.items():
        digests = digest(part), digest(second[what])
        same = digests[0] == digests[1]
        table.add_row(what, *(each[:16] for each in digests), Text("same" if same else "different"))
        if not same:
            parted.append(f"{what}: {first_difference(part, second[what])}")
    console.print(table)
    if not parted:
        console.print("every bit is the same; both runs are removed", markup=False)
        return False
    console.print(f"they part first in {parted[0]}", markup=False, soft_wrap=True)
    for line in parted[1:]:
        console.print(f"then in {line}", markup=False, soft_wrap=True)
    return True


def _train(arguments: Sequence[str], log: Path) -> None:
    """One run in a process of its own, which ends with this one.

    Raises:
        UserError: it went wrong; its own last lines are in the text.
    """
    command = [sys.executable, "-m", "hybrid_trainer", *arguments]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT)
        try:
            status = process.wait()
        except BaseException:
            process.terminate()  # Ctrl-C has reached it already; a further signal stops it at once
            process.wait()
            raise
    if not status:
        return
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")] or lines[-_LINES:]
    if status < 0:
        errors.append(f"ended by signal {-status}")
    raise (UserError if status == 2 else TrainingError)("\n".join(f"repro-check: {line}" for line in errors))


def _final_weights(run: Path) -> Part:
    """Every tensor of the model, and of the average of its weights, behind the last epoch."""
    import torch

    from hybrid_trainer.engine.checkpoint_store import CheckpointStore

    state = CheckpointStore(run / "checkpoints", writes=False).load_last(torch.device("cpu"))
    assert state is not None  # a complete run has one
    averaged = {f"ema.{name}": value for name, value in (state["ema"] or {}).items()}
    return {name: value.numpy() for name, value in {**state["model"], **averaged}.items()}


def _quoted(path: Path) -> str:
    """A path as the value of an override, whatever characters are in it."""
    text = os.fspath(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"
