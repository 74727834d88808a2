"""lr-find: on a small table, and on models that the test makes up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hybrid_trainer.errors import ConfigError, TrainingError
from hybrid_trainer.tune import lr_find
from hybrid_trainer.tune.curve import rates_between
from hybrid_trainer.tune.trial import Trial
from tests.conftest import make_config
from tests.test_command_line import files_below
from tests.tune.test_trial import SMALL

QUICK = [*SMALL, "training.batch_size=16", "--steps", "30"]
PNG = b"\x89PNG\r\n\x1a\n"


def test_a_picture_the_numbers_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert lr_find.main([*QUICK, "--lowest", "1e-5"]) == 0
    assert files_below(tmp_path) == ["lr.json", "lr.png"]
    assert (tmp_path / "lr.png").read_bytes().startswith(PNG)
    written = json.loads((tmp_path / "lr.json").read_text())
    rates = written["learning_rate"]
    assert rates == pytest.approx(np.geomspace(1e-5, 1, 30)[: len(rates)])
    assert len(rates) == len(written["loss"]) == len(written["smoothed"])
    steepest = written["suggestion"]["steepest"]
    assert steepest in rates
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == f"training.learning_rate={steepest:.2g}"
    assert said.err == ""
    assert make_config(said.out.splitlines()[-1]).training.learning_rate == pytest.approx(steepest, rel=0.05)


def test_it_repeats_for_a_seed(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        lr_find.main([*QUICK, "--lowest", "1e-4", f"seed={seed}", "-o", str(tmp_path / f"{name}.png")])
    a, b, c = ((tmp_path / f"{name}.json").read_bytes() for name in "abc")
    assert a == b != c
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    "overrides",
    [
        ["training.precision=bf16", "model=lstm"],
        ["training.accumulate=3", "training.optimizer=sgd", "model=linear", "model.lstm_units=null"],
        ["model.heads=[volatility]", "model=cnn"],
    ],
    ids=" ".join,
)
def test_other_models_precisions_and_tasks(overrides: list[str]) -> None:
    own = [each for each in SMALL if "lstm" not in each or "model=lstm" in overrides]
    config = make_config(*own, "training.batch_size=16", *(each for each in overrides if "=null" not in each))
    losses = lr_find.losses_of(config, rates_between(1e-6, 1e-3, 12))
    assert losses.shape == (12,) and np.isfinite(losses).all()


def test_each_step_is_taken_at_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[float]] = []

    def step(self: Trial) -> float:
        seen.append([group["lr"] for group in self.trainer.stepper.optimizer.param_groups])
        return 1.0

    monkeypatch.setattr(Trial, "step", step)
    lr_find.losses_of(make_config(*SMALL), np.array([1e-4, 1e-2, 1.0]))
    assert seen == [[1e-4, 1e-4], [1e-2, 1e-2], [1.0, 1.0]]


def test_a_loss_that_only_grows_has_a_picture_but_no_suggestion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    losses = iter(np.linspace(1, 2, 30).tolist())
    monkeypatch.setattr(Trial, "step", lambda self: next(losses))
    with pytest.raises(TrainingError, match="the loss never fell"):
        lr_find.main([*QUICK, "-o", str(tmp_path / "up.png")])
    assert files_below(tmp_path) == ["up.json", "up.png"]
    assert json.loads((tmp_path / "up.json").read_text())["suggestion"] is None


def test_divergence_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    losses = iter([*np.linspace(2, 1, 20).tolist(), 99.0])
    monkeypatch.setattr(Trial, "step", lambda self: next(losses))
    lr_find.main([*QUICK, "-o", str(tmp_path / "up.png"), "--lowest", "1e-4", "--highest", "10"])
    assert f"stopped at {1e-4 * 10 ** (5 * 20 / 29):.1e}: the loss diverged" in capsys.readouterr().out
    monkeypatch.setattr(Trial, "step", lambda self: float("nan"))
    with pytest.raises(TrainingError, match="the first loss is not finite"):
        lr_find.main([*QUICK, "-o", str(tmp_path / "nan.png")])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "lr.pdf"], r"lr\.pdf: the suffix must be \.png"),
        (["--lowest", "0"], "--lowest: 0.0 must be above 0"),
        (["--lowest", "2"], r"below --highest \(1.0\)"),
        (["--steps", "9"], "--steps: 9 must be at least 10"),
    ],
)
def test_wrong_input_is_told(arguments: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        lr_find.main([*SMALL, *arguments])
