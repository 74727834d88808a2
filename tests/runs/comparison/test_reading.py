"""Records read by cutting their text are those that a JSON parser reads; and folders are looked through once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.runs.atomic import without_nan
from hybrid_trainer.runs.comparison.named import Named, columns, union
from hybrid_trainer.runs.comparison.reading import all_runs, find_runs
from hybrid_trainer.runs.comparison.records import parse
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


@given(st.dictionaries(TEXTS, TREES, max_size=4), METRICS, TEXTS, st.sampled_from([None, 2, 4]), st.booleans())
def test_a_record_says_what_was_written_whatever_its_layout(
    config: dict[str, Any], metrics: dict[str, float | None], reason: str, indent: int | None, ascii_only: bool
) -> None:
    made = without_nan(record(config=config, metrics=metrics, stop_reason=reason))
    found = parse(json.dumps(made, indent=indent, ensure_ascii=ascii_only).encode())
    assert found.config.sections == {name: dict(leaves(value, name)) for name, value in made["config"].items()}
    assert found.metrics == {name: value for name, value in made["metrics"].items() if value is not None}
    assert (found.status, found.reason, found.process) == ("complete", reason, made["process"])


def leaves(tree: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict) and tree:
        for name, value in tree.items():
            yield from leaves(value, f"{path}.{name}")
    else:
        yield path, tree


ROWS = st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 1), max_size=3), min_size=1, max_size=4)


@given(ROWS)
def test_columns_are_those_of_dicts(rows: list[dict[str, int]]) -> None:
    named = list(map(Named.of, rows))
    names = dict.fromkeys(name for row in rows for name in row)
    assert list(union(named)) == list(names)
    assert {name: [*values] for name, values in columns(named, None)} == {
        name: [row.get(name) for row in rows] for name in names
    }
    assert [dict(row) for row in named] == rows and [row.get("a", 9) for row in named] == [r.get("a", 9) for r in rows]


def test_what_is_alike_in_two_runs_is_one_object() -> None:
    made = [record(config={"seed": seed, "model": {"name": "cnn", "more": {"a": [1, 2]}}}) for seed in (1, 2)]
    one, two = (parse(json.dumps(each).encode()).config for each in made)
    assert one == {"seed": 1, "model.name": "cnn", "model.more.a": [1, 2]}
    assert one.sections["model"] is two.sections["model"] and two["seed"] == 2


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"status": "complete"}', "Object missing required field `stop_reason`"),
        (b'{"status": "comp', "Input data was truncated"),
        (b"[1]", "Expected `object`, got `array`"),
        (
            json.dumps(record(metrics={"loss": "low"})).encode(),
            "Expected `float | null`, got `str` - at `$.metrics[...]`",
        ),
        (b'{"status": "\xff"}', "can't decode byte 0xff"),
        (b"[" * 100_000, ""),
    ],
)
def test_what_is_wrong_with_a_record_is_said(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / RECORD).write_bytes(content)
    (run,) = find_runs(tmp_path)
    assert run.status == "damaged" and why in run.reason and run.reason.startswith(f"{RECORD}: ")


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
    at = {"at": "2026-01-01T00:00:00+00:00"}
    texts = [line if isinstance(line, str) else json.dumps(line | at) for line in lines]
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
