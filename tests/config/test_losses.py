"""training.losses: names and options, from the command line and from Python, and what of them is refused."""

from __future__ import annotations

import pytest

from hybrid_trainer.config.consistency import loss_of
from hybrid_trainer.config.losses import CrossEntropyConfig, FocalConfig, GaussianConfig, HuberConfig, QlikeConfig
from hybrid_trainer.config.training import TrainingConfig
from hybrid_trainer.errors import ConfigError
from tests.conftest import make_config

OWN = ["data.targets.own={column: Close, kind: regression, allow_contemporaneous: true}", "model.heads=[own]"]


def refused(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        make_config(*overrides)
    return str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        ["training.losses.signal={name: focal, gamma: 3}"],
        ["training.losses={signal: {name: focal, gamma: 3}}"],
        ["training.losses.signal.name=focal", "training.losses.signal.gamma=3"],
        ["training.losses.signal.gamma=3", "training.losses.signal.name=focal"],
        ["training.losses.signal=focal", "training.losses.signal={name: focal, gamma: 3}"],
    ],
)
def test_a_loss_with_options_is_a_mapping(given: list[str]) -> None:
    assert make_config(*given).training.losses == {"signal": FocalConfig(gamma=3.0)}


def test_a_name_alone_has_the_default_options() -> None:
    config = make_config("training.losses.signal=focal", "training.losses.volatility=qlike")
    assert config.training.losses == {"signal": FocalConfig(gamma=2.0), "volatility": QlikeConfig()}
    assert TrainingConfig(losses={"a": "huber"}).losses == {"a": HuberConfig(delta=1.0)}
    assert TrainingConfig(losses={"a": GaussianConfig()}).losses == {"a": GaussianConfig()}


def test_every_task_has_a_loss() -> None:
    config = make_config("training.losses.signal=focal")
    assert loss_of(config, "signal") == FocalConfig()
    assert loss_of(config, "regime") == CrossEntropyConfig()
    assert loss_of(config, "sl_tp") == HuberConfig()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("training.losses.signal=focall", "training.losses.signal: there is no loss 'focall'; did you mean 'focal'?"),
        (
            "training.losses.signal.name=focall",
            "training.losses.signal.name: there is no loss 'focall'; did you mean 'focal'?",
        ),
        (
            "training.losses.signal={name: focal, gama: 2}",
            "training.losses.signal.gama: no such key of the loss 'focal'; did you mean 'gamma'?",
        ),
        (
            "training.losses.signal={name: cross_entropy, gamma: 2}",
            "training.losses.signal.gamma: no such key of the loss 'cross_entropy'; known: name, label_smoothing",
        ),
        (
            "training.losses.signal={name: focal, gamma: much}",
            "training.losses.signal.gamma: 'much' is not a number",
        ),
        (
            "training.losses.signal={name: focal, gamma: -1}",
            "training.losses.signal.gamma: -1.0 is out of range; it must be at least 0 and at most 20",
        ),
        (
            "training.losses.signal={name: cross_entropy, label_smoothing: 1}",
            "training.losses.signal.label_smoothing: 1.0 is out of range; it must be at least 0 and at most 0.99",
        ),
        (
            "training.losses.sl_tp={name: huber, delta: 0}",
            "training.losses.sl_tp.delta: 0.0 is out of range; it must be above 0",
        ),
        (
            "training.losses.signal={gamma: 2}",
            "training.losses.signal: name a loss: training.losses.signal=focal, or training.losses.signal.name=focal "
            "with its options beside it",
        ),
        (
            "training.losses.signal=5",
            "training.losses.signal: name a loss: training.losses.signal=focal, or training.losses.signal.name=focal "
            "with its options beside it",
        ),
        (
            "training.losses.signal=qlike",
            "training.losses.signal: 'qlike' does not fit classification; use cross_entropy or focal",
        ),
        (
            "training.losses.sl_tp=qlike",
            "training.losses.sl_tp: 'qlike': data.targets.sl_tp is no volatility; qlike is for builder=volatility and "
            "for columns that hold the log of one",
        ),
        (
            "training.losses.volatility={name: qlike, of: log_variance}",
            "training.losses.volatility: 'qlike': data.targets.volatility is a log_volatility; leave 'of' out",
        ),
        (
            "training.losses.volatility={name: qlike, of: volatility}",
            "training.losses.volatility.of: 'volatility' is not one of log_volatility, log_variance; "
            "did you mean 'log_volatility'?",
        ),
    ],
)
def test_what_is_wrong_is_told_in_a_line(given: str, text: str) -> None:
    assert refused(given) == text


def test_a_column_must_say_what_it_is_the_logarithm_of() -> None:
    assert refused(*OWN, "training.losses.own=qlike") == (
        "training.losses.own: 'qlike': data.targets.own is a column: say of=log_volatility or of=log_variance, if it "
        "is the logarithm of one of them"
    )
    config = make_config(*OWN, "training.losses.own={name: qlike, of: log_variance}")
    assert config.training.losses == {"own": QlikeConfig(of="log_variance")}
