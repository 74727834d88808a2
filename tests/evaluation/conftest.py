"""One small data set that the tests of the evaluation share."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import torch

from hybrid_trainer import prepare
from hybrid_trainer.config.schema import Config
from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.data.sources import load_table
from tests.conftest import make_config, price_frame


def dataset_of(folder: Path, frame: pl.DataFrame, *overrides: str) -> tuple[Config, Dataset]:
    file = folder / "prices.csv"
    frame.write_csv(file)
    config = make_config(
        "data=csv", f"data.path={file}", "data.instrument=instrument", "model.time_window=8", *overrides
    )
    return config, prepare.dataset(config, load_table(config.data, config.active_targets), torch.device("cpu"))


@pytest.fixture(scope="session")
def config_and_data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Dataset]:
    """All four built-in heads on 300 days of two instruments."""
    return dataset_of(tmp_path_factory.mktemp("evaluation"), price_frame(300))


@pytest.fixture(scope="session")
def config(config_and_data: tuple[Config, Dataset]) -> Config:
    return config_and_data[0]


@pytest.fixture(scope="session")
def data(config_and_data: tuple[Config, Dataset]) -> Dataset:
    return config_and_data[1]
