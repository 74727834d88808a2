"""The command: from run.json alone, and whatever is wrong with one run is no reason to hide the others."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hybrid_trainer.errors import RunDirError
from hybrid_trainer.runs.comparison import command
from hybrid_trainer.runs.comparison.configs import section
from hybrid_trainer.runs.comparison.keys import differing_keys
from hybrid_trainer.runs.comparison.ordering import falling, sort_rows
from hybrid_trainer.runs.comparison.reading import find_runs, read_run
from hybrid_trainer.runs.comparison.rows import row_of
from hybrid_trainer.runs.comparison.run import Run
from hybrid_trainer.runs.comparison.table import headline_metrics
from hybrid_trainer.runs.directory import RECORD
from hybrid_trainer.runs.provenance import process_mark
from tests.runs.comparison.records import write_run


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder; short relative paths keep each run on one line of the table."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sort_runs(runs: list[Run], metric: str) -> list[Run]:
    return [row.runs[0] for row in sort_rows([row_of(run) for run in runs], metric, falling(runs))]


def table(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[list[list[str]], str]:
    """Run the command; the cells of each row (the header first), and the whole text."""
    assert command.main(list(arguments)) == 0
    text = capsys.readouterr().out
    lines = [line for line in text.splitlines() if line.startswith(("│", "┃"))]
    return [[cell.strip() for cell in line.replace("┃", "│").strip("│").split("│")] for line in lines], text


def column(rows: list[list[str]], name: str) -> list[str]:
    index = rows[0].index(name)
    return [row[index] for row in rows[1:]]


def test_only_keys_that_differ_are_columns_and_paths_never_are(capsys: pytest.CaptureFixture[str]) -> None:
    same = {"epochs": 3, "losses": {}}
    write_run(
        "outputs/a", config={"seed": 0, "training": same, "model": {"heads": ["x"]}, "paths": {"log_dir": "here"}}
    )
    write_run(
        "outputs/b", config={"seed": 1, "training": same, "model": {"heads": ["y"]}, "paths": {"log_dir": "there"}}
    )
    rows, _ = table(capsys, "outputs")
    assert rows == [
        ["run", "status", "seed", "model.heads", "valid/loss"],
        ["outputs/a", "complete", "0", '["x"]', "1.0000"],  # other heads, another loss: none is the best
        ["outputs/b", "complete", "1", '["y"]', "1.0000"],
    ]


def test_keys_of_different_options_are_not_compared_but_their_names_are(capsys: pytest.CaptureFixture[str]) -> None:
    write_run("outputs/a", config={"data": {"name": "csv", "path": "p.csv", "clip": 10.0}})
    write_run("outputs/b", config={"data": {"name": "us_stocks", "timestamp": "Date", "clip": 5.0}})
    write_run("outputs/c", config={"data": {"name": "us_stocks", "timestamp": "Date", "clip": 9.0}})
    rows, text = table(capsys, "outputs")
    assert rows[0] == ["run", "status", "data.name", "data.path", "data.clip", "valid/loss"]
    assert "no best run is marked: data.name, data.path, data.clip, data.timestamp differ, so one" in text


def test_keys_that_only_failed_runs_tried_come_last_and_many_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    keys = {f"k{number}": 0 for number in range(12)}
    write_run("outputs/a", config={"training": keys})
    write_run("outputs/b", config={"training": dict.fromkeys(keys, 1)})
    write_run("outputs/c", status="failed", config={"training": keys, "seed": 9})
    rows, text = table(capsys, "outputs")
    assert rows[0][2:] == [*[f"training.k{number}" for number in range(10)], "valid/loss", "why"]
    assert "3 more keys differ; --keys shows them" in text
    rows, _ = table(capsys, "outputs", "--keys")
    assert rows[0][2:-2] == [*[f"training.k{number}" for number in range(12)], "seed"]


def test_on_a_narrow_terminal_no_number_is_broken_and_what_has_no_room_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (0, 1):
        keys = {"learning_rate": 0.001234 * (number + 1), "weight_decay": 0.123456 * (number + 1)}
        write_run(f"multirun/2026-11-27/04-33-10-077b02/{number}-seed={number}", config={"training": keys})
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "52")
    assert command.main(["multirun"]) == 0
    text = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert "multirun/2026-11-27/04-33-10-077b02" in text
    assert text.count("0-seed=0") == text.count("0.001234") == text.count("0.002468") == 1
    assert text.count("1.0000") == 2 and "0.123456" not in text
    assert "1 more keys differ; --keys shows them" in text


def test_a_key_that_only_some_runs_have_differs_and_is_empty_in_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    write_run("outputs/a", config={"data": {"name": "csv", "path": "p.csv"}})
    write_run("outputs/b", config={"data": {"name": "csv"}})
    rows, _ = table(capsys, "outputs")
    assert rows[0] == ["run", "status", "data.path", "valid/loss"]
    assert column(rows, "data.path") == ["p.csv", ""]


def test_paths_and_names_of_runs_are_no_keys_that_differ() -> None:
    write_run("outputs/a", config={"run": {"id": "a"}, "paths": {"log_dir": "a"}, "seed": 1})
    write_run("outputs/b", config={"run": {"id": "b"}, "paths": {"log_dir": "b"}, "seed": 2})
    assert differing_keys(list(find_runs(Path("outputs")))) == ["seed"]


def test_one_run_has_no_key_that_differs() -> None:
    write_run("outputs/a")
    assert differing_keys(list(find_runs(Path("outputs")))) == []


def test_sections_keep_empty_mappings_and_lists_as_values() -> None:
    assert section("a", {"b": {"c": 1}, "d": {}, "e": [1, {"f": 2}]}) == {"a.b.c": 1, "a.d": {}, "a.e": [1, {"f": 2}]}
    assert section("a", {}) == {"a": {}}


@pytest.mark.parametrize(
    ("metric", "best_first"),
    [("valid/loss", ["low", "middle", "high"]), ("test/signal/macro_f1", ["high", "middle", "low"])],
)
def test_runs_are_ordered_best_first_by_what_the_metric_means(
    capsys: pytest.CaptureFixture[str], metric: str, best_first: list[str]
) -> None:
    for name, value in (("middle", 0.5), ("low", -0.25), ("high", 0.75)):
        write_run(name, metrics={"valid/loss": value, "test/signal/macro_f1": value})
    write_run("without", metrics={"valid/loss": None})
    rows, text = table(capsys, ".", "--metric", metric)
    assert column(rows, "run") == [*best_first, "without"]
    values = {"high": "0.7500", "middle": "0.5000", "low": "-0.2500"}
    star = "*" if metric == "valid/loss" else ""  # no run is chosen by its test
    assert column(rows, metric) == [f"{values[best_first[0]]}{star}", *(values[name] for name in best_first[1:]), "-"]
    assert ("a test metric is there to report, not to choose by" in text) == (metric != "valid/loss")
    assert text.startswith(f"4 run(s), best {metric} first")


@pytest.mark.parametrize(
    ("metric", "lowest_first"),
    [("valid/x/loss", True), ("test/x/log_loss", True), ("test/x/rmse", True), ("test/x/mae", True)]
    + [(f"test/x/{name}", False) for name in ("r2", "accuracy", "balanced_accuracy", "macro_f1", "mcc")],
)
def test_every_metric_has_its_direction(metric: str, lowest_first: bool) -> None:
    write_run("a", metrics={metric: 2.0})
    write_run("b", metrics={metric: 1.0})
    ordered = sort_runs(list(find_runs(Path())), metric)
    assert [run.path.name for run in ordered] == (["b", "a"] if lowest_first else ["a", "b"])


def test_runs_that_are_equally_good_stay_in_the_order_of_their_paths() -> None:
    for name in ("c", "a", "b"):
        write_run(name)
    assert [run.path.name for run in sort_runs(list(find_runs(Path())), "valid/loss")] == ["a", "b", "c"]


def test_the_columns_are_the_ordering_metric_and_one_telling_test_metric_per_task(
    capsys: pytest.CaptureFixture[str],
) -> None:
    metrics = {
        "valid/loss": 1.0,
        "valid/signal/macro_f1": 0.5,
        "test/signal/accuracy": 0.6,
        "test/signal/macro_f1": 0.4,
        "test/volatility/rmse": 0.3,
        "test/volatility/r2": 0.2,
        "baseline/volatility/r2": 0.1,
    }
    write_run("a", metrics=metrics)
    rows, _ = table(capsys, ".")
    assert rows[0] == ["run", "status", "valid/loss", "test/signal/macro_f1", "test/volatility/r2"]
    runs = list(find_runs(Path()))
    assert headline_metrics(runs[0].metrics, ["test/volatility/r2"]) == ["test/volatility/r2", "test/signal/macro_f1"]


def test_all_states_of_a_run_stand_in_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    gone = process_mark() | {"started": 0.0}
    write_run("complete")
    write_run("failed", status="failed", stop_reason="TableError: bad\nand worse", metrics={})
    write_run("interrupted", status="interrupted", stop_reason="interrupted by a signal", metrics={})
    write_run("pruned", status="pruned", stop_reason="worse than the median", metrics={"valid/loss": 2.0})
    write_run("running", status="running", stop_reason=None, metrics={})
    write_run("elsewhere", status="running", stop_reason=None, metrics={}, process=gone | {"host": "another-host"})
    write_run("killed", status="running", stop_reason=None, metrics={}, process=gone)
    Path("damaged").mkdir()
    Path("damaged", RECORD).write_text('{"status": "comp')
    rows, _ = table(capsys, ".")
    status = dict(zip(column(rows, "run"), column(rows, "status"), strict=True))
    assert status == {
        "complete": "complete",
        "failed": "failed",
        "interrupted": "interrupted",
        "pruned": "pruned",
        "running": "running",
        "elsewhere": "running",
        "killed": "killed",
        "damaged": "damaged",
    }
    why = dict(zip(column(rows, "run"), column(rows, "why"), strict=True))
    assert why["complete"] == why["running"] == why["elsewhere"] == ""
    assert why["failed"] == "TableError: bad"
    assert why["interrupted"] == "interrupted by a signal"
    assert why["pruned"] == "worse than the median"
    assert why["killed"] and RECORD in why["damaged"]
    assert column(rows, "run")[:2] == ["complete", "pruned"]  # those with a metric come first
    assert column(rows, "valid/loss") == ["1.0000*", "2.0000"] + ["-"] * 6


WHOLE = json.dumps({"status": "complete", "stop_reason": None, "process": {}, "config": {"seed": 0}, "metrics": {}})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        WHOLE[:-20].encode(),
        b"\x00\xff\xfe binary \x80",
        b"null",
        b"[]",
        b'"complete"',
        b"{}",
        b'{"status": "complete", "stop_reason": null, "process": {}, "config": {}}',
        WHOLE.replace('{"seed": 0}', "[1, 2]").encode(),
        WHOLE.replace('"metrics": {}', '"metrics": [1]').encode(),
        WHOLE.replace('"metrics": {}', '"metrics": {"valid/loss": "good"}').encode(),
        WHOLE.replace("complete", "running").replace('"process": {}', '"process": 17').encode(),
        b"[" * 100_000,
    ],
    ids=lambda content: repr(content[:40]),
)
def test_a_damaged_record_is_listed_with_its_reason_beside_the_good_ones(
    capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    write_run("good")
    Path("bad").mkdir()
    Path("bad", RECORD).write_bytes(content)
    rows, _ = table(capsys, ".")
    assert column(rows, "run") == ["good", "bad"]
    assert column(rows, "status") == ["complete", "damaged"]
    assert column(rows, "why")[1].startswith(f"{RECORD}: ")


def test_a_record_that_is_a_folder_is_damaged(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad", RECORD).mkdir(parents=True)
    rows, _ = table(capsys, ".")
    assert column(rows, "status") == ["damaged"]


@pytest.mark.parametrize("reason", ["ValueError: of shape [b, t]", "KeyError: [/x] is no key", "[red]text[/red]"])
def test_square_brackets_in_texts_are_shown_as_they_are(capsys: pytest.CaptureFixture[str], reason: str) -> None:
    write_run("a", status="failed", stop_reason=reason, config={"data": {"path": "a"}})
    write_run("b", status="failed", stop_reason=reason, config={"data": {"path": "[b]/c.csv"}})
    rows, _ = table(capsys, ".")
    assert column(rows, "why") == [reason, reason]
    assert column(rows, "data.path") == ["a", "[b]/c.csv"]


def test_the_best_fifty_are_shown_and_all_with_all(capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(52):
        write_run(f"runs/{number:02}", metrics={"valid/loss": float(100 - number)})
    rows, text = table(capsys, "runs")
    assert column(rows, "run") == [f"runs/{number:02}" for number in range(51, 1, -1)]
    assert text.endswith("the best 50 of 52 runs; --all shows the rest\n")
    rows, text = table(capsys, "runs", "--all")
    assert column(rows, "run") == [f"runs/{number:02}" for number in range(51, -1, -1)]
    assert "--all" not in text


def test_several_folders_make_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    write_run("outputs/2026-11-23/a", metrics={"valid/loss": 2.0})
    write_run("multirun/2026-11-23/b/0")
    write_run("multirun/2026-11-23/b/1", metrics={"valid/loss": 3.0})
    rows, _ = table(capsys, "outputs", "multirun")
    assert column(rows, "run") == ["multirun/2026-11-23/b/0", "outputs/2026-11-23/a", "multirun/2026-11-23/b/1"]


def test_a_run_below_two_of_the_folders_is_listed_once(capsys: pytest.CaptureFixture[str]) -> None:
    write_run("outputs/a")
    rows, _ = table(capsys, "outputs", "outputs/a")
    assert column(rows, "run") == ["outputs/a"]


def test_a_run_folder_itself_can_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    write_run("outputs/a")
    rows, _ = table(capsys, "outputs/a")
    assert column(rows, "run") == ["outputs/a"]


def test_an_unknown_metric_is_refused_with_the_closest_one() -> None:
    write_run("a", metrics={"valid/loss": 1.0, "test/signal/macro_f1": 0.5})
    with pytest.raises(RunDirError, match=r"--metric: no run has 'test/signal/macrof1'; did you mean 'test/signal/mac"):
        command.main([".", "--metric", "test/signal/macrof1"])


def test_runs_without_any_metric_are_listed_whatever_the_metric_is(capsys: pytest.CaptureFixture[str]) -> None:
    write_run("a", status="failed", metrics={})
    rows, _ = table(capsys, ".", "--metric", "test/signal/macro_f1")
    assert column(rows, "test/signal/macro_f1") == ["-"]


def test_a_missing_folder_and_one_without_runs_are_told() -> None:
    with pytest.raises(RunDirError, match="nowhere: there is no such folder"):
        command.main(["nowhere"])
    Path("empty").mkdir()
    with pytest.raises(RunDirError, match=rf"empty: no run below.*{RECORD}"):
        command.main(["empty"])


def test_read_run_names_the_run_folder() -> None:
    file = write_run("outputs/a", metrics={"valid/loss": 1, "valid/r2": None})
    run = read_run(file)
    assert run.path == Path("outputs/a")
    assert run.metrics == {"valid/loss": 1.0}
    assert run.config == {"seed": 0, "model.lstm_units": 64, "paths.root": "."}


def test_compare_imports_nothing_that_trains() -> None:
    write_run("outputs/a")
    code = (
        "import sys; from hybrid_trainer.__main__ import run; status = run(['compare', 'outputs']); "
        "print(status, *sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    status, *modules = done.stderr.split()
    assert status == "0"
    assert "outputs/a" in done.stdout
    heavy = {"torch", "torchmetrics", "numpy", "sklearn", "skops", "polars", "hydra", "omegaconf", "optuna"}
    assert heavy.isdisjoint(modules)


def test_a_plug_ins_metric_goes_the_way_that_its_run_says(capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in (("a", 0.3), ("b", 0.1), ("c", 0.2)):
        metrics = {"valid/fall/far_off": value, "valid/fall/hits": value}
        write_run(f"outputs/{name}", metrics=metrics, smaller_is_better=["far_off"])
    rows, _ = table(capsys, "outputs", "--metric", "valid/fall/far_off")
    assert column(rows, "run") == ["outputs/b", "outputs/c", "outputs/a"]
    rows, _ = table(capsys, "outputs", "--metric", "valid/fall/hits")
    assert column(rows, "run") == ["outputs/a", "outputs/c", "outputs/b"]
