"""Sweeps at length, with everything that can go wrong: `nox -s sweeps`; the suite has a short one of each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.sweeps.helpers import QUIET, TROUBLE, began, prepare, reasons, record_of, statuses, sweep_in
from tests.test_command_line import ENVIRONMENT, cli

pytestmark = pytest.mark.long_sweep
KINDS = {3: "raise", 7: "exit", 11: "kill", 13: "eat", 17: "hang"}
TWENTY = "++callbacks.extra.trouble.number=range(20)"


def test_twenty_jobs_of_which_five_end_badly_and_are_run_again_alone(tmp_path: Path) -> None:
    here = prepare(tmp_path)
    limits = ["hydra.launcher.memory_limit_mib=1500", "hydra.launcher.time_limit=20s", "hydra.launcher.n_jobs=2"]
    kind = f"++callbacks.extra.trouble.plan={{{','.join(f'job{number}:{kind}' for number, kind in KINDS.items())}}}"
    done = cli(here, "--multirun", *QUIET, *TROUBLE, kind, TWENTY, *limits)
    sweep = here / sweep_in(here)
    assert done.returncode == 1
    assert statuses(sweep) == {number: "failed" if number in KINDS else "complete" for number in range(20)}
    said = {KINDS[number]: reason for number, reason in reasons(sweep).items() if number in KINDS}
    assert said["raise"] == "RuntimeError: this job raises"
    assert said["exit"] == "it called sys.exit(3)"
    assert said["kill"].startswith("its process was killed by SIGKILL")
    assert "MiB of memory; hydra.launcher.memory_limit_mib allows 1,500" in said["eat"]
    assert said["hang"] == "it took longer than hydra.launcher.time_limit allows (20 s)"
    assert "error: 5 of 20 jobs failed: " in done.stderr
    table = cli(here, "sweep", "status", str(sweep_in(here))).stdout
    assert all(reason.split(",")[0][:40] in table for reason in said.values())
    (here / "mended").touch()
    again = cli(here, "sweep", "retry", str(sweep_in(here)))
    assert (again.returncode, again.stderr) == (0, "")
    assert sorted(began(sweep)) == sorted([*range(20), *KINDS])
    assert set(statuses(sweep).values()) == {"complete"}


@pytest.mark.parametrize("after", [3, 9])
def test_a_sweep_that_is_killed_in_the_middle_and_resumed_runs_no_complete_job_again_and_loses_none(
    tmp_path: Path, after: int
) -> None:
    here = prepare(tmp_path)
    slow = "++callbacks.extra.trouble.slow=0.5"
    command = [sys.executable, "-m", "hybrid_trainer", "--multirun", *QUIET, *TROUBLE, slow, TWENTY]
    process = subprocess.Popen(command, cwd=here, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not (found := list(here.glob("multirun/*/*/ledger.jsonl"))) or (
        sum(status == "complete" for status in statuses(found[0].parent).values()) < after
    ):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    sweep = here / sweep_in(here)
    complete = [number for number, status in statuses(sweep).items() if status == "complete"]
    assert after <= len(complete) < 20
    done = cli(here, "sweep", "resume", str(sweep_in(here)))
    assert (done.returncode, done.stderr) == (0, "")
    assert set(statuses(sweep).values()) == {"complete"} and len(statuses(sweep)) == 20
    times = began(sweep)
    assert all(times.count(number) == 1 for number in complete)
    assert set(times) == set(range(20))
    runs = sorted(sweep.glob("*/run.json"))
    assert len(runs) == 20
    assert {record_of(run.parent)["status"] for run in runs} == {"complete"}


def test_the_way_to_slurm_on_this_machine_gives_the_same_results(tmp_path: Path) -> None:
    here = prepare(tmp_path)
    words = ["--multirun", *QUIET, *TROUBLE, "++callbacks.extra.trouble.kind=none,raise", "seeds=1"]
    for launcher in ("local", "submitit_local"):
        done = cli(here, *words, f"hydra/launcher={launcher}", f"hydra.sweep.dir=multirun/a/{launcher}")
        assert done.returncode == 1, done.stderr
        assert "error: job 1 failed: RuntimeError: this job raises" in done.stderr
        assert statuses(here / "multirun/a" / launcher) == {0: "complete", 1: "failed"}
    (here / "mended").touch()
    done = cli(here, "sweep", "retry", "multirun/a/submitit_local")
    assert (done.returncode, done.stderr) == (0, "")
    weights = [
        (here / "multirun/a" / launcher / "0-kind=none/model/weights.safetensors").read_bytes()
        for launcher in ("local", "submitit_local")
    ]
    assert weights[0] == weights[1]


WITH_SIGINT = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from hybrid_trainer.__main__ import main; main()"
)


def test_ctrl_c_starts_no_further_job_and_resume_goes_on_from_the_checkpoints(tmp_path: Path) -> None:
    here = prepare(tmp_path)
    words = [word for word in QUIET if not word.startswith("training.epochs")]
    words += ["training.epochs=6", "callbacks.early_stopping.enabled=false", "hydra.launcher.n_jobs=2"]
    words += [*TROUBLE, "++callbacks.extra.trouble.slow=2", "seeds=4"]
    command = [sys.executable, "-c", WITH_SIGINT, "--multirun", *words]
    process = subprocess.Popen(command, cwd=here, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 300
    while len(list(here.glob("multirun/*/*/*/checkpoints/last-*.pt"))) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (130, b"error: interrupted\n")
    sweep = here / sweep_in(here)
    assert statuses(sweep) == {0: "interrupted", 1: "interrupted", 2: "queued", 3: "queued"}
    done = cli(here, "sweep", "resume", str(sweep_in(here)))
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(began(sweep)) == [0, 0, 1, 1, 2, 3]
    records = [record_of(sweep / f"{number}-seed={number}") for number in range(4)]
    assert [len(record.get("resumed", [])) for record in records] == [1, 1, 0, 0]
    assert [len((sweep / f"{number}-seed={number}/history.jsonl").read_text().splitlines()) for number in range(4)] == [
        6
    ] * 4
