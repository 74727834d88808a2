"""The run directory is claimed once, and its status tells the truth however the run ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from hybrid_trainer.errors import RunDirError, TableError
from hybrid_trainer.runs import compare, directory
from hybrid_trainer.runs.directory import RECORD, RunDirectory, claimed
from hybrid_trainer.runs.reopening import reopened

CLAIM = """\
import os, signal, sys, time
from pathlib import Path
from hybrid_trainer.errors import RunDirError
from hybrid_trainer.runs.directory import claimed

root, how = Path(sys.argv[1]), sys.argv[2]
(root / f"ready-{os.getpid()}").touch()
while not (root / "go").exists():
    time.sleep(0.001)
try:
    with claimed(root / "run", root=root, config={}, config_yaml="{}", overrides=[]) as run:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        print("won")
        time.sleep(0.2)
        run.finish("complete")
except RunDirError as error:
    print(error)
"""


def claim(path: Path, root: Path, **changes: Any) -> AbstractContextManager[RunDirectory]:
    settings: dict[str, Any] = {"config": {"seed": 0}, "config_yaml": "seed: 0\n", "overrides": []} | changes
    return claimed(path, root=root, **settings)


def record_of(path: Path) -> dict[str, Any]:
    return json.loads((path / RECORD).read_text(encoding="utf-8"))


def start_claiming(root: Path, how: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", CLAIM, str(root), how], stdout=subprocess.PIPE, text=True)


def test_a_new_run_says_running_and_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "outputs" / "a"
    overrides = ["seed=1", 'data.path="größe, 1.csv"']
    with claim(path, tmp_path, overrides=overrides, config={"seed": 1, "rate": float("nan")}) as run:
        record = record_of(path)
        assert (record["status"], record["stop_reason"], record["ended"]) == ("running", None, None)
        assert record["name"] == "outputs/a"
        assert record["config"] == {"seed": 1, "rate": None}
        assert record["overrides"] == overrides
        assert (path / "config.yaml").read_text() == "seed: 0\n"
        assert OmegaConf.to_container(OmegaConf.load(path / "overrides.yaml")) == overrides
        run.finish("complete")


def test_a_run_without_overrides_keeps_an_empty_list(tmp_path: Path) -> None:
    with claim(tmp_path / "a", tmp_path):
        assert OmegaConf.to_container(OmegaConf.load(tmp_path / "a" / "overrides.yaml")) == []


def test_complete_has_its_reason_metrics_and_seconds(tmp_path: Path) -> None:
    with claim(tmp_path / "a", tmp_path) as run:
        run.finish("complete", "all 3 epochs done", metrics={"valid/loss": 0.5, "valid/r2": float("nan")})
    record = record_of(tmp_path / "a")
    assert (record["status"], record["stop_reason"]) == ("complete", "all 3 epochs done")
    assert record["metrics"] == {"valid/loss": 0.5, "valid/r2": None}
    assert record["ended"] >= record["started"]
    assert 0 <= record["seconds"] < 60


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ValueError("no such\nluck"), "failed", "ValueError: no such\nluck"),
        (TableError("a.csv:3: bad"), "failed", "TableError: a.csv:3: bad"),
        (MemoryError(), "failed", "MemoryError: "),
        (SystemExit(3), "failed", "SystemExit: 3"),
        (KeyboardInterrupt(), "interrupted", "interrupted by a signal"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_an_error_is_the_runs_status_and_goes_on(
    tmp_path: Path, error: BaseException, status: str, reason: str
) -> None:
    with pytest.raises(type(error)) as caught, claim(tmp_path / "a", tmp_path):
        raise error
    assert caught.value is error
    record = record_of(tmp_path / "a")
    assert (record["status"], record["stop_reason"]) == (status, reason)
    assert record["ended"] is not None


@pytest.mark.parametrize(
    "error", [ValueError("the first error"), KeyboardInterrupt("the first error")], ids=["error", "interrupt"]
)
def test_where_the_record_cannot_be_written_the_first_error_is_the_one_to_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def full(path: Path, content: Any) -> None:
        raise OSError(28, "No space left on device", str(path))

    with pytest.raises(type(error), match="the first error"), claim(tmp_path / "a", tmp_path):
        monkeypatch.setattr(directory, "write_json", full)
        raise error
    assert record_of(tmp_path / "a")["status"] == "running"  # and never complete


def test_of_many_threads_exactly_one_claims_a_folder(tmp_path: Path) -> None:
    count = 12
    together, all_tried = threading.Barrier(count), threading.Barrier(count)
    said: list[str] = []

    def try_it() -> None:
        together.wait()
        try:
            with claim(tmp_path / "a", tmp_path) as run:
                all_tried.wait(timeout=60)
                run.finish("complete")
                said.append("won")
        except RunDirError as error:
            said.append(str(error))
            all_tried.wait(timeout=60)

    threads = [threading.Thread(target=try_it) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [text for text in said if text != "won"]
    assert (len(said), len(refused)) == (count, count - 1)
    assert all("a folder that isn't there yet" in text and str(tmp_path / "a") in text for text in refused)
    assert record_of(tmp_path / "a")["status"] == "complete"


def test_a_record_is_there_only_once_its_process_has_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a job that is started twice would go on with a run that is just beginning, and end it as failed."""
    seen: list[str] = []
    create = directory._claim

    def claim_slowly(path: Path, record: dict[str, Any]) -> None:
        create(path, record)
        with pytest.raises(RunDirError, match="another process is at work on this run"), reopened(path, []):
            pass
        seen.append(record_of(path)["status"])

    monkeypatch.setattr(directory, "_claim", claim_slowly)
    with claim(tmp_path / "a", tmp_path) as run:
        run.finish("complete")
    assert seen == ["running"]
    assert record_of(tmp_path / "a")["status"] == "complete"


def test_of_several_processes_exactly_one_claims_a_folder(tmp_path: Path) -> None:
    processes = [start_claiming(tmp_path, "finish") for _ in range(4)]
    while len(list(tmp_path.glob("ready-*"))) < len(processes):
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)
    (tmp_path / "go").touch()
    said = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert said.count("won") == 1
    assert sum("a folder that isn't there yet" in text for text in said) == len(processes) - 1
    assert record_of(tmp_path / "run")["status"] == "complete"


@pytest.mark.parametrize("content", ["", "{", '{"status": "complete"}'])
def test_a_folder_with_any_record_is_never_claimed_nor_touched(tmp_path: Path, content: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / RECORD).write_text(content)
    with (
        pytest.raises(RunDirError, match=r"belongs to another run.*a folder that isn't there yet"),
        claim(tmp_path / "a", tmp_path),
    ):
        pass
    assert [path.name for path in (tmp_path / "a").iterdir()] == [RECORD]
    assert (tmp_path / "a" / RECORD).read_text() == content


def test_a_record_that_was_not_written_to_its_end_claims_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(record: Any, stream: Any, **options: Any) -> None:
        stream.write("{")
        raise KeyboardInterrupt

    monkeypatch.setattr(directory.json, "dump", half)
    with pytest.raises(KeyboardInterrupt), claim(tmp_path / "a", tmp_path):
        pass
    monkeypatch.undo()
    assert list((tmp_path / "a").iterdir()) == []
    with claim(tmp_path / "a", tmp_path) as run:
        run.finish("complete")


def test_a_run_killed_in_the_middle_is_shown_as_killed(tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    process = start_claiming(tmp_path, "killed")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert record_of(tmp_path / "run")["status"] == "running"
    shown = compare.read_run(tmp_path / "run" / RECORD)
    assert shown.status == "killed"
    assert shown.reason


@pytest.mark.parametrize("outside", ["../outside", "../root-with-the-same-start", "link", "."])
def test_a_folder_outside_the_root_is_refused_and_left_as_it_is(tmp_path: Path, outside: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (root / "link").symlink_to(tmp_path / "elsewhere" / "deep")
    path = root / outside
    path.resolve().mkdir(parents=True, exist_ok=True)  # as Hydra does
    with pytest.raises(RunDirError, match=r"not inside paths\.root") as caught, claim(path, root):
        pass
    assert str(root) in str(caught.value)
    assert not list(tmp_path.rglob(RECORD))
    assert path.exists()  # it may be the user's own


def test_a_folder_outside_the_root_that_holds_something_stays(tmp_path: Path) -> None:
    kept = tmp_path / "outside" / "thesis.tex"
    kept.parent.mkdir()
    kept.write_text("years of work")
    with pytest.raises(RunDirError, match=r"not inside paths\.root"), claim(kept.parent, tmp_path / "root"):
        pass
    assert kept.read_text() == "years of work"
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]


MANY = """\
import os, sys
from pathlib import Path
from hybrid_trainer.runs import directory

directory.provenance = lambda: {"git": None}  # git would be asked a hundred times
root, name = Path(sys.argv[1]), sys.argv[2]
go, ready = os.pipe()
children = []
for number in range(100):
    child = os.fork()
    if child == 0:
        os.close(ready)
        os.read(go, 1)  # until the parent closes it: all at the same instant
        made_up = dict(root=root, config={}, config_yaml="{}", overrides=[], made_up=True)
        with directory.claimed(root / "outputs" / name, **made_up) as run:
            run.finish("complete")
        os._exit(0)
    children.append(child)
os.close(ready)
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""


def test_a_hundred_processes_that_claim_one_made_up_name_at_the_same_instant_get_a_hundred_directories(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MANY, str(tmp_path), "10-15-00-a1b2c3"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    records = [json.loads(path.read_text()) for path in tmp_path.glob("outputs/*/run.json")]
    assert len({record["name"] for record in records}) == len({record["process"]["pid"] for record in records}) == 100
    assert {record["status"] for record in records} == {"complete"}
    assert len(list((tmp_path / "outputs").iterdir())) == 100
    assert all(record["name"].startswith("outputs/10-15-00-") for record in records)
