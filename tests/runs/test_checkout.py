"""A checkout's commit and changes: the patch brings back exactly what was there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hybrid_trainer.runs import checkout
from hybrid_trainer.runs.checkout import diff_of, git_state


@pytest.fixture
def no_git_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the user's git settings, nor a git hook's variables, nor a checkout around tmp_path matter."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    return subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.mark.usefixtures("no_git_settings")
def test_git_state_tells_the_commit_and_whether_tracked_files_differ(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    git(repository, "init", "-q")
    (repository / "a.txt").write_text("one")
    git(repository, "add", "a.txt")
    git(repository, "commit", "-q", "-m", "first")
    commit = git(repository, "rev-parse", "HEAD").strip()
    assert len(commit) == 40
    (repository / "untracked.txt").write_text("not part of the commit")
    (repository / "folder").mkdir()
    for name in "ab":
        (repository / "folder" / name).touch()
    said = {"commit": commit, "folder": str(repository), "dirty": False, "untracked": ["folder/", "untracked.txt"]}
    assert git_state(repository) == said
    assert git_state(repository / "folder") == said
    (repository / "a.txt").write_text("two")
    assert git_state(repository) == said | {"dirty": True}


@pytest.mark.usefixtures("no_git_settings")
def test_git_state_is_none_outside_a_checkout_and_before_the_first_commit(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    assert git_state(folder) is None
    git(folder, "init", "-q")
    assert git_state(folder) is None


@pytest.mark.usefixtures("no_git_settings")
def test_git_state_is_none_where_git_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    assert git_state(tmp_path) is not None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) is None


def repository_with_changes(folder: Path) -> Path:
    """A commit of three files; one is changed in a subfolder, one is binary and changed, one removed, one is new."""
    top = folder / "repository"
    (top / "sub").mkdir(parents=True)
    git(top, "init", "-q")
    for name in ("sub/a.txt", "gone.txt"):
        (top / name).write_text("one\n")
    (top / "b.bin").write_bytes(bytes(range(256)))
    git(top, "add", ".")
    git(top, "commit", "-q", "-m", "first")
    (top / "sub/a.txt").write_text("two ä\n")
    (top / "b.bin").write_bytes(bytes(range(255, -1, -1)))
    (top / "gone.txt").unlink()
    (top / "new.txt").write_text("new\n")
    git(top, "add", "new.txt")
    return top


@pytest.mark.usefixtures("no_git_settings")
def test_the_patch_brings_the_whole_tree_back_whatever_the_settings(tmp_path: Path) -> None:
    top = repository_with_changes(tmp_path)
    for key, value in {
        "diff.noprefix": "true",
        "diff.external": "false",
        "color.diff": "always",
        "diff.relative": "true",
        "diff.mnemonicPrefix": "true",
    }.items():
        git(top, "config", key, value)
    state = git_state(top / "sub")
    assert state is not None
    patch, why = diff_of(state)
    assert patch is not None and why is None
    (tmp_path / "kept.diff").write_bytes(patch)
    git(tmp_path, "clone", "-q", str(top), "again")
    again = tmp_path / "again"
    git(again, "apply", "--index", "../kept.diff")
    assert {path.name for path in again.iterdir()} == {".git", "sub", "b.bin", "new.txt"}
    for name in ("sub/a.txt", "b.bin", "new.txt"):
        assert (again / name).read_bytes() == (top / name).read_bytes()


@pytest.mark.usefixtures("no_git_settings")
def test_where_there_is_no_patch_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = repository_with_changes(tmp_path)
    state = git_state(top)
    assert state is not None
    monkeypatch.setattr(checkout, "_MOST_BYTES", 2**20)
    (top / "b.bin").write_bytes(os.urandom(2**21))
    assert diff_of(state) == (None, "none: it has more than 1 MiB")
    assert diff_of(state | {"dirty": False}) == (None, "none: no tracked file differs from the commit")


@pytest.mark.usefixtures("no_git_settings")
def test_of_many_untracked_names_the_first_are_listed_and_the_others_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = repository_with_changes(tmp_path)
    for number in range(5):
        (top / f"own {number}.txt").touch()
    monkeypatch.setattr(checkout, "_MOST_NAMES", 2)
    state = git_state(top)
    assert state is not None and state["untracked"] == ["own 0.txt", "own 1.txt", "... and 3 more"]
