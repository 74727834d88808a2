"""Seconds per epoch of our trainer beside other loops over the same architecture, data and batch size, paired.

    python benchmarks/epoch.py [--rounds 5] [--threads 1 2] [--sizes small large] [--clock cpu] [--json FILE]

floor        one resident batch, forward, loss, backward, clip, the same fused optimizer; nothing else
ours         Trainer._train_epoch: gather, losses and metrics of four tasks, schedule
dataloader   a plain loop of PyTorch over a DataLoader of a map-style Dataset with default collation
lightning    Lightning's Trainer over the same DataLoader (where the extra [bench] is installed)
keras        Keras (TensorFlow) `fit` on windows in memory (the same)

Each loop lives in a process of its own, with its library's defaults. Each round runs every loop for one epoch, one
after the other in an order that turns, so that a drift of the machine meets all alike; ratios are taken within a round,
and the median of the rounds is shown; the small size, whose epochs take half a second, has three times as many. Where
there is a GPU, the same follows on it: its floor is a captured graph.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that `benchmarks` can be imported from anywhere

LOOPS = ["floor", "ours", "dataloader", "lightning", "keras"]
MORE = {"small": 3}  # rounds: its epochs are short, and a short one's time is scattered more
NEEDS = {"lightning": "lightning", "keras": "tensorflow"}


@dataclass(frozen=True)
class Case:
    """What is compared in one table."""

    size: str
    threads: int
    precision: str
    device: str
    loops: list[str]

    def __str__(self) -> str:
        return f"{self.size:5} {self.device:4} {self.threads} {self.precision:4}"


class LoopDiedError(Exception):
    """A loop's process has ended; with all that it had said."""


class Worker:
    """One loop in a process of its own; an epoch when it is asked for one."""

    def __init__(self, case: Case, loop: str) -> None:
        threads = str(case.threads)
        words = [sys.executable, __file__, "--worker", loop, case.size, threads, case.precision, case.device]
        quiet = {
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TF_NUM_INTRAOP_THREADS": threads,
            "TF_NUM_INTEROP_THREADS": "1",
            "OMP_NUM_THREADS": threads,
        }
        self.said: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 (it stays open as long as the process runs)
        self.process = subprocess.Popen(
            words, env=os.environ | quiet, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said, text=True
        )

    def answer(self) -> dict[str, float]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.said.seek(0)
            raise LoopDiedError(self.said.read())
        found: dict[str, float] = json.loads(line)
        return found

    def epoch(self) -> dict[str, float]:
        """Seconds of an epoch by the wall clock, and of the processor."""
        assert self.process.stdin is not None
        print("go", file=self.process.stdin, flush=True)
        return self.answer()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def work(loop: str, size: str, threads: int, precision: str, device: str) -> None:
    """Be a worker: say when the loop has warmed up, then what each epoch took."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes elsewhere
    import torch

    from benchmarks import loops, peers

    setting = loops.Setting(loops.SIZES[size], threads, precision, torch.device(device))
    epoch = getattr(loops if hasattr(loops, loop) else peers, loop)(setting)
    for asked in chain([""], sys.stdin):  # the first is not counted: it warms up
        gc.collect()
        wall, busy = time.perf_counter(), time.process_time()
        epoch()
        if device == "cuda":
            torch.cuda.synchronize()
        took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - busy}
        print(json.dumps(took if asked else {}), file=out, flush=True)


def measure(case: Case, rounds: int, clock: str) -> dict[str, list[float]]:
    """Seconds of every loop in every round."""
    workers = {loop: Worker(case, loop) for loop in case.loops}
    for loop, worker in list(workers.items()):
        try:
            worker.answer()
        except LoopDiedError as death:
            if loop in ("floor", "ours"):
                raise
            print(f"{case}  {loop:10} does not run here: {str(death).strip().splitlines()[-1]}", flush=True)
            del workers[loop]
    seconds: dict[str, list[float]] = {loop: [] for loop in workers}
    loops = list(workers)
    for number in range(rounds):
        turned = number % len(loops)
        for loop in loops[turned:] + loops[:turned]:
            time.sleep(0.2)
            seconds[loop].append(workers[loop].epoch()[clock])
    for worker in workers.values():
        worker.end()
    return seconds


def cases(options: argparse.Namespace) -> list[Case]:
    def there(names: list[str]) -> list[str]:
        known = [name for name in names if name in options.loops]
        return [name for name in known if name not in NEEDS or importlib.util.find_spec(NEEDS[name])]

    found = [
        Case(size, threads, precision, "cpu", there(LOOPS))
        for precision in options.precisions
        for size in options.sizes
        for threads in options.threads
        if precision == "fp32" or size == "large"
    ]
    import torch

    if torch.cuda.is_available():
        found += [Case(size, 1, "fp32", "cuda", there(["floor", "ours", "lightning"])) for size in options.sizes]
    else:
        print("no GPU: not run there")
    return found


def report(case: Case, seconds: dict[str, list[float]], steps: int) -> list[dict[str, Any]]:
    """Print a line per loop; returns the figures."""
    rows = []
    for loop, values in seconds.items():
        row: dict[str, Any] = vars(case) | {"loop": loop, "seconds": values}
        line = f"{case}  {loop:10} {1e3 * statistics.median(values) / steps:9.2f}"
        for name, above, below in (("to_floor", loop, "floor"), ("ours_to_it", "ours", loop)):
            if above in seconds and below in seconds:
                ratios = [a / b for a, b in zip(seconds[above], seconds[below], strict=True)]
                row[name] = ratios
                line += f" {statistics.median(ratios):8.3f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(line, flush=True)
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sizes", nargs="+", choices=["small", "large"], default=["small", "large"])
    parser.add_argument("--precisions", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--loops", nargs="+", choices=LOOPS, default=LOOPS)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: where others use the machine")
    parser.add_argument("--json", type=Path, help="keep the figures for a later comparison")
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        loop, size, threads, precision, device = options.worker
        work(loop, size, int(threads), precision, device)
        return
    import torch

    from benchmarks.loops import SIZES
    from hybrid_trainer.engine.device import choose_precision

    steps = {name: size.steps for name, size in SIZES.items()}
    print(f"median of {options.rounds} rounds ({MORE['small']} times as many of the small size), {options.clock} time")
    print(
        f"{'size':5} {'on':4} {'thr':3}{'prec':4}  {'loop':10} {'ms/step':>9} {'to the floor':>23} {'ours to it':>23}"
    )
    asked = choose_precision("bf16", torch.device("cpu")).asked
    if asked:
        print(f"{asked}: this CPU has no units for it; there, floor and ours compute in fp32, as a run does")
    found = []
    for case in cases(options):
        found += report(case, measure(case, options.rounds * MORE.get(case.size, 1), options.clock), steps[case.size])
    if options.json:
        machine = {"platform": platform.platform(), "python": platform.python_version(), "torch": torch.__version__}
        options.json.write_text(json.dumps({"machine": machine, "rows": found}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
