"""Whole runs from the command line: what they leave where, how they fail, and how they are stopped."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from safetensors.numpy import load_file

from hybrid_trainer.train import train
from tests.conftest import make_config, price_frame
from tests.test_command_line import ENVIRONMENT, TINY, cli, refused

QUIET = (*TINY, "callbacks.tensorboard.enabled=false")
# A shell that starts the tests in the background lets SIGINT be ignored, which children inherit.
WITH_SIGINT = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from hybrid_trainer.__main__ import main; main()"
)


def record_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_one_run_with_configs_of_the_users_own_from_start_to_prediction(tmp_path: Path) -> None:
    here = tmp_path / "here"
    (here / "conf" / "experiment").mkdir(parents=True)
    (here / "conf" / "experiment" / "mine.yaml").write_text(
        "# @package _global_\nmodel: {time_window: 8, lstm_units: 8, cnn_filters: [8]}\ntraining: {epochs: 3}\n"
    )
    (here / "setup.yaml").write_text(
        "data: {name: csv, path: prices.csv, instrument: instrument}\nmodel: {heads: [volatility, signal]}\n"
        "training: {epochs: 2}\npaths: {log_dir: boards, model_save_path: ../published}\n"
    )
    price_frame(300).write_csv(here / "prices.csv")

    done = cli(here, "--config", "setup.yaml", "experiment=mine", "training.epochs=1")
    assert (done.returncode, done.stderr) == (0, "")
    (run,) = (here / "outputs").glob("*/*")
    assert re.fullmatch(r"outputs/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d-[0-9a-f]{6}", str(run.relative_to(here)))
    assert {path.name for path in here.iterdir()} == {"conf", "setup.yaml", "prices.csv", "outputs", "boards"}
    diff = {"uncommitted.diff"}  # where the tests run in a checkout with changes
    assert {path.name for path in run.iterdir()} - diff == {
        *("config.yaml", "overrides.yaml", "run.json", "history.jsonl", "resources.jsonl", "train.log"),
        *("data_report.json", "split_report.json", "checkpoints", "model", "report"),
    }

    # the command line beats the file, the file beats the experiment, the experiment beats the defaults
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["training"]["epochs"] == 1
    assert config["model"]["heads"] == ["volatility", "signal"]
    assert (config["model"]["lstm_units"], config["model"]["time_window"]) == (8, 8)
    overrides = yaml.safe_load((run / "overrides.yaml").read_text())
    assert {"experiment=mine", "training.epochs=1"} <= set(overrides)
    record = record_of(run)
    assert record["config"] == config
    assert (record["status"], record["stop_reason"], record["best_epoch"]) == ("complete", "1 of 1 epochs done", 1)
    assert record["overrides"] == overrides
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in history] == [1]
    assert record["metrics"].items() >= history[0].items()
    assert {"test/signal/macro_f1", "test/volatility/r2", "baseline/signal/log_loss"} <= record["metrics"].keys()
    for word in ("epoch 1/1", "Test split, best checkpoint", "volatility", "signal"):
        assert word in done.stdout
        assert word in (run / "train.log").read_text()

    # TensorBoard's files lie below its root, and the published model is the run's own, both under the run's name
    name = record["name"]
    (events,) = (here / "boards").rglob("events.out.tfevents.*")
    assert events.parent == here / "boards" / name
    published = tmp_path / "published" / name
    assert {path.name: path.read_bytes() for path in published.iterdir()} == {
        path.name: path.read_bytes() for path in (run / "model").iterdir()
    }
    assert (here / record["bundle"]).resolve() == published
    assert load_file(published / "weights.safetensors")

    # a second run cannot have the folder
    assert "belongs to another run" in refused(cli(here, *QUIET, f"hydra.run.dir={run}"))
    assert record_of(run) == record

    compared = cli(here, "compare", "outputs")
    assert compared.returncode == 0
    assert name in compared.stdout and "test/volatility/r2" in compared.stdout

    predicted = cli(here, "predict", str(published), "prices.csv", "-o", "predictions.parquet")
    assert (predicted.returncode, predicted.stderr) == (0, "predictions.parquet: 466 predictions\n")
    frame = pl.read_parquet(here / "predictions.parquet")
    assert frame.columns == ["timestamp", "instrument", "volatility_pred", "signal_probs"]
    tested = pl.read_parquet(run / "report" / "predictions.parquet")
    both = tested.join(frame, on=["timestamp", "instrument"], suffix="_now")
    difference = both["volatility_pred"].list.get(0) - both["volatility_pred_now"].list.get(0)
    assert len(both) == len(tested)
    assert difference.abs().max() < 1e-5


def test_a_model_that_was_published_under_this_name_before_is_replaced(tmp_path: Path) -> None:
    price_frame(300).write_csv(tmp_path / "prices.csv")
    former = tmp_path / "published" / "run" / "weights.safetensors"
    former.parent.mkdir(parents=True)
    former.write_text("of a run whose folder has been removed")
    here = (
        f"data.path={tmp_path / 'prices.csv'}",
        f"paths.root={tmp_path}",
        f"paths.model_save_path={tmp_path}/published",
    )
    run = train(make_config(*QUIET, *here), tmp_path / "run", [])
    assert run.record["status"] == "complete"
    assert former.read_bytes() == (run.bundle / former.name).read_bytes()


def test_a_sweep_goes_on_when_a_job_fails_and_its_status_says_so(tmp_path: Path) -> None:
    price_frame(300).write_csv(tmp_path / "good.csv")
    price_frame(20).write_csv(tmp_path / "short.csv")  # its header is right: only the run can find out
    rest = [override for override in QUIET if not override.startswith("data.path")]
    done = cli(tmp_path, "--multirun", *rest, "data.path=short.csv,good.csv")
    assert done.returncode == 1
    (sweep,) = (tmp_path / "multirun").glob("*/*")
    assert {path.name for path in tmp_path.iterdir()} == {"good.csv", "short.csv", "multirun"}
    assert [record_of(sweep / job)["status"] for job in ("0-path=short.csv", "1-path=good.csv")] == [
        "failed",
        "complete",
    ]
    assert record_of(sweep / "0-path=short.csv")["stop_reason"].startswith(
        "TableError: short.csv: the longest instrument has 20 row(s), too few"
    )
    assert "data.path=good.csv" in record_of(sweep / "1-path=good.csv")["overrides"]
    lines = done.stderr.splitlines()
    assert "Traceback" not in done.stderr
    assert any("job 0 failed" in line and "short.csv" in line for line in lines)
    assert any(f"1 of 2 jobs failed: {sweep.relative_to(tmp_path) / '0-path=short.csv'}" in line for line in lines)
    assert not any("good.csv" in line for line in lines)  # only what failed is told
    assert f"compare {sweep.relative_to(tmp_path)}" in done.stdout


def test_a_file_that_is_not_there_is_told_before_any_job_starts(tmp_path: Path) -> None:
    price_frame(300).write_csv(tmp_path / "good.csv")
    rest = [override for override in QUIET if not override.startswith("data.path")]
    done = cli(tmp_path, "--multirun", *rest, "data.path=good.csv,nowhere.csv")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: nowhere.csv: does not exist")
    assert {path.name for path in tmp_path.iterdir()} == {"good.csv"}


def test_a_terminal_that_is_closed_ends_a_run_like_any_signal(tmp_path: Path) -> None:
    """What is shown there can't be written any more: neither bars nor lines keep the last checkpoint from being."""
    price_frame(300).write_csv(tmp_path / "prices.csv")
    words = [word for word in QUIET if not word.startswith(("training.epochs", "callbacks.progress"))]
    words += ["training.epochs=1000000", "callbacks.early_stopping.enabled=false", "run.id=a"]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execve(sys.executable, [sys.executable, "-m", "hybrid_trainer", *words], ENVIRONMENT)
    deadline = time.monotonic() + 240
    run = tmp_path / "outputs" / "a"
    while not (run / "history.jsonl").exists():
        assert time.monotonic() < deadline
        if select.select([terminal], [], [], 0.05)[0]:
            os.read(terminal, 1 << 16)
    os.close(terminal)
    _, ended = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(ended) == 129
    record = record_of(run)
    assert (record["status"], record["stop_reason"]) == ("interrupted", "interrupted by a signal")
    assert list((run / "checkpoints").glob("last-*.pt"))


@pytest.mark.parametrize(
    ("number", "status", "sweep"),
    [(signal.SIGINT, 130, True), (signal.SIGTERM, 143, False), (signal.SIGHUP, 129, False)],
    ids=["INT", "TERM", "HUP"],
)
def test_a_signal_ends_training_with_the_status_interrupted(
    tmp_path: Path, number: signal.Signals, status: int, sweep: bool
) -> None:
    price_frame(300).write_csv(tmp_path / "prices.csv")
    endless = [override for override in QUIET if not override.startswith("training.epochs")]
    endless += ["training.epochs=1000000", "callbacks.early_stopping.enabled=false"]
    arguments = ["--multirun", "seed=0,1", "hydra.launcher.n_jobs=1", *endless] if sweep else endless
    process = subprocess.Popen(
        [sys.executable, "-c", WITH_SIGINT, *arguments],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 240
    while not (histories := list(tmp_path.rglob("history.jsonl"))):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == status
    assert re.fullmatch(r"error: (interrupted|terminated|the terminal has gone)\n", error)
    run = histories[0].parent
    record = record_of(run)
    assert (record["status"], record["stop_reason"]) == ("interrupted", "interrupted by a signal")
    assert record["ended"] is not None
    assert list(tmp_path.rglob("run.json")) == [run / "run.json"]  # a sweep starts no further job
    for line in histories[0].read_text().splitlines():
        json.loads(line)
    assert not list(run.rglob(".*"))  # no half-written file is left
