"""Where a run came from, and whether its process is still there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from hybrid_trainer.runs.provenance import git_state, is_alive, process_mark, provenance


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


def test_this_process_is_alive() -> None:
    assert is_alive(process_mark()) is True


def test_a_process_that_has_ended_is_not_alive() -> None:
    code = "import json; from hybrid_trainer.runs.provenance import process_mark; print(json.dumps(process_mark()))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    mark = json.loads(ended.stdout)
    assert mark["pid"] != os.getpid()
    assert is_alive(mark) is False


def test_a_later_process_with_the_same_number_is_another_one() -> None:
    mark = process_mark()
    assert is_alive(mark | {"started": mark["started"] - 60}) is False


def test_nothing_can_be_told_of_a_process_on_another_host() -> None:
    assert is_alive(process_mark() | {"host": "another-host"}) is None


@pytest.mark.parametrize("entry", [{"pid": "x"}, {"pid": None}, {"pid": -1}, {"pid": 10**30}, {"started": "noon"}])
def test_a_mark_that_makes_no_sense_is_not_alive(entry: dict[str, object]) -> None:
    assert is_alive(process_mark() | entry) is False


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
    assert git_state(repository) == {"commit": commit, "dirty": False}
    (repository / "a.txt").write_text("two")
    assert git_state(repository) == {"commit": commit, "dirty": True}


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


def test_provenance_names_versions_folder_and_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["hybrid-trainer", "seed=1"])
    said = provenance()
    assert said["packages"]["torch"] == version("torch")
    assert said["folder"] == str(tmp_path)
    assert said["command"] == ["hybrid-trainer", "seed=1"]
    assert said["python"] == ".".join(map(str, sys.version_info[:3]))
