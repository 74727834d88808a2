"""Rows per second of reading a table and computing its features beside bare polars, in one run and paired.

    python benchmarks/ingest.py [--rounds 5] [--rows 5000000] [--folder /tmp] [--json FILE]

bare      polars.read_csv or polars.read_parquet of the file, nothing else
polars    the same, and the `core` indicators as polars expressions
load      the checked, sorted table, written to the cache
features  the same, and the panel with the `core` indicators, written to the cache as well
again     table and panel from the cache, as a second run finds them

Each round runs all of them one after the other in an order that turns; the ratio to bare is taken within a round, and
the median of the rounds is shown.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from hybrid_trainer.config.data import TableData
from hybrid_trainer.config.targets import SignalTarget
from hybrid_trainer.data.panel import build_panel
from hybrid_trainer.data.room import Room
from hybrid_trainer.data.sources import load_table
from hybrid_trainer.data.table import Table

INSTRUMENTS = 100


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


def load(path: Path, cache: Path) -> Table:
    """The table, from an empty cache or from one that holds it."""
    config = TableData(path=str(path), instrument="instrument", cache="always")
    return load_table(config, {"signal": SignalTarget()}, cache_dir=str(cache))


def panel(path: Path, cache: Path) -> None:
    """The table and its features."""
    room = Room(cache, in_memory=2**30)
    build_panel(load(path, cache), feature_set="core", features=[], context={}, room=room)


def plain_polars(frame: pl.DataFrame) -> pl.DataFrame:
    """The `core` indicators as somebody would write them in polars alone, with its running sums."""
    close, volume = pl.col("close"), pl.col("volume").cast(pl.Float64)
    step = close.log().diff()
    span = pl.col("high") - pl.col("low")
    middle, spread = close.log().rolling_mean(20), close.log().rolling_std(20, ddof=0)
    deviations = [((step**2).rolling_mean(bars).sqrt() + 1e-6).log().alias(f"v{bars}") for bars in (5, 20, 60)]
    made = [
        *(close.log().diff(bars).alias(f"r{bars}") for bars in (1, 5, 20)),
        (pl.col("open").log() - close.log().shift(1)).alias("overnight"),
        (close / pl.col("open")).log().alias("intraday"),
        (pl.col("high") / pl.col("low")).log().alias("range"),
        pl.when(span == 0).then(0.0).otherwise((2 * close - pl.col("high") - pl.col("low")) / span).alias("place"),
        *deviations,
        (((pl.col("high") / pl.col("low")).log() ** 2).rolling_sum(10) / (40 * math.log(2))).sqrt().alias("parkinson"),
        pl.when(spread < 1e-6).then(0.0).otherwise((close.log() - middle) / spread).alias("distance"),
        ((volume + 1) / (volume.rolling_mean(20) + 1)).log().alias("volume_1"),
        ((volume.rolling_mean(5) + 1) / (volume.rolling_mean(60) + 1)).log().alias("volume_5"),
    ]
    return frame.select(expression.over("instrument").cast(pl.Float32) for expression in made)


def seconds(work: Callable[[], object], cache: Path | None) -> float:
    """How long something takes; `cache` is emptied before."""
    if cache is not None:
        shutil.rmtree(cache, ignore_errors=True)
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def compare(folder: Path, name: str, bare: Callable[[Path], pl.DataFrame], rounds: int) -> dict[str, list[float]]:
    """Seconds of every contestant in every round."""
    path, cache, full = folder / name, folder / "cache", folder / "full"
    panel(path, full)
    contestants: list[tuple[str, Callable[[], object], Path | None]] = [
        ("bare", lambda: bare(path), None),
        ("polars", lambda: plain_polars(bare(path)), None),
        ("load", lambda: load(path, cache), cache),
        ("features", lambda: panel(path, cache), cache),
        ("again", lambda: panel(path, full), None),
    ]
    found: dict[str, list[float]] = {key: [] for key, _, _ in contestants}
    for number in range(rounds):
        for key, work, emptied in contestants[number % 5 :] + contestants[: number % 5]:
            found[key].append(seconds(work, emptied))
    return found


def main() -> None:
    """Measure, print ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=5_000_000, help="of the table with 7 columns")
    parser.add_argument("--folder", type=Path, default=None, help="where the tables are written, 300 bytes per row")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
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
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
