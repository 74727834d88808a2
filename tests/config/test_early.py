"""Plug-ins are imported before anything is composed, wherever they are named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

from hybrid_trainer.config import user_files
from hybrid_trainer.config.compose import compose_config, to_config
from hybrid_trainer.config.early import load_named, on_command_line
from hybrid_trainer.config.overrides import prepare
from hybrid_trainer.config.schema import OPTIONS, Config
from hybrid_trainer.errors import ConfigError

PLUGIN = """
from dataclasses import dataclass
from hybrid_trainer.extend import DataConfig, ModelConfig, key, model, source

@dataclass(kw_only=True)
class Mine(ModelConfig):
    units: int = key(4, "size")
    parts: dict[str, int] = key({"a": 1}, "an open mapping")

@model("mine", Mine)
class Made:
    pass
"""


@pytest.fixture(autouse=True)
def folder(plugging: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with a plug-in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugin_with_model.py").write_text(PLUGIN)
    return tmp_path


def file(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def composed(*arguments: str) -> Config:
    """As every command composes."""
    rest = user_files.take_config_option(list(arguments))
    return to_config(compose_config(prepare(user_files.overrides() + rest)))


NAMED = "plugins: [plugin_with_model]\n"
GLOBAL = "# @package _global_\n"


def test_named_on_the_command_line() -> None:
    config = composed("plugins=[plugin_with_model]", "model=mine", "model.units=7", "model.parts.b=2")
    assert config.model.name == "mine"
    assert (config.model.units, config.model.parts) == (7, {"a": 1, "b": 2})  # type: ignore[attr-defined]


def test_a_source_may_need_a_value_that_nobody_has_given_yet(folder: Path) -> None:
    """It extends the built-in one, whose checks want a file; where it isn't chosen, none of them is made."""
    (folder / "plugin_with_model.py").write_text(
        PLUGIN + "from hybrid_trainer.config.data import TableData\nsource('lines', TableData)(print)\n"
    )
    assert composed("plugins=[plugin_with_model]", "model=mine").data.name == "us_stocks"
    with pytest.raises(ConfigError, match="data=lines needs a file"):
        composed("plugins=[plugin_with_model]", "data=lines")
    config = composed("plugins=[plugin_with_model]", "data=lines", "paths.processed_data_path=a.csv")
    assert config.data.path == "a.csv"  # type: ignore[attr-defined]
    assert sorted(config.data.targets) == ["regime", "signal", "sl_tp", "volatility"]


def test_an_entry_of_its_mapping_can_be_removed() -> None:
    config = composed("plugins=[plugin_with_model]", "model=mine", "~model.parts.a")
    assert config.model.parts == {}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("files", "arguments"),
    [
        ({"f.yaml": f"{NAMED}model: {{name: mine, units: 7}}\n"}, ["--config", "f.yaml"]),
        ({"f.yaml": f"{NAMED}defaults: [override /model: mine]\nmodel: {{units: 7}}\n"}, ["--config=f.yaml"]),
        ({"f.yaml": NAMED}, ["--config", "f.yaml", "model=mine", "model.units=7"]),
        (
            {"conf/experiment/e.yaml": f"{GLOBAL}defaults: [override /model: mine]\n{NAMED}model: {{units: 7}}\n"},
            ["experiment=e"],
        ),
        (
            {"conf/experiment/e.yaml": GLOBAL + NAMED},
            ["experiment=e", "model=mine", "model.units=7", "model.parts.b=1"],
        ),
        (  # an experiment upon another
            {
                "conf/experiment/base.yaml": GLOBAL + NAMED,
                "conf/experiment/e.yaml": f"{GLOBAL}defaults: [base, override /model: mine]\nmodel: {{units: 7}}\n",
            },
            ["experiment=e"],
        ),
        (  # a file of keys upon an experiment
            {
                "conf/experiment/e.yaml": GLOBAL + NAMED,
                "f.yaml": "defaults: [override /experiment: e, override /model: mine]\nmodel: {units: 7}\n",
            },
            ["--config", "f.yaml"],
        ),
        (  # an option of the user's own upon the plug-in's
            {
                "conf/model/big.yaml": "defaults: [/schema/model/mine@_here_, _self_]\nunits: 7\n",
                "conf/experiment/e.yaml": f"{GLOBAL}{NAMED}",
            },
            ["experiment=e", "model=big"],
        ),
    ],
)
def test_named_in_a_file(files: dict[str, str], arguments: list[str], folder: Path) -> None:
    for name, text in files.items():
        file(folder, name, text)
    config = composed(*arguments)
    assert (config.model.name, config.model.units) == ("mine", 7)  # type: ignore[attr-defined]
    assert config.plugins == ["plugin_with_model"]


def test_the_command_line_wins_over_a_file(folder: Path) -> None:
    file(folder, "f.yaml", "plugins: [plugin_that_is_not_there]\n")
    config = composed("--config", "f.yaml", "plugins=[plugin_with_model]", "model=mine")
    assert config.plugins == ["plugin_with_model"]


def test_each_job_of_a_sweep_has_its_own(folder: Path) -> None:
    assert on_command_line(["plugins=[a],[b,c]", "seed=1,2"]) == ["a", "b", "c"]
    assert on_command_line(["seed=1", "plugins=[]"]) == []
    assert on_command_line(["seed=1"]) is None
    file(folder, "conf/experiment/e.yaml", GLOBAL + NAMED)
    file(folder, "conf/experiment/other.yaml", f"{GLOBAL}seed: 2\n")
    load_named([*user_files.overrides(), "experiment=other,e", "seed=1,2"])
    assert "mine" in OPTIONS["model"]


def test_what_is_unknown_stays_unknown_and_leaves_nothing_behind(folder: Path) -> None:
    file(folder, "conf/experiment/e.yaml", f"{GLOBAL}defaults: [override /model: nobodys]\nplugins: []\n")
    with pytest.raises(ConfigError, match="model: there is no option 'nobodys'"):
        composed("experiment=e")
    assert "nobodys.yaml" not in ConfigStore.instance().repo.get("model", {})


def test_without_plug_ins_nothing_is_composed_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file(folder, "conf/experiment/e.yaml", f"{GLOBAL}seed: 3\n")
    monkeypatch.setattr("hybrid_trainer.config.early.compose_tree", lambda overrides: pytest.fail("composed"))
    load_named([*user_files.overrides(), "experiment=e"])
    assert "plugin_with_model" not in sys.modules
