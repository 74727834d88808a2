"""What plug-ins add to the config is described and checked like what is built in."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from hybrid_trainer.config import describe
from hybrid_trainer.config.compose import compose_config, to_config
from hybrid_trainer.config.known_keys import known_keys
from hybrid_trainer.config.overrides import prepare
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.extend import CallbackConfig, ModelConfig, callback, model
from tests.conftest import EXAMPLES, make_config
from tests.test_extend import ALL


@pytest.fixture(autouse=True)
def package(plugging: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The example package can be imported, as if it were installed; the current folder is a user's."""
    monkeypatch.syspath_prepend(str(EXAMPLES / "trend_plugins"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        make_config(*overrides)
    return str(caught.value)


def test_what_plug_ins_bring_is_described_and_checked_like_what_is_built_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert describe.main(["model=gated", "--plugins", "trend_plugins"]) == 0
    shown = capsys.readouterr().out
    assert "model.units" in shown and "size of the shared layer" in shown and "gated" in shown
    for word, line in {
        "data=random_walk": "data.walks",
        "targets=drawdown": "data.targets.NAME.from_lows",
        "extra=weight_norm": "callbacks.extra.weight_norm.limit",
        "schedule=halving": "training.schedule.options.every",
    }.items():
        assert describe.main([word]) == 0
        assert line in capsys.readouterr().out
    assert known_keys()["model.units"].options == ["model=gated"]


WRONG = [
    ("model.unit=3", "model.unit: no such key; did you mean 'model.units'?"),
    ("model.units=0", "model.units: 0 is out of range; it must be at least 1"),
    ("model.units=many", "model.units: 'many' is not an integer (size of the shared layer; default 32)"),
    ("data.walk=3", "data.walk: no such key; did you mean 'data.walks'?"),
    ("callbacks.extra.weight_norm.limt=3", "callbacks.extra.weight_norm.limt: no such key; did you mean 'limit'?"),
    ("callbacks.extra.weight_norm.limit=0", "callbacks.extra.weight_norm.limit: 0.0 is out of range"),
    ("callbacks.extra.weight_norms={}", "callbacks.extra.weight_norms: there is no callback 'weight_norms'"),
    ("callbacks.extra.weight_norm=3", "callbacks.extra.weight_norm: 3 must be a mapping"),
    ("training.schedule.options.evry=3", "training.schedule.options.evry: no such key; did you mean 'every'?"),
    ("training.schedule.options.every=0", "training.schedule.options.every: 0 is out of range"),
    ("training.schedule.kind=halfing", "training.schedule.kind: 'halfing' is not one of"),
    ("training.schedule.kind=cosine", "training.schedule.options: for a schedule of a plug-in; 'cosine' has none"),
    ("data.targets.fall.from_low=true", "data.targets.fall.from_low: no such key; did you mean 'from_lows'?"),
    ("data.targets.fall.builder=drawdwn", "data.targets.fall.builder: 'drawdwn' is not a builder; did you mean"),
]


def test_a_wrong_key_is_one_line() -> None:
    composed = compose_config(prepare(ALL))
    plain = OmegaConf.to_container(OmegaConf.masked_copy(composed, [key for key in composed if key != "hydra"]))
    for override, said in WRONG:
        path, _, value = override.partition("=")
        changed = OmegaConf.create(copy.deepcopy(plain))
        OmegaConf.update(changed, path, yaml.safe_load(value), merge=False, force_add=True)
        with pytest.raises(ConfigError) as caught:
            to_config(changed)
        assert str(caught.value).startswith(said), override


def test_without_the_plug_in_its_names_are_unknown() -> None:
    assert refused("model=gated").startswith("model: there is no option 'gated'")
    assert refused("callbacks.extra.weight_norm={}").startswith(
        "callbacks.extra.weight_norm: there is no callback 'weight_norm'; no plug-in has brought one"
    )


@pytest.mark.parametrize("builtin", ["hybrid", "cnn"])
def test_a_name_that_is_taken_and_a_config_that_is_none_are_refused(builtin: str) -> None:
    with pytest.raises(ValueError, match=f"already a model named '{builtin}'"):
        model(builtin, ModelConfig)(torch.nn.Identity)
    with pytest.raises(ValueError, match="must be a dataclass that extends CallbackConfig"):
        callback("mine", int)  # type: ignore[arg-type]
        callback("mine", int)(lambda folder: None)  # type: ignore[arg-type,return-value]


def test_a_field_without_a_default_is_refused() -> None:
    @dataclass(kw_only=True)
    class Bare(CallbackConfig):
        limit: float

    with pytest.raises(ValueError, match=r"limit needs a default: limit: int = key\(1, 'what it means'\)"):
        callback("mine", Bare)(lambda folder: None)  # type: ignore[arg-type,return-value]
