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
from hybrid_trainer.extend import CallbackConfig, ModelConfig, callback, loss, metric, model
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
        "losses=log_cosh": "training.losses.TASK.width",
        "metrics=sure_accuracy": "training.metrics.sure_accuracy.share",
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
    ("training.losses.fall={name: log_cosh, widht: 2}", "training.losses.fall.widht: no such key of the loss"),
    ("training.losses.fall={name: log_cosh, width: 0}", "training.losses.fall.width: 0.0 is out of range"),
    ("training.losses.fall=log_cos", "training.losses.fall: there is no loss 'log_cos'; did you mean 'log_cosh'?"),
    (
        "training.losses.signal=log_cosh",
        "training.losses.signal: 'log_cosh' does not fit classification; use cross_ent",
    ),
    (
        "training.metrics.sure_accuracy.shar=1",
        "training.metrics.sure_accuracy.shar: no such key; did you mean 'share'?",
    ),
    ("training.metrics.sure_accuracy.share=0", "training.metrics.sure_accuracy.share: 0.0 is out of range"),
    ("training.metrics.sure_acuracy={}", "training.metrics.sure_acuracy: there is no metric 'sure_acuracy'; did you"),
    (
        "model.heads=[fall]",
        "training.metrics.sure_accuracy: it is for heads of classification, of which none is active",
    ),
    (
        "callbacks.checkpoint.monitor=valid/fall/sure_accuracy",
        "callbacks.checkpoint.monitor: 'valid/fall/sure_accuracy",
    ),
    (
        "callbacks.checkpoint.monitor=train/signal/sure_accuracy",
        "callbacks.checkpoint.monitor: 'train/signal/sure_accu",
    ),
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
    assert refused("training.losses.signal=log_cosh").startswith("training.losses.signal: there is no loss 'log_cosh'")
    assert refused("training.metrics.sure_accuracy={}") == (
        "training.metrics.sure_accuracy: there is no metric 'sure_accuracy'; no plug-in has brought one: name it in "
        "plugins=[...]"
    )
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


def test_losses_and_metrics_say_what_they_are_for_and_take_no_built_in_name() -> None:
    with pytest.raises(ValueError, match="already a loss named 'huber'"):
        loss("huber", kinds=("regression",))(torch.nn.HuberLoss)
    for name in ("mae", "auroc", "recall_up", "loss", "qlike"):
        with pytest.raises(ValueError, match=f"already a metric named '{name}'"):
            metric(name, kinds=("regression",), better="larger")(max)
    for kinds in ("regression", (), ("numbers",)):
        with pytest.raises(ValueError, match=r"'mine': kinds=.* must be some of classification, regression, quantile"):
            metric("mine", kinds=kinds, better="larger")(max)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="better='more' must be 'larger' or 'smaller'"):
        metric("mine", kinds=("regression",), better="more")(max)


def test_a_field_without_a_default_is_refused() -> None:
    @dataclass(kw_only=True)
    class Bare(CallbackConfig):
        limit: float

    with pytest.raises(ValueError, match=r"limit needs a default: limit: int = key\(1, 'what it means'\)"):
        callback("mine", Bare)(lambda folder: None)  # type: ignore[arg-type,return-value]
