"""Checkpoint files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybrid_trainer.engine.checkpoint_file import load_checkpoint, save_checkpoint
from hybrid_trainer.errors import RunDirError
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
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.pt"]


def test_a_failed_save_leaves_the_former_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"epoch": 1})

    def full_disk(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, {"epoch": 2})
    monkeypatch.undo()
    assert load_checkpoint(path, CPU) == {"epoch": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.pt"]


def test_a_file_has_the_usual_permissions(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.pt", {"epoch": 1})
    (tmp_path / "other").touch()
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("last.pt", "other")}
    assert len(modes) == 1


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_refused_and_the_file_named(tmp_path: Path, position: float, bit: int) -> None:
    path = tmp_path / "best.pt"
    save_checkpoint(path, STATE)
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= 1 << bit
    path.write_bytes(content)
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
    with pytest.raises(RunDirError, match=rf"^{tmp_path}/best\.pt: there is no such checkpoint$"):
        load_checkpoint(tmp_path / "best.pt", CPU)
