"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from hybrid_trainer.runs.atomic import (
    named_in_errors,
    remove_leftovers,
    replacing,
    without_nan,
    write_bytes,
    write_json,
    write_text,
)


def test_a_written_file_holds_the_content_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    write_text(path, "größer\n")
    write_text(path, "später\n")
    assert path.read_bytes() == "später\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_an_error_while_writing_leaves_the_old_file_and_no_leftovers(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def write_half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("disk gone")

    with pytest.raises(RuntimeError, match="disk gone"):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_while_writing_a_new_file_leaves_none(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"not json": object()})
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "b.json"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_reader_sees_one_version_or_the_other_and_never_a_part(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    versions = [letter * 1_000_000 for letter in (b"a", b"b")]
    write_bytes(path, versions[0])
    seen = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(20):
        write_bytes(path, versions[turn % 2])
    done.set()
    reader.join()
    assert set(seen) <= set(versions)


def test_nan_and_infinity_become_null_however_deep_they_lie(tmp_path: Path) -> None:
    nan, infinity = float("nan"), float("inf")
    content = {"a": nan, "b": [1.5, infinity, {"c": (-infinity, "NaN", None, True, 0)}]}
    plain = {"a": None, "b": [1.5, None, {"c": [None, "NaN", None, True, 0]}]}
    assert without_nan(content) == plain
    write_json(tmp_path / "a.json", content)
    assert json.loads((tmp_path / "a.json").read_text()) == plain
    assert "NaN," not in (tmp_path / "a.json").read_text()


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_follow_the_umask(tmp_path: Path, mask: int) -> None:
    former = os.umask(mask)
    try:
        write_text(tmp_path / "a.txt", "text")
        assert os.umask(mask) == mask  # and it is as it was
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o666 & ~mask


def test_what_killed_processes_left_is_removed_and_nothing_of_the_users(tmp_path: Path) -> None:
    """The names are those that mkstemp and mkdtemp have made."""
    for folder in (".model.ab3d_f9h", ".model.ab3d_f9h.former", "report", "checkpoints", ".git"):
        (tmp_path / folder).mkdir()
    left = [".run.json.0123abcd", "checkpoints/.last-0001-0000002.pt.sha256.a_b_c_d_", "report/.split.png.abcdefgh"]
    own = [".gitignore", ".vscode.settings", ".run.json.short", "run.json", ".env.0123abcd"]
    for name in [*left, *own, ".model.ab3d_f9h/weights.safetensors"]:
        (tmp_path / name).write_text("half")
    remove_leftovers(tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")} == {
        *own,
        "report",
        "checkpoints",
        ".git",
    }


def test_a_file_that_is_being_written_has_a_name_that_is_found_as_a_leftover(tmp_path: Path) -> None:
    with replacing(tmp_path / "last-0001-0000002.pt") as temporary:
        remove_leftovers(tmp_path)
        assert not temporary.exists()
        temporary.touch()


def test_a_full_disk_is_told_with_the_files_name(tmp_path: Path) -> None:
    full = Path("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"), named_in_errors(full):
        full.write_text("text")


def test_an_error_that_names_its_file_is_left_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"), named_in_errors(tmp_path / "a.txt"):
        (tmp_path / "nowhere").read_text()
