"""`rerun RUN_DIR`: a new run with another one's own config."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hybrid_trainer.__main__ import run
from tests.conftest import price_frame
from tests.engine.helpers import TINY_RUN

QUIET = [*TINY_RUN, "data.path=prices.csv", "training.epochs=2", "callbacks.resources.enabled=false"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    price_frame().write_csv(tmp_path / "prices.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("signal.signal", lambda number, handler: handler)
    return tmp_path


def test_a_run_is_run_again_in_a_directory_of_its_own(here: Path) -> None:
    assert run([*QUIET, "run.id=seed-1", "seed=1"]) == 0
    first = here / "outputs" / "seed-1"
    assert run(["rerun", "outputs/seed-1"]) == 0
    (again,) = here.glob("outputs/*/*-*/run.json")
    assert (again.parent / "history.jsonl").read_bytes() == (first / "history.jsonl").read_bytes()
    assert run(["rerun", "outputs/seed-1", "training.epochs=1", "run.id=third"]) == 0
    record = json.loads((here / "outputs/third/run.json").read_text())
    assert (record["config"]["seed"], record["config"]["training"]["epochs"], record["epochs"]) == (1, 1, 1)
    assert json.loads((first / "run.json").read_text())["status"] == "complete"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "rerun: name one run directory: python -m hybrid_trainer rerun RUN_DIR [KEY=VALUE ...]"),
        (["outputs/a", "outputs/b"], "rerun: name one run directory"),
        (["outputs"], "outputs: not a run's directory: it has no config.yaml"),
    ],
)
def test_what_is_no_run_is_told(here: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rerun", *words]) == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")


def test_its_help(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rerun", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: python -m hybrid_trainer rerun RUN_DIR [KEY=VALUE ...]\n")
