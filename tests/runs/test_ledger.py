"""The ledger: what its lines say of each job, whoever wrote them, and lines that were cut off."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from hybrid_trainer.runs.ledger import NAME, Entry, Ledger
from hybrid_trainer.runs.provenance import process_mark


def test_a_job_goes_through_its_statuses(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.queue([(0, ["seed=0"], "0-seed=0"), (1, ["seed=1"], "1-seed=1")])
    ledger.append(0, "running", process=process_mark())
    ledger.append(0, "running", process=process_mark(), folder="0-seed=0", key="k")
    job = ledger.refresh()[0]
    assert (job.status, job.standing, job.alive, job.attempts, job.key) == ("running", "running", True, 1, "k")
    ledger.append(0, "complete", metrics={"valid/loss": 0.5, "bad": float("nan")}, reason="3 of 3 epochs done")
    job = ledger.refresh()[0]
    assert (job.status, job.metrics, job.reason) == ("complete", {"valid/loss": 0.5}, "3 of 3 epochs done")
    assert job.seconds is not None and 0 <= job.seconds < 60
    assert ledger.jobs[1] == Entry(number=1, status="queued", overrides=["seed=1"], folder="1-seed=1")
    assert Ledger(tmp_path).refresh() == ledger.jobs


def test_a_job_that_is_queued_again_has_no_result_but_its_attempts(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.queue([(0, ["seed=0"], "0-seed=0")])
    ledger.append(0, "running", process={"pid": 1, "host": "elsewhere"})
    assert ledger.refresh()[0].alive is None
    ledger.append(0, "failed", reason="bad")
    ledger.append(0, "queued")
    job = ledger.refresh()[0]
    assert (job.status, job.reason, job.attempts, job.overrides, job.seconds) == ("queued", "", 1, ["seed=0"], None)


def test_a_running_job_whose_process_is_gone_is_killed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append(4, "running", process=process_mark() | {"started": 1})
    job = ledger.refresh()[4]
    assert (job.status, job.standing, job.alive) == ("running", "killed", False)


@pytest.mark.parametrize("torn", ['{"job": 1, "status": "comp', "{", "[1]"])
def test_a_line_that_was_cut_off_is_passed_over_and_counted(tmp_path: Path, torn: str) -> None:
    ledger = Ledger(tmp_path)
    ledger.append(0, "complete")
    with (tmp_path / NAME).open("a") as stream:
        stream.write(torn)
    assert list(Ledger(tmp_path).refresh()) == [0]  # it may still be being written
    ledger.append(2, "failed", reason="x")
    read = Ledger(tmp_path)
    assert (list(read.refresh()), read.damaged) == ([0, 2], 1)


def test_what_is_read_piece_by_piece_is_what_is_read_at_once(tmp_path: Path) -> None:
    writer, reader = Ledger(tmp_path), Ledger(tmp_path)
    assert reader.refresh() == {}
    for number in range(5):
        writer.append(number, "queued", overrides=[f"seed={number}"])
        assert len(reader.refresh()) == number + 1
    assert reader.jobs == Ledger(tmp_path).refresh()


def _write_many(folder: Path, first: int) -> None:
    ledger = Ledger(folder)
    for number in range(first, first + 25):
        ledger.append(number, "queued", overrides=["x" * 3000])


def test_processes_that_write_at_once_lose_no_line(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    processes = [context.Process(target=_write_many, args=(tmp_path, 25 * index)) for index in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert sorted(Ledger(tmp_path).refresh()) == list(range(100))
    assert all(json.loads(line) for line in (tmp_path / NAME).read_text().splitlines())
