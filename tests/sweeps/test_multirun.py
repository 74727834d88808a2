"""Sweeps: what is run, what is left alone, and what is told."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.sweeps.conftest import Command
from tests.sweeps.helpers import QUIET, TROUBLE, began, reasons, record_of, statuses, sweep_in


def test_jobs_side_by_side_with_names_a_ledger_and_one_that_is_there_already(here: Path, command: Command) -> None:
    status, out, error = command("--multirun", *QUIET, "model.lstm_units=4,8,4", "seeds=2")
    assert (status, error) == (0, "")
    sweep = sweep_in(here)
    names = ["0-lstm_units=4_seed=0", "1-lstm_units=4_seed=1", "2-lstm_units=8_seed=0", "3-lstm_units=8_seed=1"]
    assert sorted(path.parent.name for path in sweep.glob("*/run.json")) == names
    assert statuses(sweep) == dict.fromkeys(range(4), "complete") | {4: "duplicate", 5: "duplicate"}
    assert reasons(sweep)[4] == "the config of job 0, which is complete"
    assert not list(sweep.glob("4*"))  # a duplicate leaves no folder
    runs = [record_of(sweep / name) for name in names]
    configs = [(run["config"]["model"]["lstm_units"], run["config"]["seed"]) for run in runs]
    assert configs == [(4, 0), (4, 1), (8, 0), (8, 1)]
    assert len({run["process"]["pid"] for run in runs}) == 4
    assert f"6 jobs: 4 complete, 2 duplicate; side by side: python -m hybrid_trainer compare {sweep}\n" in out
    assert re.search(r"^job 2-lstm_units=8_seed=0: complete in [\d.]+ s, valid/loss [\d.]+$", out, re.M)


def test_a_job_that_ends_badly_takes_nobody_along_and_is_run_again_alone(here: Path, command: Command) -> None:
    kinds = "callbacks.extra.trouble.kind=raise,exit,kill,leave,none"
    status, out, error = command("--multirun", *QUIET, *TROUBLE, kinds, "hydra.launcher.n_jobs=3")
    sweep = sweep_in(here)
    assert status == 1
    assert statuses(sweep) == {0: "failed", 1: "failed", 2: "failed", 3: "failed", 4: "complete"}
    said = reasons(sweep)
    assert said[0] == "RuntimeError: this job raises"
    assert said[1] == "it called sys.exit(3)"
    assert said[2].startswith("its process was killed by SIGKILL")
    assert said[3].startswith("its process ended without a word")
    assert all(f"error: job {number} failed: {said[number]}" in error for number in range(4))
    assert "error: 4 of 5 jobs failed: " in error
    assert "Traceback" not in error and "Traceback" in (sweep / "logs" / "0.txt").read_text()
    assert "5 jobs: 1 complete, 4 failed; side by side: " in out

    status, out, error = command("sweep", "status", str(sweep))
    assert (status, error) == (0, "")
    assert re.search(r"2-kind=kill .*failed .*killed by SIGKILL", out)
    (here / "mended").touch()
    status, out, error = command("sweep", "retry", str(sweep))
    assert (status, error) == (0, "")
    assert set(statuses(sweep).values()) == {"complete"}
    assert sorted(began(sweep)) == [0, 0, 1, 1, 2, 2, 3, 3, 4]
    assert record_of(sweep / "2-kind=kill")["status"] == "complete"
    status, out, error = command("sweep", "retry", str(sweep))
    assert (status, error) == (0, "") and "no job has failed (5 complete)" in out


def test_what_was_edited_after_a_sweep_began_changes_nothing_in_it(here: Path, command: Command) -> None:
    mine = here / "conf" / "experiment" / "mine.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("# @package _global_\ntraining: {weight_decay: 0.25}\n")
    (here / "keys.yaml").write_text("training: {clip_norm: 0.75}\n")
    line = ["--multirun", "--config", "keys.yaml", *QUIET, *TROUBLE, "experiment=mine", "seed=0"]
    assert command(*line, "callbacks.extra.trouble.kind=raise", "hydra.launcher.retries=1")[0] == 1
    sweep = sweep_in(here)
    assert began(sweep) == [0, 0]
    mine.write_text("# @package _global_\ntraining: {weight_decay: 0.5}\n")
    (here / "keys.yaml").unlink()
    (here / "mended").touch()
    content = json.loads((sweep / "sweep.json").read_text())
    assert (content["searchpath"], content["command"][:2]) == (["own/0"], ["--config", "keys.yaml"])
    (sweep / "0").rename(sweep / "before")  # so that it is composed anew, and not taken from its record
    assert command("sweep", "retry", str(sweep))[0] == 0
    training = record_of(sweep / "0")["config"]["training"]
    assert (training["weight_decay"], training["clip_norm"]) == (0.25, 0.75)


def test_limits_end_a_job_and_the_first_failure_ends_a_sweep_that_is_to_stop(here: Path, command: Command) -> None:
    kinds = "callbacks.extra.trouble.kind=eat,hang,none"
    limits = ["hydra.launcher.memory_limit_mib=1500", "hydra.launcher.time_limit=15", "hydra.launcher.on_failure=stop"]
    status, out, _ = command("--multirun", *QUIET, *TROUBLE, kinds, *limits, "hydra.launcher.n_jobs=2")
    assert status == 1
    sweep = sweep_in(here)
    said = reasons(sweep)
    assert re.fullmatch(r"it took [\d,]+ MiB of memory; hydra.launcher.memory_limit_mib allows 1,500", said[0])
    assert said[1] == "it took longer than hydra.launcher.time_limit allows (15 s)"
    assert statuses(sweep) == {0: "failed", 1: "failed", 2: "queued"}
    assert "3 jobs: 2 failed, 1 queued" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--multirun", "training.learning_rate=1e-3,"], "training.learning_rate=1e-3,: not an override; "),
        (["--multirun", "seed=range(a,b)"], "seed=range(a,b): "),
        (["--multirun", "seed=glob(*)"], "seed: glob() picks options of a group; write the values themselves"),
        (["--multirun", "training.learning_rate=interval(1e-4,1e-2)"], "training.learning_rate: interval() has no"),
        (["--multirun", "seed=0,1", "hydra.launcher.n_job=1"], "hydra.launcher.n_job: no such key; did you mean"),
        (["--multirun", "seed=0,1", "hydra.launcher.n_jobs=0"], "hydra.launcher.n_jobs: 0 is out of range"),
        (["--multirun", "seed=0,1", "hydra.sweep.dir=../elsewhere"], "../elsewhere: the run directory is not inside"),
        (["--multirun", "seeds=2", "seed=0,1"], "seeds: seed has several values already"),
        (["--multirun", "folds=all"], "folds: data.split.kind=chronological has no folds"),
        (["seeds=2"], "seeds, folds: repeat the jobs of a sweep; add --multirun"),
        (["sweep", "status", "."], ".: not a sweep's folder: it has no sweep.json"),
    ],
)
def test_a_sweep_is_refused_before_it_leaves_anything(
    here: Path, command: Command, words: list[str], said: str
) -> None:
    before = sorted(here.iterdir())
    status, out, error = command(*words)
    assert (status, out) == (2, "") and error.startswith(f"error: {said}") and error.count("\n") == 1
    assert sorted(here.iterdir()) == before
