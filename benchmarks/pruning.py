"""What giving trials up saves: the same searches with and without a pruner, on the embedded data set.

    python benchmarks/pruning.py [--repeats 5] [--trials 16] [--epochs 20] [--jobs 2] [--pruner NAME] [KEY=VALUE ...]

Each repeat is a search of its own seed, twice: the random sampler tries the same configurations both times, so that
what differs is the pruner's doing. Early stopping is off. Prints the best validation loss and the epochs of both, and
their ratio. Bounds: half the epochs, and a mean difference of the best values within what another seed of one good
configuration makes of it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SPACE = [
    "training.learning_rate=tag(log, interval(1e-5, 1e-1))",
    "model.lstm_units=int(interval(4, 32))",
    "model.dropout=interval(0, 0.5)",
]
GOOD = ["training.learning_rate=0.0035", "model.lstm_units=22", "model.dropout=0.2"]
SMALL = ["experiment=quick", "callbacks.early_stopping.enabled=false", "callbacks.tensorboard.enabled=false"]


def search(folder: Path, seed: int, pruner: str, options: argparse.Namespace) -> tuple[float, int]:
    """Run one search; returns its best value and the epochs of all its trials."""
    how = [f"hydra.sweeper.n_trials={options.trials}", "hydra.sweeper.sampler.name=random"]
    how += [f"hydra.sweeper.sampler.seed={seed}", f"hydra.sweeper.pruner.name={pruner}"]
    how += [f"hydra.launcher.n_jobs={options.jobs}", f"hydra.sweep.dir={folder}", f"paths.root={folder.parent}"]
    words = [*SMALL, *SPACE, f"training.epochs={options.epochs}", f"seed={seed}", *options.overrides]
    command = [sys.executable, "-m", "hybrid_trainer", "--multirun", "hydra/sweeper=optuna", *how, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr[-4000:])
    records = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*/run.json")]
    complete = [record for record in records if record["status"] == "complete"]
    best = min(record["metrics"]["valid/loss"] for record in complete)
    return best, sum(record["epochs"] for record in records)


def seed_spread(folder: Path, options: argparse.Namespace) -> float:
    """Standard deviation of the best validation loss of one good configuration over five seeds."""
    words = [*SMALL, *GOOD, "seeds=5", f"training.epochs={options.epochs}", *options.overrides]
    where = [f"hydra.launcher.n_jobs={options.jobs}", f"hydra.sweep.dir={folder}", f"paths.root={folder.parent}"]
    command = [sys.executable, "-m", "hybrid_trainer", "--multirun", *words, *where]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr[-4000:])
    records = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*/run.json")]
    return statistics.stdev(record["metrics"]["valid/loss"] for record in records)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--pruner", default="hyperband")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_intermixed_args()
    whole: list[float] = []
    pruned: list[float] = []
    ratios = []
    print(f"{'repeat':>6} {'best, all epochs':>17} {'best, pruned':>13} {'epochs':>7} {'pruned':>7} {'ratio':>6}")
    for seed in range(options.repeats):
        with tempfile.TemporaryDirectory() as root:
            best, epochs = search(Path(root) / "whole", seed, "none", options)
            other, fewer = search(Path(root) / "pruned", seed, options.pruner, options)
        whole.append(best)
        pruned.append(other)
        ratios.append(fewer / epochs)
        print(f"{seed:>6} {best:>17.4f} {other:>13.4f} {epochs:>7} {fewer:>7} {fewer / epochs:>6.2f}", flush=True)
    difference = statistics.mean(pruned) - statistics.mean(whole)
    with tempfile.TemporaryDirectory() as root:
        seeds = seed_spread(Path(root) / "seeds", options)
    print(f"mean difference of the best values {difference:+.4f}, seed spread of one configuration {seeds:.4f}")
    print(f"epochs: {statistics.mean(ratios):.2f} of those without a pruner (bound 0.50)")


if __name__ == "__main__":
    main()
