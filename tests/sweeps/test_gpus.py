"""Places for jobs on GPUs; none is needed to try them out."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybrid_trainer.sweeps.gpus import GpuPlaces, visible_gpus


@pytest.mark.parametrize(
    ("gpus", "per_job", "places"),
    [
        (["0", "1"], 1.0, ["0", "1"]),
        (["0", "1"], 0.5, ["0", "1", "0", "1"]),
        (["0"], 1 / 3, ["0", "0", "0"]),
        (["0"], 0.3, ["0", "0", "0"]),
        (["4", "5", "6", "7", "8"], 2.0, ["4,5", "6,7"]),
    ],
)
def test_each_job_has_a_place_of_its_own_and_leaves_it(gpus: list[str], per_job: float, places: list[str]) -> None:
    free = GpuPlaces(gpus, per_job)
    assert free.total == len(places)
    assert [free.take() for _ in places] == places
    assert not free.room
    free.give_back(places[0])
    assert free.room and free.take() == places[0]


def test_without_gpus_jobs_see_what_there_is() -> None:
    places = GpuPlaces([], 0.0)
    assert places.room and places.take() is None
    places.give_back(None)
    assert not places.free


def test_what_the_sweep_sees_is_what_is_shared_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, MIG-a,")
    assert visible_gpus() == ["3", "MIG-a"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == []
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: One (UUID: GPU-a)'\necho 'GPU 1: Two (UUID: GPU-b)'\n")
    program.chmod(0o755)
    assert visible_gpus() == ["0", "1"]
