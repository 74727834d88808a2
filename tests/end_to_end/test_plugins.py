"""A package of plug-ins that is installed beside a built wheel: swept over, trained together, predicted from."""

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
from tests.conftest import EXAMPLES, price_frame
from tests.end_to_end.processes import history, together

ROOT = Path(__file__).parents[2]
EXAMPLE = EXAMPLES / "trend_plugins"
RUN = [
    *("data=random_walk", "data.days=200", "model.time_window=4", "model.heads=[signal,fall]"),
    *("data.targets.fall.builder=drawdown", "training.epochs=1", "callbacks.tensorboard.enabled=false"),
    *("data.feature_set=core", "data.extra_features=[body_5,acceleration]", "training.schedule.kind=halving"),
    *("callbacks.extra.weight_norm.limit=500", "training.losses.fall=log_cosh", "training.metrics.sure_accuracy={}"),
]
# Predicts, without knowing more than the plug-in's name; then says where both lie, and runs the package's own tests.
PREDICT_AND_TEST = """
import sys
import pytest
from hybrid_trainer.__main__ import run

assert run(["predict", "outputs/two/model", "fresh.csv", "--plugins", "trend"]) == 0
import hybrid_trainer, trend_plugins
print(hybrid_trainer.__file__, trend_plugins.__file__)
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "--rootdir", "own_tests", "own_tests"]))
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with an experiment, and an environment of its own with both packages: no network is needed."""
    path = tmp_path
    monkeypatch.delenv("PYTHONPATH", raising=False)  # what is installed is what counts
    for name, folder in {"hybrid-trainer": ROOT, "trend-plugins": EXAMPLE}.items():  # a build leaves folders behind
        shutil.copytree(folder, path / "source" / name, ignore=_not_of_the_source)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*build, "-w", path / "wheels", *(path / "source").iterdir()], check=True)
    venv.create(path / "environment", with_pip=False, symlinks=True)
    install = [sys.executable, "-m", "pip", "--python", python(path), "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*install, *sorted((path / "wheels").glob("*.whl"))], check=True)
    (packages(path) / "others.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n")  # what both depend on
    (path / "conf" / "experiment").mkdir(parents=True)
    (path / "conf" / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults: [override /model: gated]\nplugins: [trend]\n"
    )
    return path


def _not_of_the_source(folder: str, names: list[str]) -> set[str]:
    skip = shutil.ignore_patterns(".*", "tests", "outputs", "multirun", "shared", "*.egg-info", "__pycache__")
    left_by_a_build = {"build"} if "setup.cfg" in names or "pyproject.toml" in names else set()
    return set(skip(folder, names)) | left_by_a_build


def python(folder: Path) -> str:
    return str(folder / "environment" / "bin" / "python")


def packages(folder: Path) -> Path:
    return folder / "environment" / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run([python(folder), *arguments], cwd=folder, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.mark.slow
def test_installed_plug_ins_are_swept_over_trained_together_and_predicted_from(here: Path) -> None:
    """In one, since each step needs what the one before has made; which takes most of the time."""
    _sweeps(here)
    _trains_in_two_processes_from_there(here)
    _predicts_and_passes_its_own_tests(here)


def _sweeps(here: Path) -> None:
    run(here, "-m", "hybrid_trainer", "-m", "hydra.sweep.dir=sweep", "experiment=mine", *RUN, "model=gated,linear")
    records = [
        json.loads((here / "sweep" / job / "run.json").read_text()) for job in ("0-model=gated", "1-model=linear")
    ]
    assert [record["status"] for record in records] == ["complete"] * 2
    assert [record["config"]["model"]["name"] for record in records] == ["gated", "linear"]
    assert all("valid/signal/sure_accuracy" in record["metrics"] for record in records)


def _trains_in_two_processes_from_there(here: Path) -> None:
    warm = ["training.epochs=2", "model.init_from=sweep/0-model=gated/model", "model.freeze=[gated,side]", "seed=1"]
    together(here, "experiment=mine", *RUN, *warm, "training.batch_size=64", "run.id=two", python=python(here))
    two = here / "outputs" / "two"
    before, after = (load_file(path / "model/weights.safetensors") for path in (here / "sweep" / "0-model=gated", two))
    same = {name for name, value in before.items() if np.array_equal(after[name], value)}
    assert same == {name for name in before if name.startswith(("gated", "side"))} < set(before)
    assert len((two / "weight_norm.txt").read_text().splitlines()) == 2
    assert all(0 <= row["valid/signal/sure_accuracy"] <= 1 for row in history(two))


def _predicts_and_passes_its_own_tests(here: Path) -> None:
    price_frame(120).rename({"instrument": "name"}).write_csv(here / "fresh.csv")
    shutil.copytree(EXAMPLE / "tests", here / "own_tests", ignore=shutil.ignore_patterns("__pycache__"))
    said = run(here, "-c", PREDICT_AND_TEST)
    assert said.splitlines()[0].endswith("fall_pred")
    assert said.count(str(packages(here))) == 2 and " passed" in said


def test_a_wrong_value_in_a_sweep_over_a_plug_ins_keys_is_one_line(
    plugging: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.chdir(tmp_path)
    assert main(["--multirun", "plugins=[trend_plugins]", *RUN, "model=gated", "model.units=4,0"]) == 2
    assert capsys.readouterr().err == "error: model.units: 0 is out of range; it must be at least 1\n"
