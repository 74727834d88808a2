"""A job: which config it has, and what it does where another job has the same."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from hybrid_trainer.runs.ledger import Ledger
from hybrid_trainer.runs.provenance import process_mark
from hybrid_trainer.sweeps.job import _twin, config_key, numbers, said_of
from tests.conftest import make_config


def test_two_configs_have_one_key_where_only_their_places_differ() -> None:
    key = config_key(make_config("seed=1"))
    assert config_key(make_config("seed=1", "paths.log_dir=boards", "run.id=mine")) == key
    assert config_key(make_config("seed=2")) != key
    assert config_key(make_config("seed=1", "training.epochs=21")) != key


def test_a_complete_twin_is_taken_and_one_that_began_later_is_not_waited_for(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append(0, "running", process=process_mark(), key="k")
    ledger.append(1, "running", process=process_mark(), key="k")
    ledger.append(2, "running", process=process_mark(), key="other")
    ledger.append(2, "complete")
    assert _twin(ledger, 0) is None
    ledger.append(1, "complete", metrics={"valid/loss": 0.5})
    found = _twin(ledger, 0)
    assert found is not None and (found.number, found.metrics) == (1, {"valid/loss": 0.5})


@pytest.mark.parametrize(("ended", "found"), [("complete", 0), ("failed", None)])
def test_a_twin_under_way_is_waited_for_and_run_instead_where_it_fails(
    tmp_path: Path, ended: str, found: int | None
) -> None:
    ledger = Ledger(tmp_path)
    ledger.append(0, "running", process=process_mark(), key="k")
    ledger.append(1, "running", process=process_mark(), key="k")
    thread = threading.Thread(target=lambda: (time.sleep(0.3), Ledger(tmp_path).append(0, ended)))
    thread.start()
    began = time.monotonic()
    twin = _twin(ledger, 1)
    thread.join()
    assert (twin and twin.number) == found
    assert time.monotonic() - began > 0.25


def test_what_the_ledger_says_of_errors_and_metrics() -> None:
    assert said_of(ValueError("a\n  b")) == "ValueError: a b"
    assert said_of(SystemExit(3)) == "it called sys.exit(3)"
    assert said_of(SystemExit()) == "it called sys.exit()"
    assert numbers({"a": 1, "b": None, "c": "x", "d": 0.5}) == {"a": 1.0, "d": 0.5}
