"""Where a run came from, and whether its process is still there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from hybrid_trainer.runs.provenance import is_alive, process_mark, provenance


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


def test_provenance_names_versions_folder_and_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["hybrid-trainer", "seed=1"])
    said = provenance()
    assert said["packages"]["torch"] == version("torch")
    assert said["folder"] == str(tmp_path)
    assert said["command"] == ["hybrid-trainer", "seed=1"]
    assert said["python"] == ".".join(map(str, sys.version_info[:3]))
    assert said["cpu"] and isinstance(said["cpu"], str)
    assert said["git"] is None or {"commit", "folder", "dirty", "untracked"} == set(said["git"])


def test_outside_a_checkout_the_packages_own_is_named_unless_it_is_an_installed_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top, elsewhere = tmp_path / "top", tmp_path / "elsewhere"
    package = top / "env" / "package"
    package.mkdir(parents=True)
    elsewhere.mkdir()
    (package / "__init__.py").touch()
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr("hybrid_trainer.runs.provenance._PACKAGE", package)
    assert provenance()["git"] is None
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *words], cwd=top, check=True)
    assert provenance()["git"] is None
    subprocess.run(["git", "add", "env"], cwd=top, check=True)
    assert provenance()["git"]["folder"] == str(top)
