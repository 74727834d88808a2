"""Going on in a run's directory: what is kept of each time, and that a refused one leaves no trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hybrid_trainer.errors import ConfigError, TrainingError
from hybrid_trainer.runs import directory, reopening
from hybrid_trainer.runs.directory import RECORD, RunDirectory, claimed, read_record
from hybrid_trainer.runs.reopening import pending, reopened, settle


@pytest.fixture
def patches(monkeypatch: pytest.MonkeyPatch) -> list[bytes | None]:
    """What `git diff` says, one time after the other; None: the tree is clean."""
    said: list[bytes | None] = []

    def origin() -> dict[str, Any]:
        return {"command": [f"time {len(said)}"], "git": {"commit": "c", "dirty": True}}

    def diff(state: dict[str, Any]) -> tuple[bytes | None, str | None]:
        patch = said.pop(0)
        return patch, None if patch else "none: clean"

    for module in (directory, reopening):
        monkeypatch.setattr(module, "provenance", origin)
    monkeypatch.setattr(directory, "diff_of", diff)
    return said


def begin(path: Path) -> Path:
    with claimed(path / "a", root=path, config={"seed": 0}, config_yaml="seed: 0\n", overrides=["seed=0"]) as run:
        run.note(threads=1)
        (run.path / "train.log").write_text("first\n")
        run.finish("complete")
    return path / "a"


def go_on(run: RunDirectory, words: list[str]) -> None:
    run.adopt({"seed": 1}, "seed: 1\n", [*run.record["overrides"], *words])


def leavings(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_the_first_origin_stays_and_each_later_one_is_added(tmp_path: Path, patches: list[bytes | None]) -> None:
    patches += [b"one", b"two", None, b"one", b"three"]
    path = begin(tmp_path)
    for number in range(4):
        with reopened(path, []) as run:
            run.note(threads=number + 2)
            go_on(run, [])
            run.finish("complete")
    said = read_record(path)
    assert (said["provenance"]["threads"], said["threads"]) == (1, 5)
    assert [again["provenance"]["threads"] for again in said["resumed"]] == [2, 3, 4, 5]
    assert said["provenance"]["command"] == ["time 5"] and said["resumed"][0]["provenance"]["command"] == ["time 4"]
    named = [said["provenance"]["git"]["diff"], *(again["provenance"]["git"]["diff"] for again in said["resumed"])]
    assert named == [
        "uncommitted.diff", "uncommitted-resumed-1.diff", "none: clean", "uncommitted.diff",
        "uncommitted-resumed-4.diff",
    ]  # fmt: skip
    kept = {name: content for name, content in leavings(path).items() if name.endswith(".diff")}
    assert kept == {
        "uncommitted.diff": b"one", "uncommitted-resumed-1.diff": b"two", "uncommitted-resumed-4.diff": b"three",
    }  # fmt: skip


def test_a_refused_time_leaves_every_byte_as_it_was(tmp_path: Path, patches: list[bytes | None]) -> None:
    patches += [b"one", b"two"]
    path = begin(tmp_path)
    before = leavings(path)
    with pytest.raises(ConfigError), reopened(path, ["seed=2"]) as run:
        run.note(threads=7)
        with (path / "train.log").open("a") as log:
            log.write("refused\n")
        assert (path / "uncommitted-resumed-1.diff").read_bytes() == b"two"
        raise ConfigError("seed: no")
    assert leavings(path) == before


@pytest.mark.parametrize("error", [TrainingError("not finite"), ConfigError("seed: too late")])
def test_a_time_that_went_wrong_is_told(tmp_path: Path, patches: list[bytes | None], error: Exception) -> None:
    patches += [None, None]
    path = begin(tmp_path)
    with pytest.raises(type(error)), reopened(path, ["seed=1"]) as run:
        go_on(run, ["seed=1"])
        raise error
    said = read_record(path)
    assert (said["status"], said["config"], said["resumed"][0]["adopted"]) == ("failed", {"seed": 1}, True)


@pytest.mark.parametrize("writes", range(5))
def test_overrides_are_not_lost_wherever_the_process_is_killed(
    tmp_path: Path, patches: list[bytes | None], monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """Writes: the record says running, and has the config; config.yaml; overrides.yaml; the record once more."""
    patches += [None, None, None]
    path = begin(tmp_path)
    left = [writes]

    class KilledError(BaseException):
        pass

    def counted(write: Any) -> Any:
        def once(*given: Any) -> None:
            if not left[0]:
                raise KilledError
            left[0] -= 1
            write(*given)

        return once

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        for name in ("write_json", "write_text"):
            patch.setattr(directory, name, counted(getattr(directory, name)))
        with reopened(path, ["seed=1"]) as run:
            go_on(run, ["seed=1"])
            raise KilledError
    said = read_record(path)
    if writes == 0:  # nothing was begun
        assert said["status"] == "complete" and pending(said) == []
        return
    if said.get("adopting"):
        settle(path, "seed: 1\n")
        said = read_record(path)
    words = pending(said)
    assert (words == ["seed=1"]) == (writes == 1)
    assert [*said["overrides"], *words] == ["seed=0", "seed=1"]
    assert (path / "config.yaml").read_text() == ("seed: 0\n" if words else "seed: 1\n")
    assert (path / "overrides.yaml").read_text() == '- "seed=0"\n' + ("" if words else '- "seed=1"\n')
    assert "adopting" not in json.loads((path / RECORD).read_text())
