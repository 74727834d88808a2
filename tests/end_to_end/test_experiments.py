"""The experiments for published data: on the real tables they have the published rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hybrid_trainer import prepare
from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.data.sources import load_table
from tests.conftest import make_config

SHARED = Path(__file__).parents[3] / "shared" / "data"
ACL18, CRYPTO1H, ETTH2 = SHARED / "acl18.parquet", SHARED / "crypto1h_dev.parquet", SHARED / "ETTh2.csv"


def needs(path: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not path.is_file(), reason=f"{path} is not here")


def made(experiment: str, path: Path, *overrides: str) -> Dataset:
    config = make_config(f"experiment={experiment}", f"data.path={path}", *overrides)
    return prepare.dataset(config, load_table(config.data, config.active_targets), torch.device("cpu"))


@pytest.mark.needs_shared_data
@needs(ACL18)
def test_acl18_has_the_published_windows() -> None:
    """20,315 / 2,555 / 3,720 labelled windows of 5 rows; the last days before a part are purged."""
    data = made("acl18", ACL18, "model.time_window=5")
    counts = {part: len(rows) for part, rows in data.split.rows.items()}
    purged = {part: data.split_report["parts"][part]["purged"] for part in counts}
    assert purged == {"train": 52, "valid": 79, "test": 0}
    assert {part: counts[part] + purged[part] for part in counts} == {"train": 20_315, "valid": 2_555, "test": 3_720}


@pytest.mark.needs_shared_data
@needs(CRYPTO1H)
def test_crypto1h_is_split_at_the_published_dates() -> None:
    data = made("crypto1h", CRYPTO1H)
    hour = 3600 * 10**9
    borders = np.array(["2023-01-01", "2023-07-01"], dtype="datetime64[ns]").astype(np.int64)
    last = {part: int(data.panel.timestamps[rows].max()) for part, rows in data.split.rows.items()}
    first = {part: int(data.panel.timestamps[rows].min()) for part, rows in data.split.rows.items()}
    assert [first["valid"], first["test"]] == borders.tolist()
    assert [last["train"], last["valid"]] == (
        borders - 25 * hour
    ).tolist()  # their labels end an hour before the border


@pytest.mark.needs_shared_data
@needs(ETTH2)
def test_etth2_follows_the_long_horizon_protocol() -> None:
    data = made("etth2", ETTH2, "model.time_window=96")
    counts = {part: len(rows) for part, rows in data.split.rows.items()}
    assert counts == {"train": 8640 - 96 - 95, "valid": 2783, "test": 2785}
    series = np.loadtxt(ETTH2, delimiter=",", skiprows=1, usecols=range(1, 8))[:8640]
    np.testing.assert_allclose(data.specs[0].shift[:7], series.mean(axis=0), rtol=1e-6)
