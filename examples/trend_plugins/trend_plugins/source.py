"""A source: a table made on the spot; one that asks a data base looks the same."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from hybrid_trainer.extend import DataConfig, check_range, key, source


@dataclass(kw_only=True)
class RandomWalkData(DataConfig):
    """Daily bars that lead nowhere."""

    instrument: str | None = key("name", "column that names the instrument")
    walks: int = key(3, "how many instruments")
    days: int = key(500, "rows of each")
    walk_seed: int = key(0, "seed of the table")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("data.walks", self.walks, low=1)
        check_range("data.days", self.days, low=100)


@source("random_walk", RandomWalkData)
def random_walk(config: RandomWalkData) -> pl.DataFrame:
    """Rows may come in any order, times as dates, texts or integers: the table is checked and sorted like a file."""
    generator = np.random.default_rng(config.walk_seed)
    days = np.datetime64("2020-01-01") + np.arange(config.days)
    frames = []
    for number in range(config.walks):
        close = 100 * np.exp(np.cumsum(generator.normal(0, 0.01, config.days)))
        spread = np.exp(np.abs(generator.normal(0, 0.004, (2, config.days))))
        opening = close * np.exp(generator.normal(0, 0.003, config.days))
        frames.append(
            pl.DataFrame(
                {
                    "timestamp": days,
                    "name": [f"walk_{number}"] * config.days,
                    "open": opening,
                    "high": np.maximum(opening, close) * spread[0],
                    "low": np.minimum(opening, close) / spread[1],
                    "close": close,
                }
            )
        )
    return pl.concat(frames)
