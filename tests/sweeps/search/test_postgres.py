"""Two processes, as on two machines, on one study in a PostgreSQL server: no trial twice."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from hybrid_trainer.sweeps.search.storage import open_storage

ROOT = Path(__file__).parents[3]
TRIALS = 10
WORKER = f"""
import json, sys, time
from pathlib import Path
from tests.sweeps.search.helpers import begin, bowl, drive

folder, storage = Path(sys.argv[1]), sys.argv[2]
trials = begin(folder, "a=interval(0,10)", n_trials={TRIALS}, storage=storage, study_name="shared")
(folder / "ready").touch()
while not (folder.parent / "go").exists():
    time.sleep(0.01)
orders = drive(trials, lambda values: time.sleep(0.05) or bowl(values))
print(json.dumps([[order.number, order.overrides] for order in orders]))
"""


def _tool(name: str) -> str:
    folders = os.pathsep.join([os.environ.get("PATH", ""), *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])
    found = shutil.which(name, path=folders)
    if found is None:
        pytest.skip(f"PostgreSQL's {name} is not installed")
    return found


@pytest.fixture
def server() -> Iterator[str]:
    """The URL of a server that lives as long as the test, in a folder of its own, reached by a socket there."""
    initdb, postgres, ready = _tool("initdb"), _tool("postgres"), _tool("pg_isready")
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path must be short
    as_user: list[str] = []
    if os.geteuid() == 0:  # which PostgreSQL refuses to run as
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        as_user = [_tool("setpriv"), f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    try:
        make = [*as_user, initdb, "-D", str(folder / "data"), "-U", "tests", "-A", "trust", "--no-sync"]
        subprocess.run(make, check=True, capture_output=True, cwd=folder)
        settings = ["-c", "listen_addresses=", "-c", "fsync=off", "-k", str(folder)]
        running = subprocess.Popen(
            [*as_user, postgres, "-D", str(folder / "data"), *settings],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while subprocess.run([ready, "-q", "-h", str(folder)], check=False).returncode:
                assert running.poll() is None, "the server has ended"
                time.sleep(0.05)
            yield f"postgresql+psycopg://tests@/postgres?host={folder}"
        finally:
            running.send_signal(signal.SIGINT)  # don't wait for those who are connected
            running.wait(timeout=60)
    finally:
        shutil.rmtree(folder)


@contextmanager
def opened(url: str) -> Iterator[BaseStorage]:
    """A storage whose connections are closed again."""
    storage = open_storage(url)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage._backend.engine.dispose()  # type: ignore[attr-defined]


def test_two_processes_on_one_study_run_no_trial_twice(server: str, tmp_path: Path) -> None:
    workers = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        command = [sys.executable, "-c", WORKER, str(tmp_path / name), server]
        workers.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
    while len(list(tmp_path.glob("*/ready"))) < 2:
        assert all(worker.poll() is None for worker in workers)
        time.sleep(0.02)
    (tmp_path / "go").touch()
    said = [json.loads(worker.communicate(timeout=120)[0]) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert all(said)  # both have worked
    done = [(number, tuple(overrides)) for orders in said for number, overrides in orders]
    assert sorted(number for number, _ in done) == list(range(TRIALS))
    assert len({overrides for _, overrides in done}) == TRIALS

    with opened(server) as storage:
        trials = optuna.load_study(study_name="shared", storage=storage).trials
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert [trial.number for trial in complete] == list(range(TRIALS))
    surplus = [trial for trial in trials if trial.state != TrialState.COMPLETE]
    assert all(trial.user_attrs["surplus"] for trial in surplus)
    assert {trial.user_attrs["sweep"].rpartition("/")[2] for trial in complete} == {"one", "two"}
