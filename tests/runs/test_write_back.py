"""Files on their way to the disk while others are written: what a thread says is heard, and it ends."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hybrid_trainer.runs import write_back
from hybrid_trainer.runs.write_back import WriteBack


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_back, "_PAUSE", 0.001)


def test_every_file_is_synced_over_and_over_until_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    enough = threading.Event()

    def sync(path: Path) -> None:
        synced.append(path)
        if len(synced) >= 4:
            enough.set()

    monkeypatch.setattr(write_back, "sync", sync)
    ahead = WriteBack(lambda: [tmp_path / "a", tmp_path / "b"])
    assert enough.wait(60)
    ahead.finish()
    count = len(synced)
    assert synced[:4] == [tmp_path / "a", tmp_path / "b"] * 2
    ahead.stop()  # once more is fine
    assert len(synced) == count


def test_what_the_disk_answered_is_raised_at_the_end_and_only_where_it_is_asked_for(tmp_path: Path) -> None:
    asked = threading.Event()

    def paths() -> list[Path]:
        asked.set()
        return [tmp_path / "gone"]

    for ask in (True, False):
        asked.clear()
        ahead = WriteBack(paths)
        assert asked.wait(60)
        if ask:
            with pytest.raises(FileNotFoundError, match="gone"):
                ahead.finish()
        else:
            ahead.stop()
