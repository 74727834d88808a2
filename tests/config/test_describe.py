"""`describe`: names, types, defaults and meaning of every key."""

from __future__ import annotations

import pytest

from hybrid_trainer.config import describe
from hybrid_trainer.config.known_keys import known_keys
from hybrid_trainer.errors import ConfigError


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert describe.main(list(arguments)) == 0
    return capsys.readouterr().out


def line_of(text: str, key: str) -> str:
    return " ".join(next(line for line in text.splitlines() if f" {key} " in line).replace("│", " ").split())


def test_a_group_is_described_key_by_key(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "model")
    assert line_of(text, "model.kernel_size") == "model.kernel_size int 3 rows that one convolution sees; odd"
    assert line_of(text, "model.heads").startswith("model.heads list[str] | None null the active targets")
    assert line_of(text, "model.cnn_filters").startswith("model.cnn_filters list[int] [32, 32] output channels")
    assert line_of(text, "model.use_context").startswith("model.use_context bool true")
    assert "training.epochs" not in text


def test_everything_is_described_without_an_argument(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys)
    assert [path for path in known_keys() if f" {path} " not in text] == []
    assert " data.targets.NAME.atr_window " in text


def test_one_option_of_a_group_is_described_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert " data.path " in shown(capsys, "data=csv")
    assert " data.path " not in shown(capsys, "data=us_stocks")


def test_targets_and_top_level_keys_are_groups_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert " data.targets.NAME.thresholds " in shown(capsys, "targets")
    assert " seed " in shown(capsys, "run")
    assert " training.losses.TASK.gamma " in shown(capsys, "losses=focal")
    assert " data.targets.NAME.thresholds " not in shown(capsys, "targets=regime")


def test_what_a_sweep_can_be_told_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert "90s, 30min, 2h" in line_of(shown(capsys, "hydra/launcher"), "hydra.launcher.time_limit")
    assert "tpe" in line_of(shown(capsys, "hydra/sweeper=optuna"), "hydra.sweeper.sampler.name")
    assert "_target_" not in shown(capsys, "hydra.launcher")


def test_any_other_word_is_looked_for_in_the_keys(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "patience")
    assert "keys with 'patience'" in text
    assert " callbacks.early_stopping.patience " in text
    assert " training.schedule.patience " in text
    assert " training.epochs " not in text


def test_a_word_that_is_nowhere_is_told_with_the_closest() -> None:
    with pytest.raises(ConfigError) as caught:
        describe.main(["modle"])
    assert str(caught.value) == "describe modle: neither a group nor a key; did you mean 'model'?"
    with pytest.raises(ConfigError) as caught:
        describe.main(["zzz"])
    assert str(caught.value) == (
        "describe zzz: neither a group nor a key; known: data, model, training, callbacks, targets, losses, run, "
        "data=us_stocks, data=csv, data=parquet, data=synthetic, model=hybrid, model=cnn, model=lstm, model=linear, "
        "model=dlinear, model=patchtst, model=tcn, model=lstnet, model=deeplob, model=mlstm_fcn, "
        "training=default, callbacks=default, targets=signal, targets=volatility, targets=regime, targets=sl_tp, "
        "targets=triple_barrier, targets=future, targets=column, losses=cross_entropy, losses=focal, losses=huber, "
        "losses=mse, losses=qlike, losses=gaussian, losses=pinball, hydra/launcher=local, hydra/sweeper=optuna"
    )
