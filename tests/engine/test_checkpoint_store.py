"""The folder of the checkpoints after a process was killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybrid_trainer.engine.checkpoint_file import manifest_of, save_checkpoint
from hybrid_trainer.engine.checkpoint_store import CheckpointStore
from tests.engine.helpers import CPU


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("none", [False, True], ids=["with a checkpoint", "with none"])
def test_what_was_half_written_or_half_removed_is_gone_when_the_run_goes_on(tmp_path: Path, none: bool) -> None:
    store = CheckpointStore(tmp_path)
    for step in (2, 4):
        store.save_last({"epoch": 0, "step_in_epoch": step, "best_epoch": None, "rollbacks": 0})
    whole = names(tmp_path)
    for step in (1, 3, 6):  # unlinked half, or killed before the manifest
        (tmp_path / f"last-0000-000000{step}.pt").write_bytes(b"half")
    manifest_of(tmp_path / "best-0001.pt").write_text("0  best-0001.pt\n")
    (tmp_path / ".last-0000-0000006.pt.abcdefgh").write_bytes(b"half")
    if none:
        for step in (2, 4):
            manifest_of(tmp_path / f"last-0000-000000{step}.pt").unlink()
    state = CheckpointStore(tmp_path).load_last(CPU)
    assert names(tmp_path) == ([] if none else whole)
    assert (state is None) if none else (state is not None and state["step_in_epoch"] == 4)


def test_a_third_state_of_a_process_killed_before_it_let_go_is_gone_when_the_run_goes_on(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for step in (2, 4):
        store.save_last({"epoch": 0, "step_in_epoch": step, "best_epoch": None, "rollbacks": 0})
    save_checkpoint(tmp_path / "last-0000-0000006.pt", store.load_last(CPU) | {"step_in_epoch": 6})  # type: ignore[operator]
    state = CheckpointStore(tmp_path).load_last(CPU)
    assert state is not None and state["step_in_epoch"] == 6
    assert [name for name in names(tmp_path) if name.endswith(".pt")] == [
        "last-0000-0000004.pt",
        "last-0000-0000006.pt",
    ]
