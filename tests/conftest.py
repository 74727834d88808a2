"""Fixtures that several tests share: small tables and configs."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hybrid_trainer.config.compose import compose_config, to_config
from hybrid_trainer.config.overrides import prepare
from hybrid_trainer.config.schema import Config

# What tune-engine has found on the machine at hand is not for the tests, nor for the commands that they start.
os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="hybrid_trainer-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_CONFIG_HOME"], ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long tests/chaos shall be: `nox -s chaos` asks for 200."""
    parser.addoption("--kills", type=int, default=8, help="kills of runs in tests/chaos; a quarter as many signals")


def make_config(*overrides: str) -> Config:
    """Compose a config as the command line would."""
    return to_config(compose_config(prepare(list(overrides))))


def price_frame(rows: int = 200, instruments: tuple[str, ...] = ("A", "B"), seed: int = 0) -> pl.DataFrame:
    """Random daily bars with one calendar for all instruments."""
    generator = np.random.default_rng(seed)
    frames = []
    days = np.datetime64("2020-01-01") + np.arange(rows)
    for name in instruments:
        close = 100 * np.exp(np.cumsum(generator.normal(0, 0.02, rows)))
        spread = np.exp(np.abs(generator.normal(0, 0.01, (2, rows))))
        open_ = close * np.exp(generator.normal(0, 0.005, rows))
        frames.append(
            pl.DataFrame(
                {
                    "timestamp": [str(day) for day in days],
                    "instrument": [name] * rows,
                    "open": open_,
                    "high": np.maximum(open_, close) * spread[0],
                    "low": np.minimum(open_, close) / spread[1],
                    "close": close,
                    "volume": generator.integers(1_000, 9_000, rows).astype(float),
                }
            )
        )
    return pl.concat(frames)


@pytest.fixture
def prices_csv(tmp_path: Path) -> Path:
    """A CSV file of two instruments with 200 days each."""
    path = tmp_path / "prices.csv"
    price_frame().write_csv(path)
    return path
