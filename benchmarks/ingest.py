"""Rows per second of reading a table beside bare polars, in one run and paired; and the memory that a large one takes.

    python benchmarks/ingest.py [--rounds 5] [--rows 5000000] [--large 5000000] [--folder /tmp] [--json FILE]

bare      polars.read_csv or polars.read_parquet of the file, nothing else
load      the checked, sorted table, written to the cache
features  the same, and the panel with the `core` indicators
again     the table from the cache, as a second run finds it

Each round runs all of them one after the other in an order that turns; the ratio to bare is taken within a round, and
the median of the rounds is shown. Memory is what a process of its own takes anonymously (RssAnon: mapped files don't
count) while it prepares `--large` rows of 16 columns from a folder of Parquet files partitioned by instrument.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from hybrid_trainer.config.data import TableData
from hybrid_trainer.config.targets import SignalTarget
from hybrid_trainer.data.panel import build_panel
from hybrid_trainer.data.sources import load_table
from hybrid_trainer.data.table import Table

INSTRUMENTS = 100
WIDE = 16


def write_prices(folder: Path, rows: int) -> None:
    """t.csv and t.parquet: 7 columns, sorted by instrument, one bar per minute."""
    generator = np.random.default_rng(0)
    each = rows // INSTRUMENTS
    close = 100 * np.exp(np.cumsum(generator.normal(0, 1e-3, (INSTRUMENTS, each)), axis=1)).ravel()
    open_ = close * np.exp(generator.normal(0, 1e-3, len(close)))
    times = np.datetime64("2020-01-01", "us") + np.arange(each) * np.timedelta64(1, "m")
    frame = pl.DataFrame(
        {
            "timestamp": np.tile(times, INSTRUMENTS),
            "instrument": np.repeat([f"S{number:03}" for number in range(INSTRUMENTS)], each),
            "open": open_.round(4),
            "high": (np.maximum(open_, close) * 1.001).round(4),
            "low": (np.minimum(open_, close) * 0.999).round(4),
            "close": close.round(4),
            "volume": generator.integers(0, 10_000, len(close)),
        }
    )
    frame.write_csv(folder / "t.csv", datetime_format="%Y-%m-%dT%H:%M:%S")
    frame.write_parquet(folder / "t.parquet")


def write_wide(folder: Path, rows: int) -> None:
    """A folder of Parquet files, instrument=S0000/part-0.parquet and so on, of at most 100,000 rows each."""
    parts = max(1, rows // 100_000)
    each = rows // parts
    noise = np.random.default_rng(0).normal(size=(WIDE, each))
    times = np.datetime64("2020-01-01", "us") + np.arange(each) * np.timedelta64(1, "m")
    for part in range(parts):
        place = folder / "wide" / f"instrument=S{part:04}"
        place.mkdir(parents=True)
        columns = {f"x{number}": np.roll(noise[number], part) for number in range(WIDE)}
        pl.DataFrame({"timestamp": times} | columns).write_parquet(place / "part-0.parquet", compression="lz4")


def load(path: Path, cache: Path) -> Table:
    """The table, from an empty cache or from one that holds it."""
    config = TableData(path=str(path), instrument="instrument", cache="always")
    return load_table(config, {"signal": SignalTarget()}, cache_dir=str(cache))


def panel(path: Path, cache: Path) -> None:
    """The table and its features."""
    build_panel(load(path, cache), feature_set="core", features=[], context=[])


def seconds(work: Callable[[], object], cache: Path | None) -> float:
    """How long something takes; `cache` is emptied before."""
    if cache is not None:
        shutil.rmtree(cache, ignore_errors=True)
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def compare(folder: Path, name: str, bare: Callable[[Path], object], rounds: int) -> dict[str, list[float]]:
    """Seconds of every contestant in every round."""
    path, cache, full = folder / name, folder / "cache", folder / "full"
    load(path, full)
    contestants: list[tuple[str, Callable[[], object], Path | None]] = [
        ("bare", lambda: bare(path), None),
        ("load", lambda: load(path, cache), cache),
        ("features", lambda: panel(path, cache), cache),
        ("again", lambda: load(path, full), None),
    ]
    found: dict[str, list[float]] = {key: [] for key, _, _ in contestants}
    for number in range(rounds):
        for key, work, emptied in contestants[number % 4 :] + contestants[: number % 4]:
            found[key].append(seconds(work, emptied))
    return found


def anonymous_mib() -> float:
    """RssAnon of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024


def prepare_wide(folder: Path) -> None:
    """Prepare the wide table in this process and print the most anonymous memory that was seen."""
    peak, done = anonymous_mib(), threading.Event()
    idle = peak

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.01):
            peak = max(peak, anonymous_mib())

    watcher = threading.Thread(target=watch)
    watcher.start()
    config = TableData(
        path=str(folder / "wide"), instrument="instrument", features=[f"x{n}" for n in range(WIDE)], cache="always"
    )
    begin = time.perf_counter()
    table = load_table(config, {}, cache_dir=str(folder / "cache"))
    took = time.perf_counter() - begin
    done.set()
    watcher.join()
    sys.stdout.write(json.dumps({"rows": len(table), "seconds": took, "idle_mib": idle, "peak_mib": peak}) + "\n")


def main() -> None:
    """Measure, print ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=5_000_000, help="of the table with 7 columns")
    parser.add_argument("--large", type=int, default=5_000_000, help="rows of the table with 16 columns; 0: none")
    parser.add_argument("--folder", type=Path, default=None, help="where the tables are written, 300 bytes per row")
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--prepare-wide", type=Path, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepare_wide:
        prepare_wide(options.prepare_wide)
        return
    result: dict[str, object] = {"polars": pl.__version__, "threads": pl.thread_pool_size(), "cpu": platform.machine()}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        write_prices(folder, options.rows)
        for file, bare in (("t.csv", pl.read_csv), ("t.parquet", pl.read_parquet)):
            found = compare(folder, file, bare, options.rounds)
            for key, times in found.items():
                ratio = statistics.median(t / b for t, b in zip(times, found["bare"], strict=True))
                speed = options.rows / statistics.median(times)
                sys.stdout.write(f"{file:10} {key:9} {speed / 1e6:9.2f} million rows/s {ratio:7.3f} x bare\n")
                result[f"{file} {key}"] = {"seconds": times, "ratio": ratio, "rows_per_second": speed}
        if options.large:
            write_wide(folder, options.large)
            shutil.rmtree(folder / "cache", ignore_errors=True)
            command = [sys.executable, __file__, "--prepare-wide", name]
            memory = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            sys.stdout.write(
                f"{memory['rows']:,} rows x {WIDE} from a partitioned folder: {memory['seconds']:.1f} s, "
                f"{memory['peak_mib']:.0f} MiB anonymous at most, {memory['idle_mib']:.0f} when idle\n"
            )
            result["memory"] = memory
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
