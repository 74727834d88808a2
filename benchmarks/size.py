"""What a table that does not fit in memory takes: anonymous memory while it is prepared and while it trains.

    python benchmarks/size.py [--rows 50000000] [--small 200000] [--folder /tmp] [--json FILE]

A folder of Parquet files partitioned by instrument, 16 columns and a label, is prepared (read, checked, sorted, made
into a panel, labelled, split, scaled) in a process of its own, then a run trains on it for an epoch; the same with a
small table. Anonymous memory is RssAnon: pages of mapped files don't count, the system takes them back when it needs
them. Last, windows per second: gathered by index from a panel in memory and from the map, beside a DataLoader's way,
one window per item and then collated.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl

WIDE = 16
WINDOW, BATCH = 32, 256
PLAIN = "__getitem__ and collate"


def write(folder: Path, rows: int) -> None:
    """instrument=S0000/part-0.parquet and so on, of at most 100,000 rows each."""
    parts = max(1, rows // 100_000)
    each = rows // parts
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(WIDE, each))
    times = np.datetime64("2020-01-01", "us") + np.arange(each) * np.timedelta64(1, "m")
    for part in range(parts):
        place = folder / f"instrument=S{part:04}"
        place.mkdir(parents=True)
        columns = {f"x{number}": np.roll(noise[number], part) for number in range(WIDE)}
        label = {"y": columns["x0"] + generator.normal(size=each)}
        pl.DataFrame({"timestamp": times} | columns | label).write_parquet(place / "part-0.parquet", compression="lz4")


def overrides(table: Path, root: Path) -> list[str]:
    """A run that is cheap beside its data."""
    features = ",".join(f"x{number}" for number in range(WIDE))
    return [
        *("data=parquet", f"data.path={table}", "data.instrument=instrument", f"data.features=[{features}]"),
        *("data.targets={y:{column:y,kind:regression}}", "model=linear", "model.time_window=4", "model.heads=[y]"),
        *("training.epochs=1", "training.batch_size=8192", "~model.embeddings.instrument"),
        *(f"paths.root={root}", f"paths.cache_dir={root / 'cache'}", "data.cache=always", "data.in_memory_mib=64"),
    ]


def anonymous_mib() -> float:
    """RssAnon of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024


@contextmanager
def watched(found: dict[str, float], name: str) -> Iterator[None]:
    """Keep the most anonymous memory that is seen, and the time that it takes."""
    peak, done, began = anonymous_mib(), threading.Event(), time.perf_counter()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.01):
            peak = max(peak, anonymous_mib())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        found |= {f"{name}_mib": peak, f"{name}_seconds": time.perf_counter() - began}


def one(what: str, table: Path, root: Path) -> None:
    """Prepare, or train, in this process, and print the figures."""
    from hybrid_trainer import build, prepare
    from hybrid_trainer.config import overrides as words
    from hybrid_trainer.config.compose import compose_config, to_config
    from hybrid_trainer.train import load, train

    config = to_config(compose_config(words.prepare(overrides(table, root))))
    found = {"idle_mib": anonymous_mib()}
    with watched(found, what):
        if what == "prepare":
            data = prepare.dataset(config, load(config), build.machine(config).device)
            found["rows"] = len(data.table)
            found["windows"] = sum(len(rows) for rows in data.split.rows.values())
        else:
            train(config, root / f"run-{time.time_ns()}", [])
    sys.stdout.write(f"\n{json.dumps(found)}\n")


def windows(root: Path) -> None:
    """Windows per second of each way of gathering them, in this process, paired: 15 features, four tasks, 32 rows."""
    import torch
    from torch.utils.data import DataLoader, Dataset

    from hybrid_trainer import prepare
    from hybrid_trainer.config import overrides as words
    from hybrid_trainer.config.compose import compose_config, to_config
    from hybrid_trainer.data.dataset import Dataset as Prepared
    from hybrid_trainer.train import load

    torch.set_num_threads(1)
    given = ["data=synthetic", "data.rows=50000", f"model.time_window={WINDOW}", f"paths.cache_dir={root / 'cache'}"]

    def prepared(*more: str) -> Prepared:
        config = to_config(compose_config(words.prepare([*given, *more])))
        return prepare.dataset(config, load(config), torch.device("cpu"))

    held, mapped = prepared(), prepared("data.cache=always", "data.in_memory_mib=0")
    panel, rows = held.tensors, held.split.rows["train"]

    class Windows(Dataset[dict[str, torch.Tensor]]):
        """What a user writes first."""

        def __len__(self) -> int:
            return 40 * BATCH

        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            row = int(rows[index])
            labels = {task: values[row] for task, values in panel.targets.items()}
            masks = {f"{task}_mask": values[row] for task, values in panel.mask.items()}
            return {"x": panel.features[row - WINDOW + 1 : row + 1], "ids": panel.ids[row], **labels, **masks}

    mapped_threads = mapped.loader("train", BATCH, shuffle_seed=0)
    mapped_alone = mapped.loader("train", BATCH, shuffle_seed=0)
    mapped_alone.workers = 0
    ways: dict[str, Iterable[object]] = {
        "in memory": held.loader("train", BATCH, shuffle_seed=0),
        "from the map": mapped_alone,
        "from the map, two threads": mapped_threads,
        PLAIN: DataLoader(Windows(), batch_size=BATCH, shuffle=True),
    }
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(7):
        for name, batches in ways.items():
            began, count = time.perf_counter(), sum(BATCH for _ in batches)
            speeds[name].append(count / (time.perf_counter() - began))
    sys.stdout.write(f"\n{json.dumps(speeds)}\n")


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000, help="of the large table; 50000000 takes 20 GB of disk")
    parser.add_argument("--small", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, default=None, help="where the tables are written")
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--one", nargs=3, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        what, table, root = options.one[0], Path(options.one[1]), Path(options.one[2])
        windows(root) if what == "windows" else one(what, table, root)
        return
    result: dict[str, object] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        for size, rows in (("small", options.small), ("large", options.rows)):
            write(folder / size, rows)
            for what in ("prepare", "train"):
                found = _process(what, folder / size, folder / f"root-{size}")
                result[f"{size} {what}"] = found
                sys.stdout.write(
                    f"{size:6} {rows:>11,} rows  {what:8} {found[f'{what}_seconds']:7.1f} s  at most "
                    f"{found[f'{what}_mib']:6.0f} MiB anonymous ({found['idle_mib']:.0f} before)\n"
                )
                sys.stdout.flush()
        speeds = _process("windows", folder / "large", folder / "root-large")
        middle = {way: sorted(values)[len(values) // 2] for way, values in speeds.items()}
        for way, speed in middle.items():
            ratio = speed / middle[PLAIN]
            sys.stdout.write(f"{way:27} {speed:>12,.0f} windows/s  {ratio:6.1f} x {PLAIN}\n")
        result["windows"] = speeds
        shutil.rmtree(folder / "root-large", ignore_errors=True)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _process(what: str, table: Path, root: Path) -> dict[str, object]:
    words = [sys.executable, __file__, "--one", what, str(table), str(root)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, object] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
