"""How a sweep is shown: counts, the best job, and the live table on a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from hybrid_trainer.runs.ledger import Entry
from hybrid_trainer.runs.provenance import process_mark
from hybrid_trainer.sweeps.board import Board, best, counted, in_words, told
from hybrid_trainer.sweeps.folder import Sweep
from hybrid_trainer.sweeps.orders import JobOrder, Outcome


def test_counts_are_told_in_one_order() -> None:
    jobs = {
        number: Entry(number=number, status=status, process=process_mark() | {"started": 1})
        for number, status in enumerate(["failed", "complete", "queued", "complete", "running"])
    }
    assert counted(jobs) == {"failed": 1, "complete": 2, "queued": 1, "killed": 1}
    assert told(counted(jobs)) == "2 complete, 1 failed, 1 killed, 1 queued"


@pytest.mark.parametrize(("metric", "number"), [("valid/loss", 1), ("valid/a/macro_f1", 0), ("valid/b/r2", None)])
def test_the_best_job_is_that_with_a_result_and_by_the_metrics_own_direction(metric: str, number: int | None) -> None:
    values = [("complete", 0.5, 0.9), ("duplicate", 0.4, 0.2), ("failed", 0.1, 1.0)]
    jobs = {
        index: Entry(number=index, status=status, metrics={"valid/loss": loss, "valid/a/macro_f1": score})
        for index, (status, loss, score) in enumerate(values)
    }
    found = best(jobs, metric)
    assert (found and found.number) == number


def test_a_terminal_shows_what_runs_the_best_so_far_and_the_time_left(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, {"objectives": ["valid/loss"]})
    sweep.ledger.queue((number, [], f"{number}-seed={number}") for number in range(4))
    for number in (0, 1):
        sweep.ledger.append(number, "running", process=process_mark())
    sweep.ledger.append(0, "complete", metrics={"valid/loss": 0.25})
    sweep.ledger.refresh()
    (tmp_path / "1-seed=1").mkdir()
    (tmp_path / "1-seed=1" / "history.jsonl").write_text(json.dumps({"epoch": 7, "valid/loss": 0.5}) + "\n")
    console = Console(force_terminal=True, width=140, record=True, file=(tmp_path / "screen").open("w"))
    with Board(sweep, 1, 4, console) as board:
        board.ended(JobOrder(0, []), Outcome("complete", {"valid/loss": 0.25}))
        board.show([1])
        board.ended(JobOrder(1, []), Outcome("failed", reason="it is bad"))
    screen = console.export_text()
    console.file.close()
    assert "job 0-seed=0: complete in 0.0 s, valid/loss 0.2500" in screen
    assert "error: job 1 failed: it is bad (logs/1.txt)" in screen
    row = next(line for line in screen.splitlines() if line.startswith("1-seed=1"))
    assert row.split()[1:3] == ["7", "0.5000"]
    assert (
        "1 of 4 jobs ended (1 complete, 1 running, 2 queued); best valid/loss 0.2500: 0-seed=0; about 0 s left"
        in screen
    )


def test_elsewhere_a_line_tells_of_each_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = Sweep(tmp_path, {"objectives": ["valid/loss"]})
    sweep.ledger.queue([(0, [], "0"), (1, [], "1")])
    sweep.ledger.refresh()
    with Board(sweep, 1, 2) as board:
        board.show([0])
        board.again(JobOrder(0, []), Outcome("failed", reason="once"))
        board.ended(JobOrder(0, []), Outcome("duplicate", reason="the config of job 1, which is complete"))
        board.ended(JobOrder(1, []), Outcome("failed", reason="it is bad"))
    out, error = capsys.readouterr()
    assert out == "job 0 is tried again: once\njob 0: duplicate (the config of job 1, which is complete)\n"
    assert error == "error: job 1 failed: it is bad (logs/1.txt)\n"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (99, "99 s"), (100, "2 min"), (3600, "60 min"), (9000, "2.5 h")]
)
def test_lengths_of_time(seconds: float, said: str) -> None:
    assert in_words(seconds) == said
