"""Made-up tables with the columns and dates that the ready experiments want; their own do not come with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from hybrid_trainer.config.compose import compose_config
from tests.conftest import price_frame


def _features(experiment: str) -> list[str]:
    """The columns that an experiment uses as they are."""
    composed = compose_config([f"experiment={experiment}", "data.path=t"])
    return list(composed.data.features)


def acl18(path: Path) -> None:
    """Two shares, 120 days of each: the first 40 to look back on, labels with holes."""
    generator = np.random.default_rng(0)
    days = np.datetime64("2014-01-01") + np.arange(120)
    part = ["warmup"] * 40 + ["train"] * 40 + ["valid"] * 20 + ["test"] * 20
    table = pl.DataFrame(
        {
            "date": np.tile(days, 2),
            "instrument": np.repeat(["A", "B"], 120),
            **{name: generator.normal(size=240).astype(np.float32) for name in _features("acl18")},
            "label": pl.Series(generator.choice([0.0, 1.0, np.nan], 240)).fill_nan(None).cast(pl.Float32),
            "split": part * 2,
        }
    )
    table.write_parquet(path / "acl18.parquet")


def crypto1h(path: Path) -> None:
    """Two coins by the hour, from two months before the validation to two weeks behind its end."""
    hours = pl.datetime_range(
        pl.datetime(2022, 11, 1), pl.datetime(2023, 7, 15), "1h", eager=True, time_zone="UTC"
    ).to_list()
    table = price_frame(len(hours), ("ADA", "BTC")).with_columns(timestamp=pl.Series(hours * 2))
    table.write_parquet(path / "crypto1h.parquet")


def etth2(path: Path) -> None:
    """Seven series by the hour, as many hours as the three parts have."""
    generator = np.random.default_rng(0)
    hours = np.datetime64("2016-07-01T00") + np.arange(14_500)
    written = [str(hour).replace("T", " ") for hour in hours.astype("datetime64[s]")]
    day = np.sin(2 * np.pi * np.arange(len(hours)) / 24)
    series = {name: day + generator.normal(size=len(hours)) for name in _features("etth2")}
    pl.DataFrame({"date": written} | series).write_csv(path / "ETTh2.csv")


TABLES = {
    "acl18": (acl18, "acl18.parquet"),
    "crypto1h": (crypto1h, "crypto1h.parquet"),
    "etth2": (etth2, "ETTh2.csv"),
    "etth2_dlinear": (etth2, "ETTh2.csv"),
    "etth2_patchtst": (etth2, "ETTh2.csv"),
}
