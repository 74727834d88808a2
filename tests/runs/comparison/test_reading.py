"""Records read by cutting their text are those that a JSON parser reads; and folders are looked through once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.runs.atomic import without_nan
from hybrid_trainer.runs.comparison.reading import all_runs, find_runs
from hybrid_trainer.runs.comparison.records import _cut, _whole, parse
from hybrid_trainer.runs.directory import RECORD
from hybrid_trainer.runs.provenance import process_mark
from tests.runs.comparison.records import write_run

TEXTS = st.text(alphabet='ab"\\\n {}:,é', max_size=6)
LEAVES = st.one_of(
    TEXTS, st.integers(), st.floats(allow_nan=False), st.booleans(), st.none(), st.lists(TEXTS, max_size=3)
)
TREES = st.recursive(LEAVES, lambda inner: st.dictionaries(TEXTS, inner, max_size=4), max_leaves=20)
METRICS = st.dictionaries(TEXTS, st.one_of(st.floats(allow_nan=False), st.integers(0, 9), st.none()), max_size=5)


def record(**changes: Any) -> dict[str, Any]:
    plain = {"status": "complete", "stop_reason": None, "process": process_mark(), "config": {}, "metrics": {}}
    return plain | {"provenance": {"git": {"diff": "a\nb"}}} | changes


@given(st.dictionaries(TEXTS, TREES, max_size=4), METRICS, TEXTS, st.booleans())
def test_a_cut_text_says_what_the_whole_says(
    config: dict[str, Any], metrics: dict[str, float | None], reason: str, ascii_only: bool
) -> None:
    made = without_nan(record(config=config, metrics=metrics, stop_reason=reason))
    text = json.dumps(made, indent=2, ensure_ascii=ascii_only) + "\n"
    assert parse(text.encode()) == _whole(json.loads(text))


def test_our_own_layout_is_cut_and_others_are_not() -> None:
    made = record(config={"seed": 1, "model": {"name": "cnn", "more": {"a": [1, 2]}}}, smaller_is_better=["x"])
    laid_out = json.dumps(made, indent=2)
    assert _cut(laid_out) == _whole(made) and _cut(laid_out).config == {
        "seed": 1,
        "model.name": "cnn",
        "model.more.a": [1, 2],
    }
    for text in (json.dumps(made), json.dumps(made, indent=4), laid_out[:-2]):
        with pytest.raises((ValueError, KeyError)):
            _cut(text)


def test_a_run_inside_of_a_run_and_links_are_not_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run("outputs/a")
    write_run("outputs/a/report/b")
    write_run("elsewhere/c")
    Path("outputs/link").symlink_to(Path("elsewhere").resolve())
    assert [run.path for run in find_runs(Path("outputs"))] == [Path("outputs/a")]
    assert [run.path for run in all_runs([Path("outputs"), Path("outputs/a"), Path()])] == [
        Path("outputs/a"),
        Path("elsewhere/c"),
    ]


def write_ledger(folder: str, *lines: dict[str, Any] | str) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    Path(folder, "ledger.jsonl").write_text("\n".join(texts))


def test_jobs_without_a_directory_are_told_by_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run("sweep/0-a=1")
    gone = process_mark() | {"started": 0.0}
    write_ledger(
        "sweep",
        {"job": 0, "status": "queued", "overrides": ["a=1"]},
        {"job": 1, "status": "queued", "overrides": ["a=2"]},
        {"job": 2, "status": "queued", "overrides": ["a=3", "b=x"]},
        {"job": 3, "status": "queued", "overrides": ["a=4"]},
        {"job": 0, "status": "complete", "folder": "0-a=1"},
        {"job": 2, "status": "failed", "reason": "out of memory"},
        {"job": 3, "status": "failed", "reason": "an earlier try"},
        {"job": 3, "status": "running", "process": gone, "folder": "3-a=4"},
        '{"job": 1, "sta',
    )
    found = {str(run.path): (run.status, run.reason) for run in find_runs(Path())}
    assert found == {
        "sweep/0-a=1": ("complete", "all 3 epochs done"),
        "sweep/1": ("queued", "a=2"),
        "sweep/2": ("failed", "out of memory (a=3 b=x)"),
        "sweep/3-a=4": ("killed", "the process is gone, before it had a directory"),
    }


def test_a_ledger_that_cannot_be_read_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run("sweep/0")
    Path("sweep/ledger.jsonl").mkdir()
    found = {str(run.path): run.status for run in find_runs(Path("sweep"))}
    assert found == {"sweep": "damaged", "sweep/0": "complete"}


def test_a_record_in_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "bad" / RECORD).mkdir(parents=True)
    (run,) = find_runs(tmp_path)
    assert (run.status, run.path) == ("damaged", tmp_path / "bad")
