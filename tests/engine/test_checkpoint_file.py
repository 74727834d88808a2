"""Checkpoint files."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybrid_trainer.engine.checkpoint_file import load_checkpoint, manifest_of, save_checkpoint
from hybrid_trainer.errors import RunDirError, TrainingError
from tests.engine.helpers import CPU, make_loader, make_panel, make_trainer, same

STATE = {
    "model": {"weight": torch.arange(6.0).reshape(2, 3), "half": torch.ones(2, dtype=torch.bfloat16)},
    "epoch": 3,
    "history": [{"epoch": 1, "valid/loss": 0.1, "valid/signal/mcc": float("nan")}],
    "stop_reason": None,
    "fused": True,
    "betas": (0.9, 0.999),
    "text": "größer ≤ 3",
}


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "checkpoints" / "last.pt", STATE)
    assert same(load_checkpoint(tmp_path / "checkpoints" / "last.pt", CPU), STATE)


def test_a_trainers_whole_state_comes_back_as_it_was(tmp_path: Path) -> None:
    trainer = make_trainer(epochs=2, plateau=True, precision="fp16")
    trainer.fit(make_loader(make_panel(), 10, 29), make_loader(make_panel(), 30, 39))
    save_checkpoint(tmp_path / "last.pt", trainer.state_dict())
    assert same(
        load_checkpoint(tmp_path / "last.pt", CPU), {**trainer.state_dict(), "model": dict(trainer.model.state_dict())}
    )


def test_saving_replaces_the_former_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"epoch": 1})
    save_checkpoint(path, {"epoch": 2})
    assert load_checkpoint(path, CPU) == {"epoch": 2}
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["last.pt", "last.pt.sha256"]


def test_the_manifest_is_one_that_sha256sum_reads(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.pt", STATE)
    done = subprocess.run(
        ["sha256sum", "-c", "last.pt.sha256"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "last.pt: OK\n")


@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_a_full_disk_is_told_with_the_bytes_needed_and_leaves_nothing_of_the_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    former, path = tmp_path / "last-1.pt", tmp_path / "last-2.pt"
    save_checkpoint(former, {"epoch": 1})
    calls = iter(range(1, 100))
    sync = os.fsync

    def full_disk(handle: int) -> None:
        if next(calls) == call:  # the file, its folder, the manifest, its folder
            raise OSError(28, "No space left on device")
        sync(handle)

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(TrainingError, match=rf"^{path}: No space left on device: the checkpoint needs [\d,]+ bytes, "):
        save_checkpoint(path, {"epoch": 2})
    monkeypatch.undo()
    assert load_checkpoint(former, CPU) == {"epoch": 1}
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["last-1.pt", "last-1.pt.sha256"]


def test_at_twenty_file_size_limits_the_older_checkpoint_loads(tmp_path: Path) -> None:
    size = save_size(tmp_path / "last-1.pt")
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        for share in range(20):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size * share // 20, former[1]))
            with pytest.raises(TrainingError, match=rf"^{tmp_path}/last-2\.pt: File too large: the checkpoint needs "):
                save_checkpoint(tmp_path / "last-2.pt", STATE)
            assert sorted(entry.name for entry in tmp_path.iterdir()) == ["last-1.pt", "last-1.pt.sha256"]
            assert same(load_checkpoint(tmp_path / "last-1.pt", CPU), STATE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)


def save_size(path: Path) -> int:
    save_checkpoint(path, STATE)
    return path.stat().st_size


def test_a_file_has_the_usual_permissions(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.pt", {"epoch": 1})
    (tmp_path / "other").touch()
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("last.pt", "other")}
    assert len(modes) == 1


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), manifest=st.booleans())
def test_any_flipped_bit_is_refused_and_the_file_named(
    tmp_path: Path, position: float, bit: int, manifest: bool
) -> None:
    path = tmp_path / "best.pt"
    save_checkpoint(path, STATE)
    flipped = manifest_of(path) if manifest else path
    content = bytearray(flipped.read_bytes())
    content[int(position * len(content))] ^= 1 << bit
    flipped.write_bytes(content)
    with pytest.raises(RunDirError, match=rf"^{path}: the checkpoint is damaged"):
        load_checkpoint(path, CPU)


@pytest.mark.parametrize("kept", [0, 10, 32, 100])
def test_a_cut_off_file_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "best.pt"
    save_checkpoint(path, STATE)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(RunDirError, match="damaged"):
        load_checkpoint(path, CPU)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunDirError, match=rf"^{tmp_path}/best\.pt: there is no such checkpoint"):
        load_checkpoint(tmp_path / "best.pt", CPU)
