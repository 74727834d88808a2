"""Where a study is kept: journal files that outlive kills, and databases that can't be reached."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import optuna
import pytest

from hybrid_trainer.errors import ConfigError
from hybrid_trainer.sweeps.search.storage import FlockLock, open_storage, without_password
from tests.sweeps.search.helpers import begin, drive


def test_any_program_with_optuna_reads_the_study(tmp_path: Path) -> None:
    drive(begin(tmp_path, "a=interval(0,10)", n_trials=3))
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.journal"))
    study = optuna.load_study(study_name="search", storage=optuna.storages.JournalStorage(backend))
    assert len(study.trials) == 3
    assert study.metric_names == ["valid/loss"]
    assert not list(tmp_path.glob("*.lock"))


@pytest.mark.parametrize("torn", [b"{", b'{"op_code":4,"worker_id":"' + b"x" * 9000])
def test_a_line_that_a_killed_process_left_half_written_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    drive(begin(tmp_path, "a=interval(0,10)", n_trials=3))
    journal = tmp_path / "study.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole + torn)
    trials = begin(tmp_path, "a=interval(0,10)", n_trials=4)
    assert [order.number for order in drive(trials)] == [3]
    assert journal.read_bytes().startswith(whole)
    assert json.loads(journal.read_bytes()[len(whole) :].splitlines()[0])["op_code"] in range(11)
    assert len(begin(tmp_path, "a=interval(0,10)", n_trials=4).study.trials) == 4


def test_a_journal_that_is_nothing_but_a_half_line_is_emptied(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"x" * 5000)
    lock = FlockLock(tmp_path / "s")
    lock.acquire()
    lock.release()
    assert (tmp_path / "s").read_bytes() == b""


def _hold(path: Path) -> None:
    FlockLock(path).acquire()
    (path.parent / "held").touch()
    time.sleep(60)


def test_the_lock_of_a_process_that_is_killed_is_free_at_once(tmp_path: Path) -> None:
    holder = multiprocessing.get_context("spawn").Process(target=_hold, args=(tmp_path / "s",))
    holder.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    begun = time.monotonic()
    lock = FlockLock(tmp_path / "s")
    assert lock.acquire()
    assert time.monotonic() - begun < 5
    lock.release()
    holder.join()


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        ("nowhere/study.journal", "No such file"),
        ("nodb://user:secret@host/x", "Can't load plugin"),
        ("postgresql+psycopg://user:secret@127.0.0.1:1/x", "connection"),
    ],
)
def test_a_storage_that_cannot_be_opened_is_told_in_one_line_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=rf"^hydra\.sweeper\.storage: .*{said}") as caught:
        open_storage(storage)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_journal_is_told(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("hello\nworld\n")
    with pytest.raises(ConfigError, match=r"^hydra\.sweeper\.storage: .*/s: "):
        open_storage(str(tmp_path / "s"))


@pytest.mark.parametrize(
    ("storage", "shown"),
    [
        ("postgresql://me:secret@host:5432/db", "postgresql://me@host:5432/db"),
        ("postgresql://me:se@cret@host/db", "postgresql://me@host/db"),
        ("sqlite:///x.db", "sqlite:///x.db"),
        ("a/b.journal", "a/b.journal"),
    ],
)
def test_a_password_is_never_shown(storage: str, shown: str) -> None:
    assert without_password(storage) == shown
