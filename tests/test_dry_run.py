"""A dry run: what it says is right, and nothing is left behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hybrid_trainer.models import make_model
from hybrid_trainer.models.registry import InputDims
from tests.conftest import price_frame
from tests.test_command_line import TINY, cli, files_below, refused


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a dry run of a small table prints."""
    folder = tmp_path_factory.mktemp("dry")
    price_frame().write_csv(folder / "prices.csv")
    done = cli(folder, *TINY, "--dry-run", "training.batch_size=32", "training.accumulate=2", "training.epochs=7")
    assert (done.returncode, done.stderr) == (0, "")
    assert files_below(folder) == ["prices.csv"]
    return done.stdout


def test_the_shapes_of_a_batch_on_its_way_are_told(said: str) -> None:
    for line in ("input x .*\\(32, 8, 14\\)", "convolution .*\\(32, 8, 8\\)", "heads .*volatility \\(32, 1\\)"):
        assert re.search(line, said), line
    assert re.search(r"label volatility .*\(32, 1\), 32 of 32 rows", said)


def test_the_parameters_are_those_of_the_model(said: str) -> None:
    dims = InputDims(features=14, context=0, time_window=8, vocabularies={"instrument": 3}, heads={"volatility": 1})
    parameters = {
        "cnn_filters": [8], "kernel_size": 3, "lstm_units": 8, "lstm_layers": 1, "embeddings": {"instrument": 4},
        "use_context": True, "context_units": 16, "trunk_units": 64, "dropout": 0.2,
    }  # fmt: skip
    count = sum(p.numel() for p in make_model("hybrid", dims, parameters).parameters())
    assert re.search(rf"all .* {count:,} ", said)
    assert "weights 0.0 MiB" in said


def test_steps_of_an_epoch_are_counted_with_accumulation(said: str) -> None:
    rows = int(re.search(r"train .*? (\d+) ", said.replace("│", " "))[1])  # type: ignore[index]
    batches = -(-rows // 32)
    found = re.search(r"about [\d.]+ s per epoch: (\d+) steps of [\d.]+ ms, \d+ validation batches", said)
    assert found and int(found[1]) == -(-batches // 2)
    assert re.search(r"at most\s+7\s+epochs", said)


@pytest.mark.parametrize("flags", [["--dry-run", "--multirun", "seed=0,1"], ["-m", "--dry-run", "seed=1"]])
def test_a_sweep_cannot_be_tried(flags: list[str], tmp_path: Path) -> None:
    assert refused(cli(tmp_path, *flags)).startswith("error: --dry-run: tries one run; leave --multirun away")
    assert files_below(tmp_path) == []


def test_what_is_wrong_is_told_as_by_a_run(tmp_path: Path) -> None:
    price_frame(rows=20).write_csv(tmp_path / "prices.csv")
    said = refused(cli(tmp_path, *TINY, "--dry-run"))
    assert "20 row(s), too few: 73 are needed for one window (model.time_window=8)" in said
    assert files_below(tmp_path) == ["prices.csv"]
