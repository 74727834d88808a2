"""Seeds, threads and determinism."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from hybrid_trainer.seeding import seed_everything


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave the process as it was."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    benchmark, fill = torch.backends.cudnn.benchmark, torch.utils.deterministic.fill_uninitialized_memory
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    workspace = os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = benchmark
    torch.utils.deterministic.fill_uninitialized_memory = fill
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
    if workspace is not None:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = workspace


def draws(seed: int) -> tuple[float, float, float]:
    """One number from each generator after seeding."""
    seed_everything(seed, deterministic=True, threads=1)
    return random.random(), float(np.random.random()), float(torch.rand(()))


def test_the_same_seed_gives_the_same_numbers_in_all_three_generators() -> None:
    assert draws(7) == draws(7)


def test_another_seed_gives_other_numbers_in_all_three_generators() -> None:
    assert all(a != b for a, b in zip(draws(7), draws(8), strict=True))


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_every_seed_that_config_allows_is_accepted(seed: int) -> None:
    seed_everything(seed, deterministic=True, threads=1)
    assert torch.initial_seed() == seed


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_is_pinned(threads: int) -> None:
    torch.set_num_threads(3 - threads)
    seed_everything(0, deterministic=True, threads=threads)
    assert torch.get_num_threads() == threads


def test_deterministic_asks_for_deterministic_algorithms() -> None:
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = True
    seed_everything(0, deterministic=True, threads=1)
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    assert not torch.backends.cudnn.benchmark
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_without_deterministic_neither_algorithms_nor_workspace_are_pinned() -> None:
    torch.use_deterministic_algorithms(True)
    seed_everything(0, deterministic=False, threads=1)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ


def test_a_workspace_that_the_user_has_set_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    seed_everything(0, deterministic=True, threads=1)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


def test_fresh_memory_is_not_filled() -> None:
    torch.utils.deterministic.fill_uninitialized_memory = True
    seed_everything(0, deterministic=True, threads=1)
    assert not torch.utils.deterministic.fill_uninitialized_memory
