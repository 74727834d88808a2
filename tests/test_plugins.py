"""Modules of the user's own, found in the current folder, and what goes wrong with them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hybrid_trainer.data.features import FEATURES
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.plugins import load_plugins
from tests.conftest import make_config, price_frame

MODULE = '''
import numpy as np
from hybrid_trainer.data.features import Bars, Values, feature, rolling_mean

@feature("body_5", 5)
def body(bars: Bars) -> Values:
    """Mean move from open to close."""
    return rolling_mean(np.log(bars.close / bars.open), 5)
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of a user; what is imported from it is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.setattr(FEATURES, "_entries", dict(FEATURES._entries))
    for name in ("plugin_of_mine", "plugin_that_fails", "plugin_in_a.part"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def refused(*modules: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_plugins(modules)
    return str(caught.value)


def test_a_module_of_the_current_folder_is_imported_once_and_its_feature_known(folder: Path) -> None:
    (folder / "plugin_of_mine.py").write_text(MODULE)
    config = make_config("plugins=[plugin_of_mine]", "data.extra_features=[body_5]")
    assert config.plugins == ["plugin_of_mine"]
    assert FEATURES.get("body_5", "").lookback == 5
    load_plugins(["plugin_of_mine"])  # a second registration would be an error
    del sys.modules["plugin_of_mine"]


def test_a_file_of_the_current_folder_never_takes_the_place_of_an_installed_module(folder: Path) -> None:
    (folder / "json.py").write_text("raise RuntimeError('not this one')")
    load_plugins(["json.tool"])
    assert sys.path[-1] == str(folder)


def test_no_plugins_leave_the_path_alone() -> None:
    before = list(sys.path)
    load_plugins([])
    assert sys.path == before


def test_a_module_that_is_not_there_or_fails_is_one_line(folder: Path) -> None:
    assert refused("plugin_that_is_not_there") == (
        f"plugins: 'plugin_that_is_not_there' cannot be imported from {folder} or what is installed "
        "(ModuleNotFoundError: No module named 'plugin_that_is_not_there')"
    )
    (folder / "plugin_that_fails.py").write_text("raise ValueError('two\\nlines')")
    assert refused("plugin_that_fails") == (
        f"plugins: 'plugin_that_fails' cannot be imported from {folder} or what is installed (ValueError: two lines)"
    )
    (folder / "plugin_that_leaves.py").write_text("raise SystemExit(3)")
    assert refused("plugin_that_leaves").endswith("(SystemExit: 3)")


@pytest.mark.parametrize("name", ["mine.py", "../mine", "a-b", "", "a..b"])
def test_a_plugin_is_named_as_a_module(name: str) -> None:
    assert refused(name) == f"plugins: '{name}' is not the name of a module; write plugins=[my_features]"


def test_a_name_that_is_taken_is_one_line(folder: Path) -> None:
    (folder / "plugin_that_fails.py").write_text(MODULE.replace("body_5", "range"))
    assert "ValueError: there is already a feature named 'range'" in refused("plugin_that_fails")


def test_a_model_with_a_feature_of_the_users_own_asks_for_its_module(folder: Path) -> None:
    (folder / "plugin_of_mine.py").write_text(MODULE)
    price_frame(300).write_csv(folder / "prices.csv")
    program = [sys.executable, "-m", "hybrid_trainer"]
    keys = ["data=csv", "data.path=prices.csv", "data.instrument=instrument", "experiment=quick", "training.epochs=1"]
    small = ["model.lstm_units=8", "model.cnn_filters=[8]", "model.time_window=8", "hydra.run.dir=outputs/run"]
    own = [
        "plugins=[plugin_of_mine]",
        "data.feature_set=core",
        "data.extra_features=[body_5]",
        "data.expressions.place=col('close').log().diff(3).clip(-0.1, 0.1)",
    ]
    done = subprocess.run([*program, *keys, *small, *own], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    predict = [*program, "predict", "outputs/run/model", "prices.csv"]
    without = subprocess.run(predict, capture_output=True, text=True)
    assert (without.returncode, without.stdout) == (2, "")
    assert without.stderr == (
        "error: outputs/run/model: the model needs the feature 'body_5', which is not a built-in one; name the module "
        "that registers it: predict --plugins plugin_of_mine\n"
    )
    known = subprocess.run([*predict, "--plugins", "plugin_of_mine"], capture_output=True, text=True)
    assert known.returncode == 0, known.stderr
    assert len(known.stdout.splitlines()) == 1 + 2 * (300 - 61 - 8 + 2)
