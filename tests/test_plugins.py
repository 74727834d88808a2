"""Modules of the user's own, found in the current folder, and what goes wrong with them."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest

from hybrid_trainer.__main__ import run
from hybrid_trainer.data.features import FEATURES
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.plugins import digests, hint, installed, is_own, load_plugins, own_code
from hybrid_trainer.train import train
from tests.conftest import make_config, price_frame

MODULE = '''
import numpy as np
from hybrid_trainer.extend import Bars, Values, feature, rolling_mean

@feature("body_5", 5)
def body(bars: Bars) -> Values:
    """Mean move from open to close."""
    return rolling_mean(np.log(bars.close / bars.open), 5)
'''


@pytest.fixture(autouse=True)
def folder(plugging: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of a user; what is imported from it is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
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


@pytest.fixture
def package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with two plug-ins, one of them broken; the folder that it is in."""
    site = folder / "site"
    (site / "acme-1.0.dist-info").mkdir(parents=True)
    (site / "acme-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (site / "acme-1.0.dist-info" / "entry_points.txt").write_text(
        "[hybrid_trainer.plugins]\nacme = acme_parts.fine\nacme_broken = acme_parts.broken\n"
    )
    (site / "acme_parts").mkdir()
    (site / "acme_parts" / "__init__.py").touch()
    (site / "acme_parts" / "fine.py").write_text(MODULE)
    (site / "acme_parts" / "broken.py").write_text("raise OSError('no licence')")
    monkeypatch.syspath_prepend(str(site))
    return site


def test_an_installed_plug_in_is_known_by_its_name_and_imported_when_it_is_named(package: Path) -> None:
    assert installed()["acme"] == "acme_parts.fine"
    assert hint() == " (installed, but not named: plugins=[acme,acme_broken])"
    assert hint(["acme_broken"]) == " (installed, but not named: plugins=[acme])"
    config = make_config("plugins=[acme]", "data.extra_features=[body_5]")  # the broken one does no harm
    assert config.plugins == ["acme"]
    assert "acme_parts.broken" not in sys.modules
    assert hint() == " (installed, but not named: plugins=[acme_broken])"


def test_a_broken_installed_plug_in_is_named_by_those_alone_that_use_it(package: Path) -> None:
    assert refused("acme_broken").startswith("plugins: 'acme_broken' cannot be imported from")
    assert refused("acme_broken").endswith("(OSError: no licence)")
    assert refused("acne").endswith("(ModuleNotFoundError: No module named 'acne'); did you mean 'acme'?")


def test_an_unknown_option_tells_of_installed_plug_ins(package: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no option 'gated'.*not named: plugins=\[acme,acme_broken\]"):
        make_config("model=gated")


def test_the_digest_of_a_plug_ins_code_is_that_of_all_its_files(package: Path, folder: Path) -> None:
    (folder / "plugin_of_mine.py").write_text(MODULE.replace("body_5", "body"))
    load_plugins(["acme", "acme_parts", "plugin_of_mine"])
    before = digests(["acme", "acme_parts", "plugin_of_mine"])
    (package / "acme_parts" / "broken.py").write_text("raise OSError('no licence at all')")
    after = digests(["acme", "acme_parts", "plugin_of_mine"])
    assert {name for name in before if before[name] != after[name]} == {"acme_parts"}
    assert digests([]) == {}


def test_a_built_in_class_with_some_arguments_given_is_no_users_code() -> None:
    assert not is_own(partial(load_plugins, []))
    assert is_own(partial(refused))


def test_only_a_users_own_code_is_excused(folder: Path) -> None:
    one_line = r"^model 'x': ValueError: two lines \(.*test_plugins.py:\d+\)$"
    with pytest.raises(ConfigError, match=one_line), own_code("model 'x'", refused):
        raise ValueError("two\nlines")
    with pytest.raises(ValueError, match="built in"), own_code("model 'x'", load_plugins):
        raise ValueError("built in")


def test_a_model_with_a_feature_of_the_users_own_asks_for_its_module(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "plugin_of_mine.py").write_text(MODULE)
    price_frame(300).write_csv(folder / "prices.csv")
    keys = ["data=csv", "data.path=prices.csv", "data.instrument=instrument", "experiment=quick", "training.epochs=1"]
    small = ["model.lstm_units=8", "model.cnn_filters=[8]", "model.time_window=8"]
    own = [
        "plugins=[plugin_of_mine]",
        "data.feature_set=core",
        "data.extra_features=[body_5]",
        "data.expressions.place=col('close').log().diff(3).clip(-0.1, 0.1)",
    ]
    train(make_config(*keys, *small, *own), folder / "outputs" / "run", [])
    del FEATURES._entries["body_5"], sys.modules["plugin_of_mine"]  # as in a fresh process
    capsys.readouterr()
    predict = ["predict", "outputs/run/model", "prices.csv"]
    assert run(predict) == 2
    assert capsys.readouterr() == (
        "",
        "error: outputs/run/model: the model needs the feature 'body_5', which is not a built-in one; name the module "
        "that registers it: predict --plugins plugin_of_mine\n",
    )
    assert run([*predict, "--plugins", "plugin_of_mine"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + 2 * (300 - 61 - 8 + 2)
