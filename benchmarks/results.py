"""The ready experiments over several seeds, on data that does not come with the package: what docs/results.md says.

    python benchmarks/results.py acl18 --data acl18.parquet [--seeds 0 1 2 3 4] [--root .] [KEY=VALUE ...]

Each seed is a run of its own, `outputs/acl18-SEED` below the root; what has been interrupted goes on, what is complete
is not run again. Prints the test metrics, mean and standard deviation over the seeds, beside the strongest naive
baseline and figures that others have published.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

# experiment -> what is said of others on the same test rows: metric -> {who: value}
PUBLISHED = {
    "acl18": {
        "test/move/accuracy": {"LSTM": 0.5318, "ALSTM": 0.5490, "adversarial ALSTM": 0.5720},
        "test/move/mcc": {"LSTM": 0.067, "ALSTM": 0.104, "adversarial ALSTM": 0.148},
    },
    "crypto1h": {
        "test/volatility/r2": {"HAR, least squares": 0.455, "boosting": 0.472, "boosting, 43 features": 0.546}
    },
    "etth2": {
        "test/load/mse": {"PatchTST/64": 0.274, "DLinear": 0.289, "FEDformer": 0.346, "last value": 0.432},
        "test/load/mae": {"PatchTST/64": 0.337, "DLinear": 0.353, "FEDformer": 0.388, "last value": 0.422},
    },
}


def run(experiment: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train and test with one seed, or go on with it, or find it done; returns run.json."""
    name = "-".join([experiment, *(re.sub(r"[^\w.]+", "_", word).strip("_") for word in options.overrides), str(seed)])
    record = options.root / "outputs" / name / "run.json"
    if not record.is_file() or json.loads(record.read_text(encoding="utf-8"))["status"] != "complete":
        words = [f"experiment={experiment}", f"data.path={options.data}", f"seed={seed}", *options.overrides]
        where = [f"paths.root={options.root}", f"run.id={name}", "training.resume=auto"]
        done = subprocess.run([sys.executable, "-m", "hybrid_trainer", *words, *where], check=False)
        if done.returncode:
            sys.exit(done.returncode)
    found: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    return found


def spread(values: list[float]) -> str:
    """Mean and standard deviation; of one value there is none."""
    deviation = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{deviation}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("--data", type=Path, required=True, help="the file of the experiment")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--root", type=Path, default=Path(), help="outputs/ is below it")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_intermixed_args()
    records = [run(options.experiment, seed, options) for seed in options.seeds]
    minutes = [record["seconds"] / 60 for record in records]
    print(
        f"\n{options.experiment} {' '.join(options.overrides)}: seeds {options.seeds}; {spread(minutes)} minutes a run"
    )
    print(f"{'':32} {'model':>17} {'baseline':>9}  published")
    for metric in (name for name in records[0]["metrics"] if name.startswith("test/")):
        values = [record["metrics"][metric] for record in records]
        baseline = records[0]["metrics"][metric.replace("test/", "baseline/")]
        others = PUBLISHED.get(options.experiment.partition("_")[0], {}).get(metric, {})
        said = ", ".join(f"{who} {value}" for who, value in others.items())
        print(f"{metric:32} {spread(values):>17} {baseline:9.4f}  {said}")


if __name__ == "__main__":
    main()
