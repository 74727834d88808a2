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


def state(epoch: int, step: int = 0, **bests: int | None) -> dict[str, object]:
    best, tasks = bests.pop("best", None), bests
    return {"epoch": epoch, "step_in_epoch": step, "best_epoch": best, "task_bests": tasks, "rollbacks": 0}


def test_the_newest_two_of_each_task_are_kept_and_what_is_behind_the_state_is_cut_back(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for epoch in (1, 2, 3):
        for task in (None, "a", "a_b"):
            store.save_best(epoch, {}, task)
        store.save_last(state(epoch, best=epoch, a=epoch, a_b=epoch))
    kept = [f"{kind}-{epoch:04}.pt" for kind in ("best", "best-a", "best-a_b") for epoch in (2, 3)]
    assert [name for name in names(tmp_path) if name.startswith("best") and name.endswith(".pt")] == kept
    store.save_best(4, {}, "a")  # killed before the state that says so, and while the next best was written
    (tmp_path / "best-a_b-0004.pt").write_bytes(b"half")
    manifest_of(tmp_path / "best-c-0004.pt").write_text("0  best-c-0004.pt\n")
    found = CheckpointStore(tmp_path).load_last(CPU)
    assert found is not None and found["epoch"] == 3
    assert [name for name in names(tmp_path) if name.startswith("best") and name.endswith(".pt")] == kept
    assert not manifest_of(tmp_path / "best-c-0004.pt").exists()


def test_a_third_best_of_a_task_left_by_a_kill_is_let_go(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for epoch in (1, 2):
        store.save_best(epoch, {}, "a")
        store.save_last(state(epoch, a=epoch))
    store.save_best(3, {}, "a")
    save_checkpoint(tmp_path / "last-0003-0000000.pt", state(3, a=3))  # and no more than that
    assert CheckpointStore(tmp_path).load_last(CPU) is not None
    assert [name for name in names(tmp_path) if name.startswith("best") and name.endswith(".pt")] == [
        "best-a-0002.pt",
        "best-a-0003.pt",
    ]


def test_a_state_whose_tasks_best_is_damaged_is_not_taken(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for epoch in (1, 2):
        store.save_best(epoch, {}, "a")
        store.save_last(state(epoch, a=epoch))
    path = store.best_path(2, "a")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    found = CheckpointStore(tmp_path).load_last(CPU)
    assert found is not None and (found["epoch"], found["task_bests"]) == (1, {"a": 1})


def test_a_state_of_an_older_version_knows_no_tasks(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save_last({"epoch": 0, "step_in_epoch": 1, "best_epoch": None, "rollbacks": 0})
    assert CheckpointStore(tmp_path).load_last(CPU) is not None
