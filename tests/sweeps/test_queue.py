"""Which order is begun next: what has given its result isn't run again, and its source learns that at once."""

from __future__ import annotations

from pathlib import Path

from hybrid_trainer.sweeps.folder import Sweep
from hybrid_trainer.sweeps.orders import JobOrder, Listed, Outcome
from hybrid_trainer.sweeps.queue import enter, next_to_start, words_for


def sweep(folder: Path, *overrides: str) -> Sweep:
    return Sweep(folder, {"fixed": ["model.heads"], "overrides": list(overrides)})


def test_a_resumed_sweep_begins_what_has_not_ended(tmp_path: Path) -> None:
    orders = [JobOrder(number, [f"seed={number}"]) for number in range(7)]
    begun = sweep(tmp_path)
    enter(begun, orders[:6])
    ledger = begun.ledger
    ledger.append(0, "complete", metrics={"valid/loss": 0.5}, reason="done")
    ledger.append(1, "failed", reason="bad")
    ledger.append(2, "pruned")
    ledger.append(3, "interrupted")
    ledger.append(4, "running", process={"host": "h", "pid": 1})
    source, started = Listed(orders), []
    resumed = sweep(tmp_path)
    while (order := next_to_start(resumed, source)) is not None:
        started.append(order.number)
    assert started == [3, 4, 5, 6]
    assert source.outcomes == {
        0: Outcome("complete", {"valid/loss": 0.5}, "done"),
        1: Outcome("failed", reason="bad"),
        2: Outcome("pruned"),
    }
    assert resumed.ledger.jobs[6].status == "queued"


def test_a_jobs_process_is_told_its_number_and_its_folder(tmp_path: Path) -> None:
    order = JobOrder(3, ["model.heads=[a]", "model.lstm_units=8"])
    begun = sweep(tmp_path)
    enter(begun, [order])
    assert words_for(begun, order) == [
        *order.overrides,
        "+hydra.job.env_set.HYBRID_TRAINER_JOB='3'",
        "hydra.sweep.subdir='3-lstm_units=8'",
    ]
    named = sweep(tmp_path, "hydra.sweep.subdir=mine")
    named.ledger.refresh()
    assert words_for(named, order)[-1] == "+hydra.job.env_set.HYBRID_TRAINER_JOB='3'"
