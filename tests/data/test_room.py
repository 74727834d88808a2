"""Where large arrays live: in memory, or in files that are shared, whole, and never left behind by accident."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from hybrid_trainer.data import room as room_module
from hybrid_trainer.data.room import IN_MEMORY, Room, on_disk
from hybrid_trainer.errors import ConfigError


@pytest.fixture(autouse=True)
def _everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_module, "_SMALL", 100)


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_scratch_array_is_a_map_without_a_name(tmp_path: Path) -> None:
    made = Room(tmp_path).empty((50, 3), np.float32)
    assert on_disk(made) and made.shape == (50, 3) and made.dtype == np.float32
    made[:] = 7
    assert (made == 7).all()
    assert files_below(tmp_path) == []


def test_small_arrays_and_those_of_a_run_in_memory_are_no_maps(tmp_path: Path) -> None:
    assert not on_disk(Room(tmp_path).empty((5,), np.int64))
    assert not on_disk(IN_MEMORY.empty((1000, 3), np.float64))


def test_a_kept_array_is_filled_once_and_found_again(tmp_path: Path) -> None:
    calls = []

    def fill(out: np.ndarray) -> None:
        calls.append(out.shape)
        out[:] = np.arange(6).reshape(3, 2)

    for key, first in (("key", 0), ("other", 1000)):
        for in_memory in (first, 0, 1000):
            found = Room(tmp_path, in_memory).kept(key, (3, 2), np.int32, fill)
            assert found.tolist() == [[0, 1], [2, 3], [4, 5]]
            assert on_disk(found) == (in_memory == 0)
    assert calls == [(3, 2)] * 2
    assert files_below(tmp_path) == ["panels/key.bin", "panels/other.bin"]
    with pytest.raises(ValueError, match="read-only"):
        Room(tmp_path).kept("key", (3, 2), np.int32, fill)[0, 0] = 1


def test_a_file_of_another_size_is_made_anew_and_an_error_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "panels").mkdir()
    (tmp_path / "panels" / "key.bin").write_bytes(b"too short")
    found = Room(tmp_path).kept("key", (4,), np.float64, lambda out: out.fill(2.0))
    assert found.tolist() == [2.0] * 4

    def fail(out: np.ndarray) -> None:
        raise ValueError("planted")

    for in_memory in (0, 1000):
        with pytest.raises(ValueError, match="planted"):
            Room(tmp_path, in_memory).kept("other", (4,), np.float64, fail)
    assert files_below(tmp_path) == ["panels/key.bin"]


def test_what_a_process_that_died_has_left_is_removed_after_a_day(tmp_path: Path) -> None:
    (tmp_path / "panels").mkdir()
    left, young, kept = (tmp_path / "panels" / name for name in (".a.bin.x1", ".b.bin.x2", "c.bin"))
    for path in (left, young, kept):
        path.write_bytes(b"1")
        os.utime(path, (time.time() - 90_000,) * 2)
    os.utime(young)
    Room(tmp_path).kept("key", (4,), np.float64, lambda out: out.fill(2.0))
    assert files_below(tmp_path) == ["panels/.b.bin.x2", "panels/c.bin", "panels/key.bin"]


def test_a_folder_that_cannot_be_written_to_and_a_full_disk_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ConfigError, match=r"paths\.cache_dir: .*file cannot be written to \(.*\); set paths\.cache_dir"
    ):
        Room(tmp_path / "file").empty((1000,), np.float64)
    with pytest.raises(ConfigError, match=r"has no room for .* bytes"):
        Room(tmp_path).empty((2**50,), np.float64)
    with pytest.raises(ConfigError, match=r"has no room for .* bytes"):
        Room(tmp_path).kept("key", (2**50,), np.float64, lambda out: None)
    assert files_below(tmp_path) == ["file"]
