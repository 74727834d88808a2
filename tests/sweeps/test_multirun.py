"""Sweeps from the command line: what is run, what is left alone, and what is told."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.sweeps.helpers import QUIET, TROUBLE, began, prepare, reasons, record_of, statuses, sweep_in
from tests.test_command_line import cli, files_below, refused


def test_jobs_side_by_side_with_names_a_ledger_and_one_that_is_there_already(tmp_path: Path) -> None:
    here = prepare(tmp_path)
    done = cli(here, "--multirun", *QUIET, "model.lstm_units=4,8,4", "seeds=2")
    assert (done.returncode, done.stderr) == (0, "")
    sweep = here / sweep_in(here)
    assert {path.parent.name for path in sweep.glob("*/run.json")} == {
        *("0-lstm_units=4_seed=0", "1-lstm_units=4_seed=1", "2-lstm_units=8_seed=0", "3-lstm_units=8_seed=1")
    }
    assert statuses(sweep) == dict.fromkeys(range(4), "complete") | {4: "duplicate", 5: "duplicate"}
    assert reasons(sweep)[4] == "the config of job 0, which is complete"
    runs = [record_of(sweep / f"{number}-lstm_units={4 if number < 2 else 8}_seed={number % 2}") for number in range(4)]
    assert [(run["config"]["model"]["lstm_units"], run["config"]["seed"]) for run in runs] == [
        (4, 0),
        (4, 1),
        (8, 0),
        (8, 1),
    ]
    assert [run["process"]["pid"] for run in runs] != [runs[0]["process"]["pid"]] * 4
    assert "6 jobs: 4 complete, 2 duplicate; side by side: " in done.stdout
    assert re.search(r"^job 2-lstm_units=8_seed=0: complete in [\d.]+ s, valid/loss [\d.]+$", done.stdout, re.M)
    assert not list((sweep).glob("4*"))  # a duplicate leaves no folder


def test_a_job_that_ends_badly_takes_nobody_along_and_is_run_again_alone(tmp_path: Path) -> None:
    here = prepare(tmp_path)
    kinds = "++callbacks.extra.trouble.kind=raise,exit,kill,leave,none"
    done = cli(here, "--multirun", *QUIET, *TROUBLE, kinds, "hydra.launcher.n_jobs=3")
    sweep = here / sweep_in(here)
    assert done.returncode == 1
    assert statuses(sweep) == {0: "failed", 1: "failed", 2: "failed", 3: "failed", 4: "complete"}
    said = reasons(sweep)
    assert said[0] == "RuntimeError: this job raises"
    assert said[1] == "it called sys.exit(3)"
    assert said[2].startswith("its process was killed by SIGKILL")
    assert said[3].startswith("its process ended without a word")
    assert all(f"error: job {number} failed: {said[number]}" in done.stderr for number in range(4))
    assert "error: 4 of 5 jobs failed: " in done.stderr
    assert "Traceback" not in done.stderr and "Traceback" in (sweep / "logs" / "0.txt").read_text()
    assert (
        f"5 jobs: 1 complete, 4 failed; side by side: python -m hybrid_trainer compare {sweep_in(here)}" in done.stdout
    )

    table = cli(here, "sweep", "status", str(sweep_in(here)))
    assert (table.returncode, table.stderr) == (0, "")
    assert re.search(r"2-kind=kill +failed .*killed by SIGKILL", table.stdout)
    (here / "mended").touch()
    again = cli(here, "sweep", "retry", str(sweep_in(here)))
    assert (again.returncode, again.stderr) == (0, "")
    assert set(statuses(sweep).values()) == {"complete"}
    assert sorted(began(sweep)) == [0, 0, 1, 1, 2, 2, 3, 3, 4]
    assert record_of(sweep / "2-kind=kill")["status"] == "complete"
    assert "no job has failed (5 complete)" in cli(here, "sweep", "retry", str(sweep_in(here))).stdout


def test_what_was_edited_after_a_sweep_began_changes_nothing_in_it(tmp_path: Path) -> None:
    here = prepare(tmp_path)
    mine = here / "conf" / "experiment" / "mine.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("# @package _global_\ntraining: {weight_decay: 0.25}\n")
    (here / "keys.yaml").write_text("training: {clip_norm: 0.75}\n")
    line = ["--multirun", "--config", "keys.yaml", *QUIET, *TROUBLE, "experiment=mine", "seed=0"]
    done = cli(here, *line, "++callbacks.extra.trouble.kind=raise")
    assert done.returncode == 1
    mine.write_text("# @package _global_\ntraining: {weight_decay: 0.5}\n")
    (here / "keys.yaml").unlink()
    (here / "mended").touch()
    sweep = here / sweep_in(here)
    content = json.loads((sweep / "sweep.json").read_text())
    assert content["searchpath"] == ["own/0"]
    (sweep / "0").rename(sweep / "before")  # so that it is composed anew, and not taken from its record
    assert cli(here, "sweep", "retry", str(sweep_in(here))).returncode == 0
    training = record_of(sweep / "0")["config"]["training"]
    assert (training["weight_decay"], training["clip_norm"]) == (0.25, 0.75)


def test_a_sweep_is_refused_before_it_leaves_anything(tmp_path: Path) -> None:
    for words, said in (
        (["seed=0,1", "hydra.launcher.n_jobs=0"], "hydra.launcher.n_jobs: 0 is out of range"),
        (["seed=0,1", "hydra.sweep.dir=../elsewhere"], "../elsewhere: the run directory is not inside paths.root"),
        (["seeds=2", "seed=0,1"], "seeds: seed has several values already"),
        (["folds=all"], "folds: data.split.kind=chronological has no folds"),
    ):
        assert refused(cli(tmp_path, "--multirun", *words)).startswith(f"error: {said}")
    assert refused(cli(tmp_path, "seeds=2")) == "error: seeds, folds: repeat the jobs of a sweep; add --multirun"
    assert refused(cli(tmp_path, "sweep", "status", ".")).startswith("error: .: not a sweep's folder")
    assert files_below(tmp_path) == []
