"""Two small trained runs that the tests of the saved model share: the built-in heads, and heads of the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hybrid_trainer.inference.bundle import load_bundle
from hybrid_trainer.inference.predictor import Predictor
from hybrid_trainer.runs.directory import RunDirectory
from hybrid_trainer.train import train
from tests.conftest import make_config, price_frame

TINY = ("model.lstm_units=8", "model.cnn_filters=[8]", "training.epochs=1", "callbacks.tensorboard.enabled=false")


@dataclass(frozen=True)
class Trained:
    """A finished run and the table that it was trained on."""

    run: RunDirectory
    file: Path
    frame: pl.DataFrame

    def load(self) -> Predictor:
        """The saved model."""
        return load_bundle(self.run.bundle)


def train_on(folder: Path, frame: pl.DataFrame, *overrides: str) -> Trained:
    file = folder / "table.csv"
    frame.write_csv(file)
    config = make_config("data=csv", f"data.path={file}", f"paths.root={folder}", *TINY, *overrides)
    return Trained(train(config, folder / "run", []), file, frame)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """All four built-in heads on 300 days of two instruments; windows of 8 rows."""
    folder = tmp_path_factory.mktemp("trained")
    return train_on(folder, price_frame(300), "data.instrument=instrument", "model.time_window=8")


def own_frame(rows: int = 80) -> pl.DataFrame:
    """A table without prices: two features (one with gaps), two context blocks and a category that
    some rows lack, a class and a number as labels."""
    generator = np.random.default_rng(1)
    frames = []
    for name in ("north", "south"):
        level = generator.normal(1000.0, 10.0, rows)
        mood = np.where(generator.random(rows) < 0.5, "calm", "wild").tolist()
        gappy = generator.normal(size=rows).tolist()
        gappy[3] = gappy[40] = gappy[41] = None
        text, second = generator.normal(size=rows).tolist(), generator.normal(3.0, 2.0, rows).tolist()
        text[5::7] = [None] * len(text[5::7])
        second[2::9] = [None] * len(second[2::9])
        soil = [("clay", None, "sand")[number] for number in generator.integers(0, 3, rows)]
        frames.append(
            pl.DataFrame(
                {
                    "tick": range(rows),
                    "place": [name] * rows,
                    "gappy": gappy,
                    "steady": generator.normal(size=rows),
                    "text": text,
                    "rest_0": generator.normal(size=rows),
                    "rest_1": second,
                    "soil": soil,
                    "mood": [None, *mood[1:]],
                    "level": [None, None, *level[2:]],
                }
            )
        )
    return pl.concat(frames)


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Two heads of the user's own, features with gaps, two context blocks, a category; windows of 4 rows."""
    return train_on(
        tmp_path_factory.mktemp("own"),
        own_frame(),
        "data.timestamp=tick",
        "data.instrument=place",
        "data.features=[gappy,steady]",
        "data.context.text=[text]",
        "data.context.rest=rest_*",
        "data.categories=[soil]",
        "data.missing=gap",
        "data.targets.mood.column=mood",
        "data.targets.mood.kind=classification",
        "data.targets.level.column=level",
        "data.targets.level.kind=regression",
        "model.heads=[level,mood]",
        "model.time_window=4",
    )
