"""Fixtures that several tests share: small tables and configs."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hydra.core.config_store import ConfigStore
from hypothesis import settings

from hybrid_trainer.callbacks.base import EXTRA
from hybrid_trainer.config.callbacks import CALLBACKS
from hybrid_trainer.config.compose import compose_config, to_config
from hybrid_trainer.config.known_keys import known_keys, open_mappings
from hybrid_trainer.config.losses import LOSS_CONFIGS
from hybrid_trainer.config.metrics import METRIC_CONFIGS
from hybrid_trainer.config.overrides import prepare
from hybrid_trainer.config.schema import OPTIONS, OWN, Config
from hybrid_trainer.config.targets import TARGETS
from hybrid_trainer.config.training import SCHEDULES
from hybrid_trainer.data.features import FEATURES
from hybrid_trainer.data.own_sources import SOURCES
from hybrid_trainer.data.targets import TARGET_BUILDERS
from hybrid_trainer.engine import schedules
from hybrid_trainer.losses import LOSSES
from hybrid_trainer.metrics import own
from hybrid_trainer.models import MODELS
from hybrid_trainer.types import LOWER_IS_BETTER

# What tune-engine has found on the machine at hand is not for the tests, nor for the commands that they start.
os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="hybrid_trainer-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_CONFIG_HOME"], ignore_errors=True)


EXAMPLES = Path(__file__).parents[1] / "examples"
SHARING = (
    "balancing/test_together",
    "chaos/",
    "end_to_end/test_elastic",
    "end_to_end/test_reshard",
    "end_to_end/test_resume",
    "end_to_end/test_target_kinds",
    "evaluation/",
    "inference/",
    "test_check",
    "test_train.py",
)
"""Tests whose fixtures are runs, by how their files begin."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long tests/chaos shall be: `nox -s chaos` asks for 200."""
    parser.addoption("--kills", type=int, default=8, help="kills of runs in tests/chaos; a quarter as many signals")
    parser.addoption("--sweeps", action="store_true", help="the long sweeps of tests/sweeps: `nox -s sweeps`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long sweeps to their own session, and what shares something dear to one of the workers."""
    skip = pytest.mark.skip(reason="takes minutes: nox -s sweeps")
    for item in items:
        if item.get_closest_marker("long_sweep") and not config.getoption("--sweeps"):
            item.add_marker(skip)
        name = item.path.relative_to(Path(__file__).parent).as_posix()
        for start in SHARING:
            if name.startswith(start):
                item.add_marker(pytest.mark.xdist_group(start))


def pytest_configure(config: pytest.Config) -> None:
    """Where there is time for hundreds of kills there is for more examples as well."""
    settings.register_profile("long")
    if config.getoption("kills") > 8:
        settings.load_profile("long")


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


@pytest.fixture
def plugging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A place to import plug-ins: what they register, and that they were imported, is forgotten afterwards."""
    registries = (FEATURES, SOURCES, TARGET_BUILDERS, EXTRA, MODELS, LOSSES, LOSS_CONFIGS, schedules.OWN, own.OWN)
    for registry in registries:
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))  # type: ignore[attr-defined]
    mappings: list[dict[str, Any]] = [*OPTIONS.values(), TARGETS, METRIC_CONFIGS, CALLBACKS, SCHEDULES]  # type: ignore[list-item]
    before, options, modules = [dict(mapping) for mapping in mappings], set(OWN), set(sys.modules)
    falling = set(LOWER_IS_BETTER)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for mapping, entries in zip(mappings, before, strict=True):
        mapping.clear()
        mapping.update(entries)
    store = ConfigStore.instance().repo
    for group, name in OWN - options:
        store.get(group, {}).pop(f"{name}.yaml", None)
        store.get("schema", {}).get(group, {}).pop(f"{name}.yaml", None)
    OWN.intersection_update(options)
    LOWER_IS_BETTER.intersection_update(falling)
    for name in set(sys.modules) - modules:
        if not name.startswith(("hybrid_trainer", "torch")) and _is_here(sys.modules[name]):
            del sys.modules[name]
    known_keys.cache_clear()
    open_mappings.cache_clear()


def _is_here(module: object) -> bool:
    """Whether a module is a test's own file, or one of the examples."""
    file = getattr(module, "__file__", None) or ""
    installed = file.startswith(sys.prefix)  # in an environment that may lie in the folder for temporary files itself
    return not installed and file.startswith((tempfile.gettempdir(), str(EXAMPLES)))
