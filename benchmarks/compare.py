"""What `compare` takes over many runs: seconds and peak memory of the whole command, in a process of its own.

    python benchmarks/compare.py [--runs 10000] [--real 200] [--folder DIR] [--json FILE]

First a random search of made-up runs, a record of a real run's size each, one in a hundred of them damaged: the table
is made of their run.json alone. Then runs that have kept their test rows as well (500 days of five instruments, four
tasks), all of them shown, with bootstrap intervals: 2 s and 300 MB are the bounds of the one, 10 s of the other.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from hybrid_trainer.config.compose import compose_config, to_config
from hybrid_trainer.config.overrides import prepare
from hybrid_trainer.types import METRICS, WHOLE_METRICS, TargetSpec

TASKS = {"signal": "classification", "volatility": "regression", "regime": "classification", "sl_tp": "regression"}
CLASSES = ("down", "flat", "up")
DAYS, INSTRUMENTS = 501, 5
MEASURE = """
import resource, sys
from hybrid_trainer.__main__ import run
status = run(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_maxrss // 1024, used.ru_utime + used.ru_stime, file=sys.stderr)
sys.exit(status)
"""


def record(config: dict[str, Any], generator: random.Random) -> dict[str, Any]:
    """A complete run of the search, with as many metrics as a real one has."""
    metrics: dict[str, float] = {"epoch": 7, "train/loss": generator.random(), "valid/loss": generator.random()}
    for part in ("train", "valid", "test", "baseline"):
        for task, kind in TASKS.items():
            names = [*METRICS[kind], *(WHOLE_METRICS[kind] if part != "train" else ())]  # type: ignore[index]
            metrics |= {f"{part}/{task}/{name}": generator.random() for name in names}
    provenance = {"command": ["python", "-m", "hybrid_trainer"], "packages": dict.fromkeys(map(str, range(9)), "1.2.3")}
    facts = {"status": "complete", "stop_reason": "20 of 20 epochs done", "name": "outputs/run", "seconds": 12.5}
    process = {"host": "here", "boot": "9fafb375", "pid": 1, "started": 2}
    return facts | {"process": process, "overrides": [], "config": config, "metrics": metrics, "provenance": provenance}


def searched(config: dict[str, Any], number: int, generator: random.Random) -> dict[str, Any]:
    """One point of a random search: five keys of three sections change."""
    config = json.loads(json.dumps(config))
    config["seed"] = number % 5
    config["model"]["lstm_units"] = generator.choice([32, 64, 128, 256])
    config["model"]["dropout"] = round(generator.random(), 6)
    config["training"]["learning_rate"] = 10 ** generator.uniform(-4, -2)
    config["training"]["batch_size"] = generator.choice([64, 128, 256])
    return config  # type: ignore[no-any-return]


def write_runs(folder: Path, count: int) -> None:
    """Runs below folders of a hundred, one in a hundred with half a record."""
    generator = random.Random(0)
    config = asdict(to_config(compose_config(prepare([]))))
    for number in range(count):
        place = folder / f"{number // 100:03}" / f"{number}"
        (place / "report").mkdir(parents=True)
        text = json.dumps(record(searched(config, number, generator), generator), indent=2)
        (place / "run.json").write_text(text[: len(text) // 2] if number % 100 == 99 else text)


def write_tested(folder: Path) -> None:
    """What a run keeps of its test: labels that all runs share, and predictions of its own."""
    shared, own = np.random.default_rng(0), np.random.default_rng(int(folder.name))
    rows = DAYS * INSTRUMENTS
    day = np.datetime64("2020-01-01") + np.repeat(np.arange(DAYS), INSTRUMENTS)
    columns: dict[str, Any] = {
        "timestamp": day.astype("datetime64[ns]"),
        "instrument": ["A", "B", "C", "D", "E"] * DAYS,
    }
    specs = []
    for task, kind in TASKS.items():
        classes = kind == "classification"
        names = CLASSES if classes else ("x",)
        label = shared.integers(0, 3, size=rows) if classes else shared.normal(size=rows)
        columns[f"{task}_probs" if classes else f"{task}_pred"] = own.random((rows, len(names)))
        columns[f"{task}_label"] = [CLASSES[one] for one in label] if classes else label[:, None]
        specs.append(TargetSpec(name=task, kind=kind, dim=len(names), horizon=10, labels=names))  # type: ignore[arg-type]
    frame = pl.DataFrame(columns).with_columns(pl.selectors.array().arr.to_list())
    frame.write_parquet(folder / "report" / "predictions.parquet")
    (folder / "model").mkdir()
    (folder / "model" / "schema.json").write_text(json.dumps({"specs": list(map(asdict, specs)), "time_window": 32}))


def measure(folder: Path, *options: str) -> dict[str, float]:
    """Seconds, those on a processor, and peak MiB of one command, with one thread."""
    began = time.perf_counter()
    line = [sys.executable, "-c", MEASURE, "compare", str(folder), *options]
    one = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
    done = subprocess.run(line, check=True, capture_output=True, text=True, env=os.environ | one)
    seconds = round(time.perf_counter() - began, 2)
    peak, cpu = map(float, done.stderr.split())
    return {"seconds": seconds, "cpu_seconds": round(cpu, 2), "peak_mib": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--real", type=int, default=200)
    parser.add_argument("--folder", type=Path, default=None, help="where the runs are made; else temporary")
    parser.add_argument("--json", type=Path, help="write the results here as well")
    options = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        many, tested = Path(temporary, "many"), Path(temporary, "tested")
        write_runs(many, options.runs)
        write_runs(tested, options.real)
        for path in sorted(tested.glob("*/*")):
            write_tested(path)
        for title, folder, arguments in (
            (f"{options.runs} runs", many, []),
            (f"{options.runs} runs, by configuration", many, ["--group-by", "seed"]),
            (f"{options.runs} runs, filtered", many, ["--where", "lstm_units >= 64 and valid/loss < 0.5"]),
            (f"{options.real} runs with intervals", tested, ["--all"]),
        ):
            measure(folder, *arguments)  # once before, so that the disk isn't measured
            found[title] = measure(folder, *arguments)
            seconds, cpu, peak = found[title].values()
            print(f"{title:<36} {seconds:6.2f} s ({cpu:.2f} on a processor) {peak:6.0f} MiB", flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
