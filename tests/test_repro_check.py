"""`repro-check`: the same command twice, in fresh processes, and where its bits part."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hybrid_trainer import repro_check
from hybrid_trainer.__main__ import run
from hybrid_trainer.config.compose import compose_config, to_config
from hybrid_trainer.config.overrides import prepare
from tests.conftest import price_frame
from tests.engine.helpers import TINY_RUN

SMALL = [*TINY_RUN[2:], "training.epochs=1", "callbacks.tensorboard.enabled=false"]  # of the embedded data
DRAWS = '''
import secrets
import numpy as np
from hybrid_trainer.data.features import Bars, Values, feature

_DRAWN = secrets.randbits(32) / 2**32

@feature("moody", 1)
def moody(bars: Bars) -> Values:
    """A move, to a power that each process draws for itself."""
    move = np.log(bars.close / bars.open)
    return np.sign(move) * np.abs(move) ** (1 + _DRAWN)
'''


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in; signal handlers are as before afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("signal.signal", lambda number, handler: handler)
    return tmp_path


@pytest.mark.slow
def test_the_same_command_gives_the_same_bits_on_the_embedded_data(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [*SMALL, "run.id=mine", "paths.model_save_path=models", "paths.cache_dir=cache", "data.cache=always"]
    assert run(["repro-check", *asked]) == 0
    said = capsys.readouterr().out
    rows = re.findall(r"│ (.+?) +│ ([0-9a-f]{16}) │ ([0-9a-f]{16}) │ (\w+) +│", said)
    assert [row[0] for row in rows] == [
        "table and engine",
        "features (golden windows)",
        "history.jsonl",
        "weights, last epoch",
        "weights, best epoch",
        "metrics.json",
        "predictions.parquet",
    ]
    assert all(first == second and word == "same" for _, first, second, word in rows)
    assert "cut:" not in said and said.endswith("every bit is the same; both runs are removed\n")
    assert list((here / "outputs").iterdir()) == []
    assert not (here / "models").exists()
    assert any((here / "cache").iterdir())  # the first run's: as any run's


@pytest.mark.slow
def test_what_does_not_repeat_is_named_and_both_runs_are_kept(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "plugin_that_draws.py").write_text(DRAWS)
    price_frame().write_csv(here / "prices.csv")
    plugin = ["plugins=[plugin_that_draws]", "data.extra_features=[moody]"]
    command = ["repro-check", *TINY_RUN, "data.path=prices.csv", "training.epochs=1", *plugin, "data.cache=always"]
    assert run([*command, "paths.cache_dir=cache"]) == 1
    said = capsys.readouterr().out
    assert re.search(
        r"^they part first in features \(golden windows\): feature moody\[0, 0\]: \S+ and \S+ \(\d+ of \d+ differ\)$",
        said,
        re.M,
    )
    for what, where in (
        ("history.jsonl", r"epoch 1, train/loss: \S+ and \S+"),
        ("weights, last epoch", r"\w+[\w.]*\[[\d, ]+\]: \S+ and \S+ \(\S+ of \S+ differ\)"),
        ("predictions.parquet", r"signal_probs\[0, 0\]: \S+ and \S+ \(\d+ of \d+ differ\)"),
    ):
        assert re.search(rf"^then in {what}: {where}$", said, re.M), what
    assert re.search(r"│ table and engine +│ (\w{16}) │ \1 │ same +│", said)
    (kept,) = (here / "outputs").iterdir()
    assert f"both runs are kept: outputs/{kept.name}\n" in said
    assert sorted(path.name for path in kept.iterdir()) == ["first", "first.log", "second", "second.log"]
    assert (kept / "second" / "run.json").is_file()


def test_a_run_that_goes_wrong_is_told_with_its_own_words_and_leaves_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "prices.csv").write_text("timestamp,instrument,open,high,low,close,volume\n2020-01-01,A,1,1,1,1,1\n")
    assert run(["repro-check", *TINY_RUN, "data.path=prices.csv"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: repro-check: prices.csv: there are 1 row(s), too few: ")
    assert error.count("\n") == 1
    assert list((here / "outputs").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["training.epoch=1"], "error: training.epoch: no such key; did you mean 'training.epochs'?"),
        (["--rounds", "3"], "error: python -m hybrid_trainer repro-check: unrecognized arguments: --rounds"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(["repro-check", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(said) and error.count("\n") == 1
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("overrides", "cut"),
    [
        ([], ["training.epochs=2"]),
        (["experiment=quick"], ["training.epochs=2"]),
        (["training.epochs=5"], []),
        (["++training.epochs=5"], []),
    ],
)
def test_epochs_are_cut_unless_they_are_given(overrides: list[str], cut: list[str]) -> None:
    config = to_config(compose_config(prepare(overrides)))
    assert repro_check._cut(config, overrides) == cut
