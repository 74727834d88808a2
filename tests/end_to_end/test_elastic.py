"""torchrun starts its processes again when one of them dies: they go on with the run by themselves."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import price_frame
from tests.engine.helpers import TINY_RUN

RUN = [*TINY_RUN, "data.path=prices.csv", "training.batch_size=16", "training.epochs=60", "model.dropout=0.3"]
RUN += ["callbacks.early_stopping.enabled=false", "callbacks.resources.enabled=false"]
RUN += ["callbacks.tensorboard.enabled=false"]


def torchrun(folder: Path, *arguments: str, processes: int = 2, standalone: bool = True) -> subprocess.Popen[str]:
    """Start it with a store of its own, or with the static one that it takes where nothing is said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    how = [
        "--standalone" if standalone else f"--master-port={port}",
        f"--nproc-per-node={processes}",
        "--max-restarts=2",
        "--monitor-interval=0.1",
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *how, "-m", "hybrid_trainer", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def kill(torchrun: subprocess.Popen[str], rank: int) -> None:
    """Take one of the processes away without a word."""
    (process,) = [each for each in psutil.Process(torchrun.pid).children() if each.environ().get("RANK") == str(rank)]
    os.kill(process.pid, signal.SIGKILL)


def only_run(folder: Path, started: subprocess.Popen[str], file: str) -> Path:
    """The one run there is, once it has a file."""
    deadline = time.monotonic() + 120
    while not (found := [*folder.glob(f"outputs/*/*/{file}"), *folder.glob(f"outputs/*/{file}")]):
        assert time.monotonic() < deadline and started.poll() is None, started.communicate()
        time.sleep(0.01)
    (path,) = found
    return path.parent


@pytest.fixture
def here(tmp_path: Path) -> Path:
    price_frame(rows=230).write_csv(tmp_path / "prices.csv")
    return tmp_path


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that nobody disturbs."""
    here = tmp_path_factory.mktemp("straight")
    price_frame(rows=230).write_csv(here / "prices.csv")
    started = torchrun(here, *RUN)
    said = started.communicate(timeout=200)[0]
    assert started.returncode == 0, said
    return only_run(here, started, "run.json")


@pytest.mark.slow
@pytest.mark.parametrize(("rank", "standalone"), [(0, False), (1, True)])
def test_a_run_whose_process_is_killed_goes_on_by_itself_to_the_same_bits(
    here: Path, straight: Path, rank: int, standalone: bool
) -> None:
    """Its directory has a random name of its own, which only the first attempt has made.

    Of the first process nothing is heard any more where it was the one; otherwise it fails on the broken connection,
    or hears torchrun's SIGTERM before.
    """
    started = torchrun(here, *RUN, standalone=standalone)
    run = only_run(here, started, "history.jsonl")
    kill(started, rank)
    said = started.communicate(timeout=200)[0]
    assert started.returncode == 0, said
    assert only_run(here, started, "run.json") == run
    record = json.loads((run / "run.json").read_text())
    assert record["status"] == "complete"
    (before,) = [each["before"] for each in record["resumed"]]
    assert before in [["running"], ["failed", "interrupted"]][rank]
    for name in ("history.jsonl", "model/weights.safetensors"):
        assert (run / name).read_bytes() == (straight / name).read_bytes()


@pytest.mark.slow
def test_what_the_user_has_to_mend_is_told_at_once_again_and_by_one_process(here: Path) -> None:
    wild = ["training.optimizer=sgd", "training.learning_rate=1e20", "training.clip_norm=null"]
    started = torchrun(here, *RUN, *wild)
    said = started.communicate(timeout=200)[0]
    assert started.returncode == 1
    told = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(told) == 3 and len(set(told)) == 1, said  # an attempt and two restarts
    assert "is not finite from step" in told[0]
    assert len(list(here.glob("outputs/*/*"))) == 1
    assert said.count("processes train together") == 1


@pytest.mark.slow
def test_a_single_process_goes_on_as_well_and_one_that_had_not_begun_begins(here: Path) -> None:
    (here / "mine.py").write_text("""
import os, signal
if not os.path.exists("tried"):
    open("tried", "w").close()
    os.kill(os.getpid(), signal.SIGKILL)
""")
    started = torchrun(here, *RUN, "plugins=[mine]", "training.epochs=30", processes=1)
    run = only_run(here, started, "history.jsonl")
    kill(started, 0)
    said = started.communicate(timeout=200)[0]
    assert started.returncode == 0, said
    assert only_run(here, started, "run.json") == run
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], len(record["resumed"])) == ("complete", 1)
