"""Two processes that train together do what one does, to rounding."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from hybrid_trainer import __main__ as main
from hybrid_trainer import meeting
from tests.conftest import price_frame
from tests.end_to_end.processes import RUN, about, alone, history, start, together
from tests.groups import environments
from tests.warm import Child


def wait_for(file: Path, process: Child | subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not file.exists():
        assert time.monotonic() < deadline and process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    price_frame(rows=230).write_csv(tmp_path / "prices.csv")
    return tmp_path


def test_two_processes_equal_one_to_rounding(here: Path) -> None:
    alone(here, *RUN, "run.id=one")
    said_by_both = together(here, *RUN, "run.id=two")
    assert said_by_both[1] == ""
    one, two = here / "outputs/one", here / "outputs/two"
    assert len(history(one)) == 3
    for ours, theirs in zip(history(two), history(one), strict=True):
        assert ours == about(theirs, 2e-4, 2e-5)
        assert [name for name, value in theirs.items() if value is None] == ["valid/volatility/ic"]  # two instruments
    weights, others = (load_file(run / "model/weights.safetensors") for run in (two, one))
    for name, value in others.items():
        np.testing.assert_allclose(weights[name], value, rtol=2e-3, atol=2e-4)
    said = json.loads((two / "run.json").read_text())
    assert said["status"] == "complete"
    assert "2 processes train together" in (two / "train.log").read_text()
    assert sorted(path.name for path in (here / "outputs").iterdir()) == ["one", "two"]  # the second writes nothing


def test_two_processes_balance_tasks_as_one_does(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradient surgery adds whole gradients up by itself; the probe's are added up as well."""
    run = [*RUN, "training.balancing.kind=pcgrad", "training.task_gradients_every=2", "training.epochs=2"]
    run += [f"callbacks.{which}.monitor=valid/signal/loss" for which in ("checkpoint", "early_stopping")]
    run += ["training.schedule.kind=none", "training.schedule.monitor=valid/signal/loss"]
    together(here, *run, "run.id=two")
    monkeypatch.chdir(here)
    assert main.run([*run, "run.id=one"]) == 0
    ours, theirs = (history(here / "outputs" / name) for name in ("two", "one"))
    assert "train/gradient_cosine/signal/volatility" in theirs[0]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine == about(other, 2e-3, 2e-4)


def test_two_processes_that_are_stopped_go_on_to_the_same_bits(here: Path) -> None:
    run = [*RUN, "model.dropout=0.3", "callbacks.early_stopping.enabled=false"]
    together(here, *run, "training.epochs=40", "run.id=straight")
    processes = start(here, *run, "training.epochs=40", "run.id=cut")
    cut, straight = here / "outputs/cut", here / "outputs/straight"
    wait_for(cut / "history.jsonl", processes[0])
    processes[1].send_signal(signal.SIGTERM)  # to one of them: both leave behind the same step
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [143, 143]
    assert (said[0].splitlines()[-1], said[1]) == ("error: terminated", "")
    assert json.loads((cut / "run.json").read_text())["status"] == "interrupted"
    assert len(history(cut)) < 40
    together(here, "resume", "outputs/cut")
    for name in ("history.jsonl", "model/weights.safetensors"):
        assert (cut / name).read_bytes() == (straight / name).read_bytes()


def test_where_one_process_is_killed_the_other_one_says_so_in_a_line(here: Path) -> None:
    first, second = start(here, *RUN, "training.epochs=4000", "run.id=a")
    wait_for(here / "outputs/a/history.jsonl", first)
    second.kill()
    said = first.communicate(timeout=60)[0]
    second.communicate()
    assert first.returncode == 1
    assert said.splitlines()[-1] == (
        "error: another of the 2 processes has ended, and this one with it; the other's last lines say why"
    )
    record = json.loads((here / "outputs/a/run.json").read_text())
    assert (record["status"], record["stop_reason"].partition(":")[0]) == ("failed", "ProcessGoneError")


def test_two_processes_go_back_together(here: Path) -> None:
    """Their run directories have random names of their own, and only the first one's has checkpoints."""
    wild = ["training.optimizer=sgd", "training.learning_rate=1e4", "training.clip_norm=null"]
    wild += ["training.on_nonfinite=rollback", "training.max_rollbacks=50", "callbacks.checkpoint.every_steps=1"]
    together(here, *RUN, *wild, "training.epochs=1", "training.class_weights=none")
    (file,) = here.glob("outputs/*/*/history.jsonl")
    rows = history(file.parent)
    assert [row["epoch"] for row in rows] == [1]
    assert rows[0]["train/rollbacks"] >= 1


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["model.lstm_unit=3"], 2, "error: model.lstm_unit: "),
        (["data.path=nothing.csv"], 2, "error: nothing.csv: "),
        (["tune-engine"], 2, "error: tune-engine: looks at one process; start it without torchrun"),
        (["repro-check"], 2, "error: repro-check: looks at one process; start it without torchrun"),
        (["describe", "run"], 0, "run.id"),
        (["--dry-run"], 0, "of one process alone; 2 would each take a share of the batch"),
    ],
)
def test_what_trains_nothing_is_said_by_the_first_one_alone(
    here: Path, arguments: list[str], status: int, told: str
) -> None:
    given = arguments if arguments[0] in ("describe", "tune-engine", "repro-check") else [*RUN, *arguments]
    said = together(here, *given, status=status)
    assert said[0].count(told) == 1 and said[1] == ""


def test_a_table_that_only_another_process_finds_wrong_is_told_by_that_one(here: Path) -> None:
    """Here the file goes away behind the first one's back; elsewhere it may be another machine's."""
    (here / "mine.py").write_text(
        "import os\nif os.environ.get('RANK') == '1':\n    os.rename('prices.csv', 'elsewhere.csv')\n"
    )
    first, second = start(here, *RUN, "plugins=[mine]", "run.id=a")
    said = [process.communicate(timeout=100)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (1, 2), said
    assert said[1].startswith("error: process 1: prices.csv: ") and said[1].count("\n") == 1
    assert "another of the 2 processes has ended" in said[0].splitlines()[-1]


def test_a_process_that_never_comes_is_waited_for_a_while(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    for name, value in environments(3)[0].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(meeting, "JOIN_S", 1.0)
    assert main.run(["describe", "run"]) == 1
    assert capsys.readouterr().err == (
        "error: process 1, 2 of 3 (from 0) has not come within 1 s; its own last lines say why\n"
    )
