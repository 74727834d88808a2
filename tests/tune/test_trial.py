"""Trials: the steps of a run, the same for the same seed, and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.train import train
from hybrid_trainer.tune.trial import Trial, config_of, dataset_of, with_values
from tests.conftest import make_config

SMALL = ["data=synthetic", "data.instruments=2", "data.rows=400", "model.time_window=8", "model.lstm_units=8"]


@pytest.fixture(scope="module")
def data() -> Dataset:
    return dataset_of(make_config(*SMALL))[0]


def test_values_are_changed_in_a_copy_and_checked() -> None:
    config = make_config(*SMALL)
    other = with_values(config, {"training.threads": 4, "training.precision": "bf16", "seed": 3})
    assert (other.training.threads, other.training.precision, other.seed) == (4, "bf16", 3)
    assert (config.training.threads, config.training.precision, config.seed) == (1, "auto", 0)
    assert other.model is config.model
    with pytest.raises(ConfigError, match=r"training\.threads: 0 is out of range"):
        with_values(config, {"training.threads": 0})


def test_the_same_config_has_the_same_losses_and_another_seed_others(data: Dataset) -> None:
    config = make_config(*SMALL, "training.batch_size=16")
    losses: list[list[float]] = []
    for seed in (0, 1, 0):
        trial = Trial(with_values(config, {"seed": seed}), data)
        losses.append([trial.step() for _ in range(4)])
    assert losses[0] == losses[2] != losses[1]


def test_the_first_loss_is_that_of_a_run(data: Dataset, tmp_path: Path) -> None:
    rows = len(data.split.rows["train"])
    given = [*SMALL, f"training.batch_size={rows}", "training.epochs=1", f"paths.root={tmp_path}"]
    config = make_config(*given)
    run = train(config, tmp_path / "run", given)
    assert Trial(config, data).step() == pytest.approx(run.record["metrics"]["train/loss"], rel=1e-6)


def test_batches_are_whole_and_go_on_after_an_epoch(data: Dataset) -> None:
    rows = len(data.split.rows["train"])
    trial = Trial(make_config(*SMALL, f"training.batch_size={rows // 3 - 1}"), data)  # three, and a small one
    groups = [next(trial._groups) for _ in range(7)]
    assert {len(batch.row) for group in groups for batch in group} == {rows // 3 - 1}
    assert trial.windows_per_step() == rows // 3 - 1
    seen = [group[0].row.tolist() for group in groups]
    assert sorted(seen[0]) != sorted(seen[3])  # another epoch's order


def test_accumulated_updates_count_all_their_windows(data: Dataset) -> None:
    trial = Trial(make_config(*SMALL, "training.batch_size=16", "training.accumulate=3"), data)
    assert trial.windows_per_step() == 48 == sum(len(batch.row) for batch in next(trial._groups))


def test_few_rows_make_one_small_batch(data: Dataset) -> None:
    rows = len(data.split.rows["train"])
    trial = Trial(make_config(*SMALL, "training.batch_size=100000"), data)
    assert trial.windows_per_step() == rows == len(next(trial._groups)[0].row)


def test_the_time_of_a_step_is_the_median_after_a_warm_up(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial(make_config(*SMALL), data)
    clock = iter([0, 1, 10, 15, 20, 22, 30, 33.0])  # four steps of 1, 5, 2 and 3 seconds
    steps: list[int] = []
    monkeypatch.setattr(trial, "step", lambda: steps.append(1) or 0.0)
    monkeypatch.setattr("hybrid_trainer.tune.trial.time.perf_counter", lambda: next(clock))
    assert trial.seconds_per_step(8.5, 2) == 2.5
    assert len(steps) == 2 + 4


def test_a_config_comes_from_overrides() -> None:
    assert config_of(["data=synthetic", "seed=4"]).seed == 4
    with pytest.raises(ConfigError, match="did you mean"):
        config_of(["sed=4"])
