"""A sweep through our launcher beside Hydra's own, the same jobs at one thread; and what a job costs beside its run.

    python benchmarks/sweep.py [--jobs 20] [--seconds 10] [--n-jobs N] [--rounds 1] [--json FILE]

basic      hydra/launcher=basic: one job after the other, in one process
local      hydra/launcher=local: a process for each job, as many at a time as there are cores
overhead   local with one job at a time: the time from the first job's beginning to the last one's end, without what
           the runs themselves took by their records, per job

Whole commands are timed, imports and checks included. The number of epochs is chosen such that one job takes about
--seconds here. The ratio local / basic is bound to 0.6 on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

ONE = (
    "model.lstm_units=32",
    "training.threads=1",
    "training.device=cpu",
    "callbacks.early_stopping.enabled=false",
    "callbacks.tensorboard.enabled=false",
)


def run(folder: Path, *words: str) -> float:
    """Seconds that a command takes."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "hybrid_trainer", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return time.perf_counter() - began


def records(folder: Path) -> list[float]:
    """Seconds of each run below a folder, by its record."""
    return [float(json.loads(path.read_text())["seconds"]) for path in folder.rglob("run.json")]


def epochs_for(seconds: float, folder: Path) -> int:
    """How many epochs take so long here: by two runs' difference, since a job of a sweep has nothing to import."""
    took = {}
    for name, epochs in (("few", 1), ("many", 21)):
        run(folder, *ONE, f"training.epochs={epochs}", f"run.id={name}")
        took[name] = records(folder / "outputs" / name)[0]
    return max(1, round(20 * seconds / (took["many"] - took["few"])))


def sweep(folder: Path, name: str, jobs: int, epochs: int, *words: str) -> float:
    line = ["--multirun", *ONE, f"training.epochs={epochs}", f"seed=range({jobs})", f"hydra.sweep.dir=multirun/{name}"]
    return run(folder, *line, *words)


def overhead(sweep: Path) -> float:
    """Seconds per job of a sweep with one job at a time that are not the run's own."""
    lines = [json.loads(line) for line in (sweep / "ledger.jsonl").read_text().splitlines()]
    times = [datetime.fromisoformat(line["at"]) for line in lines if line["status"] != "queued"]
    runs = records(sweep)
    return ((times[-1] - times[0]).total_seconds() - sum(runs)) / len(runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--n-jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="sweep-"))
    os.environ["XDG_CONFIG_HOME"] = str(folder / "config")  # no machine profile
    try:
        epochs = epochs_for(options.seconds, folder)
        print(f"{options.jobs} jobs of {epochs} epochs, one thread each; {options.n_jobs} at a time", flush=True)
        results = []
        for number in range(options.rounds):
            basic = sweep(folder, f"basic{number}", options.jobs, epochs, "hydra/launcher=basic")
            side = f"hydra.launcher.n_jobs={options.n_jobs}"
            local = sweep(folder, f"local{number}", options.jobs, epochs, side)
            sweep(folder, f"one{number}", 5, 1, "hydra.launcher.n_jobs=1")
            each = overhead(folder / f"multirun/one{number}")
            mean = sum(records(folder / f"multirun/basic{number}")) / options.jobs
            results.append({"basic": basic, "local": local, "ratio": local / basic, "overhead": each, "job": mean})
            print(
                f"basic {basic:.1f} s ({mean:.1f} s a job)  local {local:.1f} s  "
                f"ratio {local / basic:.3f} (bound 0.6)  "
                f"overhead {each:.2f} s a job (bound 0.5)",
                flush=True,
            )
        if options.json:
            options.json.write_text(json.dumps(results, indent=2) + "\n")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
