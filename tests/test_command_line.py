"""The command line: what it says, its exit statuses, and that nothing is started when something is wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml

from hybrid_trainer.version import __version__
from tests.conftest import price_frame
from tests.warm import completed

TINY = (
    "data=csv",
    "data.path=prices.csv",
    "data.instrument=instrument",
    "model.time_window=8",
    "model.lstm_units=8",
    "model.cnn_filters=[8]",
    "model.heads=[volatility]",
    "training.epochs=1",
)

# What a user's shell wouldn't have set: unbuffered output hides what happens to the last buffer.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("PYTHONUNBUFFERED", "PYTHONWARNINGS")}


def cli(folder: Path, *arguments: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run `python -m hybrid_trainer ...` in a folder, in a warm process where no options of python are given."""
    if not python:
        return completed(folder, *arguments, env=ENVIRONMENT)
    command = [sys.executable, *python, "-m", "hybrid_trainer", *arguments]
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr of a command that was refused with status 2."""
    assert done.returncode == 2, done.stderr
    assert re.fullmatch(r"error: [^\n]+\n", done.stderr), done.stderr
    return done.stderr.strip()


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_help_lists_groups_and_commands_and_imports_nothing_heavy(tmp_path: Path) -> None:
    done = cli(tmp_path, "--help", python=("-X", "importtime"))
    assert done.returncode == 0
    for command in (
        "check",
        "compare",
        "describe",
        "predict",
        "tune-engine",
        "lr-find",
        "--multirun",
        "--config",
        "--cfg job",
    ):
        assert command in done.stdout
    for group, option in (("data", "csv"), ("model", "hybrid"), ("training", "default"), ("experiment", "quick")):
        assert re.search(rf"^  {group} +.*\b{option}\b", done.stdout, re.M)
    imported = set(re.findall(r"\| +([\w.]+)$", done.stderr, re.M))
    assert "hybrid_trainer.version" in imported
    packages = {name.partition(".")[0] for name in imported}
    assert packages.isdisjoint({"torch", "numpy", "sklearn", "skops", "polars", "hydra", "omegaconf", "rich"})
    assert "__init__" not in done.stdout
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("arguments", [("-h",), ("training.epochs=3", "--help")])
def test_help_is_found_beside_overrides(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = cli(tmp_path, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"hybrid_trainer {__version__}")


def test_version(tmp_path: Path) -> None:
    done = cli(tmp_path, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compar", "outputs"], "error: 'compar' is neither a command nor KEY=VALUE; did you mean 'compare'?"),
        (["--foo"], "error: --foo: no such option; --help shows what there is"),
        (["compare", "nowhere"], "error: nowhere: there is no such folder"),
        (["training.epoch=3"], "error: training.epoch: no such key; did you mean 'training.epochs'?"),
        (["training.epochs=many"], "error: training.epochs: 'many' is not an integer"),
        (["training.epochs=0"], "error: training.epochs: 0 is out of range; it must be at least 1"),
        (["data=cvs"], "error: data: there is no option 'cvs'; did you mean 'csv'?"),
        (["+training.epoch=3"], "error: training.epoch: no such key"),
        (["model.heads=[signals]"], "error: model.heads: 'signals' is not in data.targets; did you mean 'signal'?"),
        (["--config", "nowhere.yaml"], "error: nowhere.yaml: No such file or directory"),
        (["seed=1,2"], "error: seed: '1,2' is several values; add --multirun"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_input_is_one_line_and_status_two_and_leaves_nothing(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = cli(tmp_path, *arguments)
    assert refused(done).startswith(said)
    assert done.stdout == ""
    assert files_below(tmp_path) == []


def test_a_sweep_with_one_bad_value_is_refused_before_anything_starts(tmp_path: Path) -> None:
    done = cli(tmp_path, "--multirun", "seed=0,1", "model.lstm_units=8,0")
    assert refused(done) == "error: model.lstm_units: 0 is out of range; it must be at least 1"
    assert files_below(tmp_path) == []


def test_cfg_job_shows_the_composed_config_as_yaml(tmp_path: Path) -> None:
    done = cli(tmp_path, "--cfg", "job", "training.epochs=7", "data.targets.signal.horizon=3", "experiment=quick")
    assert (done.returncode, done.stderr) == (0, "")
    shown = yaml.safe_load(done.stdout)
    assert shown["training"]["epochs"] == 7
    assert shown["data"]["targets"]["signal"]["horizon"] == 3
    assert shown["model"]["heads"] == ["signal", "volatility"]
    assert files_below(tmp_path) == []


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training.epoch=3", "error: training.epoch: no such key; did you mean 'training.epochs'?"),
        ("data=cvs", "error: data: there is no option 'cvs'; did you mean 'csv'?"),
    ],
)
def test_wrong_input_is_one_line_with_cfg_as_well(tmp_path: Path, override: str, said: str) -> None:
    assert refused(cli(tmp_path, "--cfg", "job", override)) == said


@pytest.mark.parametrize("arguments", [("compare",), ("compare", "outputs", "--metrics", "valid/loss")])
def test_wrong_arguments_of_a_command_are_one_line_as_well(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "outputs").mkdir()
    refused(cli(tmp_path, *arguments))


def test_the_help_of_predict_imports_no_torch(tmp_path: Path) -> None:
    done = cli(tmp_path, "predict", "--help", python=("-X", "importtime"))
    assert done.returncode == 0
    assert "MODEL_DIR" in done.stdout
    assert not re.search(r"\| +torch$", done.stderr, re.M)


def test_a_bad_table_is_told_at_once_and_two_runs_of_one_second_have_two_folders(tmp_path: Path) -> None:
    frame = price_frame(80)
    frame.with_columns(close=pl.when(pl.int_range(pl.len()) != 4).then("close")).write_csv(tmp_path / "prices.csv")
    command = [sys.executable, "-m", "hybrid_trainer", *TINY]
    runs = [
        subprocess.Popen(
            command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    errors = [run.communicate(timeout=300)[1] for run in runs]
    assert [run.returncode for run in runs] == [2, 2]
    said = "prices.csv:6: column 'close': a value is missing"
    assert all(re.fullmatch(rf"error: {re.escape(said)}[^\n]*\n", error) for error in errors)
    records = sorted((tmp_path / "outputs").glob("*/*/run.json"))
    assert len(records) == 2
    for record in records:
        content = json.loads(record.read_text())
        assert content["status"] == "failed"
        assert content["stop_reason"].startswith(f"TableError: {said}")
        assert re.fullmatch(r"\d\d-\d\d-\d\d-[0-9a-f]{6}", record.parent.name)
        assert said in (record.parent / "train.log").read_text()


def test_a_run_directory_is_used_once_and_only_below_the_root(tmp_path: Path) -> None:
    other = tmp_path / "work" / "outputs" / "other"
    other.mkdir(parents=True)
    (other / "run.json").write_text("{}")
    here = tmp_path / "work"
    price_frame(20).write_csv(here / "prices.csv")
    said = refused(cli(here, *TINY, f"hydra.run.dir={other}"))
    assert str(other) in said and "that isn't there yet" in said
    assert (other / "run.json").read_text() == "{}"
    assert "not inside paths.root" in refused(cli(here, *TINY, "hydra.run.dir=../elsewhere"))
    assert files_below(tmp_path) == [
        "work",
        "work/outputs",
        "work/outputs/other",
        "work/outputs/other/run.json",
        "work/prices.csv",
    ]


@pytest.mark.parametrize("arguments", [("--help",), ("compare", "outputs")], ids=" ".join)
def test_a_pipe_that_is_closed_early_is_no_error(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "outputs" / "a").mkdir(parents=True)
    (tmp_path / "outputs" / "a" / "run.json").write_text("{}")
    read_end, write_end = os.pipe()
    os.close(read_end)  # as `| head` does once it has seen enough
    command = [sys.executable, "-m", "hybrid_trainer", *arguments]
    done = subprocess.run(
        command, cwd=tmp_path, env=ENVIRONMENT, stdout=write_end, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_signal_behind_the_last_word_ends_the_process_without_a_trace() -> None:
    script = (
        "import atexit, os, signal, sys; from hybrid_trainer.__main__ import main; sys.argv[1:] = ['--version']; "
        "atexit.register(lambda: os.kill(os.getpid(), signal.SIGTERM)); main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")


def test_the_console_script_is_the_same_command() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("hybrid-trainer")), "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{__version__}\n"
