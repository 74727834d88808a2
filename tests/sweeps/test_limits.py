"""Limits of jobs: what is measured, and how a job is ended with all that it has started."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from hybrid_trainer.runs.ledger import Entry
from hybrid_trainer.runs.provenance import _boot, _start_ticks, process_mark
from hybrid_trainer.sweeps.limits import Limits, kill, memory_mib, tell

PARENT = """\
import os, subprocess, sys, time
os.setsid()
eat = "x = bytearray(100 * 2**20); print('ready', flush=True); import time; time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", eat])
time.sleep(600)
"""


def mark_of(pid: int) -> dict[str, object]:
    return process_mark() | {"pid": pid, "boot": _boot(), "started": _start_ticks(pid)}


def entry(seconds: float) -> Entry:
    began = datetime.now(UTC) - timedelta(seconds=seconds)
    return Entry(number=0, status="running", process=process_mark(), began=began)


def test_a_job_that_takes_longer_than_it_may() -> None:
    assert Limits(seconds=60).broken(entry(59)) == ""
    assert Limits(seconds=60).broken(entry(61)) == "it took longer than hydra.launcher.time_limit allows (60 s)"
    assert Limits().broken(entry(1e6)) == ""


def test_memory_is_that_of_a_job_and_its_children_and_ends_with_them() -> None:
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    mark = mark_of(process.pid)
    taken = memory_mib(mark)
    assert taken > 100
    running = Entry(number=0, status="running", process=mark)
    said = Limits(memory_mib=100).broken(running)
    assert said.startswith("it took ") and said.endswith("MiB of memory; hydra.launcher.memory_limit_mib allows 100")
    assert Limits(memory_mib=int(taken) + 100).broken(running) == ""
    children = psutil.Process(process.pid).children()
    kill(mark)
    assert process.wait(30) == -9
    psutil.wait_procs(children, 30)
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    assert memory_mib(mark) == 0.0
    kill(mark)  # of another process with this number, or none, nothing is done
    process.stdout.close()


def test_a_job_that_is_told_to_stop_gets_a_signal_it_can_handle(tmp_path: Path) -> None:
    script = "import signal, time; signal.signal(15, lambda *a: exit(7)); print('ready', flush=True); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    tell(mark_of(process.pid) | {"started": 1})
    time.sleep(0.1)
    assert process.poll() is None
    tell(mark_of(process.pid))
    assert process.wait(30) == 7
    process.stdout.close()


@pytest.mark.parametrize("mark", [{}, {"host": "elsewhere", "pid": 1}])
def test_what_is_not_of_this_machine_is_left_alone(mark: dict[str, object]) -> None:
    tell(mark)
    kill(mark)
    assert memory_mib(mark) == 0.0
