"""Trials of batch sizes: what counts as 'does not fit', here and in a process of its own."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.connection import Connection
from typing import Any

import pytest
import torch

from hybrid_trainer.errors import ConfigError, TrainingError
from hybrid_trainer.tune import batch_trial
from hybrid_trainer.tune.batch_trial import Trials
from hybrid_trainer.tune.trial import Trial
from tests.conftest import make_config
from tests.tune.test_trial import SMALL


@pytest.fixture(scope="module")
def trials() -> Trials:
    """As on a GPU: in this process."""
    made = Trials(make_config(*SMALL, "training.accumulate=2", "training.device=cpu"), 0.0)
    assert made.device == "cpu" and made.free > 0
    made.device = "cuda"
    return made


def test_a_size_that_fits_has_a_speed(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def seconds(self: Trial, seconds: float, least: int) -> float:
        sizes.append(self.windows_per_step())
        return 0.5

    monkeypatch.setattr(Trial, "seconds_per_step", seconds)
    assert trials.fits(16)
    assert (sizes, trials.speeds[16]) == ([32], 64.0)  # two batches make an update


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 64 bytes."),
        RuntimeError("could not create a primitive descriptor for an LSTM"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_out_of_memory_is_an_answer(error: Exception, trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Trial) -> float:
        raise error

    monkeypatch.setattr(Trial, "step", full)
    assert not trials.fits(24)
    assert trials.speeds[24] is None


@pytest.mark.parametrize(
    ("error", "raised", "said"),
    [
        (RuntimeError("shapes\nclash"), TrainingError, "batches of 40: RuntimeError: shapes clash"),
        (ConfigError("model.x: wrong"), ConfigError, "model.x: wrong"),
    ],
)
def test_any_other_error_is_not_one_of_size(
    error: Exception, raised: type[Exception], said: str, trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Trial) -> float:
        raise error

    monkeypatch.setattr(Trial, "step", broken)
    with pytest.raises(raised, match=said):
        trials.fits(40)
    assert 40 not in trials.speeds


def test_a_process_that_is_killed_did_not_fit(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(answer: Connection, *given: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(trials, "device", "cpu")
    monkeypatch.setattr(batch_trial, "_child", killed)
    assert not trials.fits(48)
    assert trials.speeds[48] is None


def test_an_interrupted_search_ends_its_process(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(answer: Connection, *given: Any) -> None:
        time.sleep(1)
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(60)

    monkeypatch.setattr(trials, "device", "cpu")
    monkeypatch.setattr(batch_trial, "_child", endless)
    former = signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start jobs in the background without
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            trials.fits(48)
    finally:
        signal.signal(signal.SIGINT, former)
    assert time.monotonic() - began < 50
