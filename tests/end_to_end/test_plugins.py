"""Plug-ins in sweeps, in several processes, and in a package that is installed beside a built wheel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from hybrid_trainer.__main__ import run as main
from tests.conftest import EXAMPLES
from tests.end_to_end.processes import alone, together

ROOT = Path(__file__).parents[2]
EXAMPLE = EXAMPLES / "trend_plugins"
RUN = [
    *("data=random_walk", "data.days=200", "model.time_window=4", "model.heads=[signal,fall]"),
    *("data.targets.fall.builder=drawdown", "training.epochs=1", "callbacks.tensorboard.enabled=false"),
    *("data.feature_set=core", "data.extra_features=[body_5,acceleration]", "training.schedule.kind=halving"),
    *("callbacks.extra.weight_norm.limit=500", "training.losses.fall=log_cosh", "training.metrics.sure_accuracy={}"),
]


# Where both lie; a table to predict from; and the package's own tests.
OWN_TESTS = """
import sys, hybrid_trainer, pytest, trend_plugins
from trend_plugins.source import RandomWalkData, random_walk

print(hybrid_trainer.__file__, trend_plugins.__file__)
random_walk(RandomWalkData(days=120)).write_csv("fresh.csv")
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "--rootdir", "own_tests", "own_tests"]))
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder, with the package in it, an experiment that names it, and a sweep over its model."""
    path = tmp_path_factory.mktemp("user")
    shutil.copytree(EXAMPLE / "trend_plugins", path / "trend_plugins", ignore=shutil.ignore_patterns("__pycache__"))
    (path / "conf" / "experiment").mkdir(parents=True)
    (path / "conf" / "experiment" / "trend.yaml").write_text(
        "# @package _global_\ndefaults: [override /model: gated]\nplugins: [trend_plugins]\n"
    )
    alone(path, "--multirun", "hydra.sweep.dir=sweep", "experiment=trend", *RUN, "model=gated,linear")
    return path


def test_a_sweep_over_a_plug_ins_model_and_its_keys(
    here: Path, plugging: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [json.loads((here / "sweep" / job / "run.json").read_text()) for job in ("0", "1")]
    assert [record["status"] for record in records] == ["complete"] * 2
    assert [record["config"]["model"]["name"] for record in records] == ["gated", "linear"]
    assert all("valid/signal/sure_accuracy" in record["metrics"] for record in records)
    monkeypatch.chdir(here)
    wrong = ["--multirun", "hydra.sweep.dir=wrong", "experiment=trend", *RUN, "model=gated", "model.units=4,0"]
    assert main(wrong) == 2
    assert capsys.readouterr().err == "error: model.units: 0 is out of range; it must be at least 1\n"


def test_two_processes_with_a_warm_start_and_frozen_parts(here: Path) -> None:
    warm = ["training.epochs=2", "model.init_from=sweep/0/model", "model.freeze=[gated,side]", "seed=1"]
    together(here, "experiment=trend", *RUN, *warm, "training.batch_size=64", "run.id=two")
    first, two = (load_file(here / run / "model/weights.safetensors") for run in ("sweep/0", "outputs/two"))
    same = {name for name, value in first.items() if np.array_equal(two[name], value)}
    assert same == {name for name in first if name.startswith(("gated", "side"))} < set(first)
    assert len((here / "outputs/two/weight_norm.txt").read_text().splitlines()) == 2
    rows = [json.loads(line) for line in (here / "outputs/two/history.jsonl").read_text().splitlines()]
    assert all(0 <= row["valid/signal/sure_accuracy"] <= 1 for row in rows)


@pytest.mark.slow
def test_the_example_package_beside_a_built_wheel(tmp_path: Path) -> None:
    """Both are built, installed into a fresh environment without a network, tested, trained with, predicted from."""
    sources = {"hybrid-trainer": ROOT, "trend-plugins": EXAMPLE}
    for name, folder in sources.items():  # a build leaves its own folders behind
        copy = tmp_path / name
        skip = shutil.ignore_patterns(
            ".*", "tests", "outputs", "multirun", "shared", "build", "*.egg-info", "__pycache__"
        )
        shutil.copytree(folder, copy, ignore=skip)
    wheels = tmp_path / "wheels"
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*build, "-w", wheels, *(tmp_path / name for name in sources)], check=True)
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False, symlinks=True)
    packages = environment / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    install = [sys.executable, "-m", "pip", "--python", environment / "bin" / "python", "install", "-q"]
    subprocess.run([*install, "--no-deps", "--no-index", *sorted(wheels.glob("*.whl"))], check=True)
    (packages / "others.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n")  # what both depend on
    python = environment / "bin" / "python"
    without = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*arguments: str | Path) -> str:
        done = subprocess.run([python, *arguments], cwd=tmp_path, env=without, capture_output=True, text=True)
        assert done.returncode == 0, f"{arguments}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    shutil.copytree(EXAMPLE / "tests", tmp_path / "own_tests", ignore=shutil.ignore_patterns("__pycache__"))
    own_tests = run("-c", OWN_TESTS)
    assert own_tests.count(str(packages)) == 2 and " passed" in own_tests
    run("-m", "hybrid_trainer", "plugins=[trend]", *RUN, "model=gated", "run.id=trend")
    predict = ("-m", "hybrid_trainer", "predict", "outputs/trend/model", "fresh.csv", "--plugins", "trend")
    assert run(*predict).splitlines()[0].endswith("fall_pred")
