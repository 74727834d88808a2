"""Giving up: what a training reports, when it is ended, and that Optuna stays away where nothing is searched."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from hybrid_trainer.errors import ConfigError, RunDirError
from hybrid_trainer.sweeps.pruning import Pruning, watchers
from hybrid_trainer.sweeps.search.record import RETRIED, StudyRecord, read_record, write_record
from hybrid_trainer.sweeps.search.storage import open_storage
from hybrid_trainer.trainer import Trainer
from tests.engine.helpers import Scripted, make_loader, make_panel, make_trainer

PANEL = make_panel()
NAN = float("nan")


def study_with(*curves: list[float], direction: str = "minimize", startup: int = 1) -> optuna.Study:
    """A study with complete trials that have reported these curves, and a running one."""
    pruner = optuna.pruners.MedianPruner(n_startup_trials=startup)
    study = optuna.create_study(direction=direction, pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))
    for curve in curves:
        trial = study.ask()
        for epoch, value in enumerate(curve, start=1):
            trial.report(value, epoch)
        study.tell(trial, curve[-1])
    study.ask()
    return study


def fitted(watcher: Pruning, values: list[float]) -> Trainer:
    """Train with the objective of each epoch as given."""
    trainer = make_trainer(epochs=len(values), callbacks=[Scripted(watcher.objective, values), watcher])
    trainer.fit(make_loader(PANEL, 10, 17), make_loader(PANEL, 30, 37))
    return trainer


@pytest.mark.parametrize(
    ("direction", "curve", "values", "ends_after"),
    [
        ("minimize", [3.0, 2.0, 1.0, 0.5], [2.5, 2.5, 0.9, 0.4], 2),
        ("minimize", [3.0, 2.0, 1.0, 0.5], [2.5, 1.5, 0.9, 9.0], 4),
        ("maximize", [0.1, 0.2, 0.3, 0.4], [0.1, 0.1, 0.9, 0.9], 2),
        ("minimize", [3.0, 2.0, 1.0, 0.5], [NAN, 0.1, 0.1, 0.1], 1),
    ],
)
def test_a_training_ends_with_the_first_epoch_that_is_worse_than_the_median(
    direction: str, curve: list[float], values: list[float], ends_after: int
) -> None:
    study = study_with(curve, direction=direction)
    trainer = fitted(Pruning(study, 1, "valid/x"), values)
    assert trainer.epoch == ends_after
    assert trainer.pruned is (ends_after < 4)
    reported = study.trials[1].intermediate_values
    assert [reported[epoch] for epoch in sorted(reported)] == pytest.approx(values[:ends_after], nan_ok=True)
    if trainer.pruned:
        said = f"valid/x {values[ends_after - 1]:.6g} is no better than other trials' there"
        assert trainer.stop_reason == f"pruned after epoch {ends_after}: {said}"


def test_a_training_that_ends_anyhow_is_not_given_up() -> None:
    trainer = fitted(Pruning(study_with([1.0, 1.0]), 1, "valid/x"), [0.5, 9.0])
    assert (trainer.epoch, trainer.pruned, trainer.stop_reason) == (2, False, None)


def test_a_trial_that_had_failed_is_not_given_up_when_it_is_run_again() -> None:
    study = study_with([1.0, 1.0, 1.0])
    study.tell(1, state=TrialState.FAIL)
    assert fitted(Pruning(study, 1, "valid/x"), [9.0, 9.0, 9.0]).epoch == 1
    study.set_user_attr(RETRIED, [1])
    assert fitted(Pruning(study, 1, "valid/x"), [9.0, 9.0, 9.0]).epoch == 3


def test_a_further_run_of_a_trial_is_judged_by_its_own_numbers_and_reports_none() -> None:
    study = study_with([3.0, 2.0, 1.0])
    first = fitted(Pruning(study, 1, "valid/x"), [2.0, 1.0, 0.5])
    second = fitted(Pruning(study, 1, "valid/x", speaks=False), [2.0, 2.5, 0.1])
    assert (first.epoch, first.pruned) == (3, False)
    assert (second.epoch, second.pruned) == (3, False)
    third = fitted(Pruning(study, 1, "valid/x", speaks=False), [9.0, 9.0, 9.0])
    assert (third.epoch, third.pruned) == (1, True)
    assert study.trials[1].intermediate_values == {1: 2.0, 2: 1.0, 3: 0.5}


def test_a_run_whose_trial_was_given_up_ends_with_its_epoch() -> None:
    study = study_with([1.0])
    study.tell(1, state=TrialState.PRUNED)
    trainer = fitted(Pruning(study, 1, "valid/x", speaks=False), [0.1, 0.1, 0.1])
    assert trainer.stop_reason == "pruned after epoch 1: another run of trial 1 was given up"


def test_a_resumed_run_reports_what_is_new_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_with([3.0, 2.0, 1.0])
    study._storage.set_trial_intermediate_value(study.trials[1]._trial_id, 1, 2.0)
    trainer = fitted(Pruning(study, 1, "valid/x"), [5.0, 1.0, 0.5])
    assert trainer.pruned  # by its own number, which counts as long as the run is under way
    assert study.trials[1].intermediate_values == {1: 2.0}


def test_a_study_that_cannot_be_reached_ends_no_training(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    study = study_with([1.0, 1.0])

    def fail(*_: object) -> None:
        raise OSError("the database has gone\nand more")

    monkeypatch.setattr(study._storage, "get_trial", fail)
    with caplog.at_level(logging.WARNING):
        trainer = fitted(Pruning(study, 1, "valid/x"), [9.0, 9.0])
    assert trainer.epoch == 2
    assert "the study cannot be reached, this run is not compared: the database has gone" in caplog.messages


def test_an_objective_that_the_epochs_lack_is_told() -> None:
    watcher = Pruning(study_with([1.0]), 1, "valid/signal/mc")
    trainer = make_trainer(epochs=1, callbacks=[watcher])
    with pytest.raises(
        ConfigError, match="'valid/signal/mc' is not a number of the epoch row; did you mean 'valid/sig"
    ):
        trainer.fit(make_loader(PANEL, 10, 17), make_loader(PANEL, 30, 37))


def record(**given: object) -> StudyRecord:
    facts = {
        "storage": "study.journal",
        "name": "search",
        "objectives": {"valid/loss": "minimize"},
        "pruner": "hyperband",
        "options": {"reduction_factor": 2},
        "epochs": 9,
        "replicates": 2,
    }
    return StudyRecord(**{**facts, **given})  # type: ignore[arg-type]


def test_a_job_finds_its_trial_by_its_number(tmp_path: Path) -> None:
    write_record(tmp_path, record())
    optuna.create_study(storage=open_storage(str(tmp_path / "study.journal")), study_name="search")
    for job, trial, speaks in ((4, 2, True), (5, 2, False)):
        (watcher,) = watchers(tmp_path, job)
        assert isinstance(watcher, Pruning)
        assert (watcher.trial, watcher.speaks, watcher.objective) == (trial, speaks, "valid/loss")
        pruner = watcher.study.pruner
        assert isinstance(pruner, optuna.pruners.HyperbandPruner)
        assert (pruner._max_resource, pruner._reduction_factor) == (9, 2)


def test_without_a_search_or_a_pruner_nothing_looks_on_and_optuna_stays_away(tmp_path: Path) -> None:
    write_record(tmp_path, record(pruner="none"))
    (tmp_path / "none").mkdir()
    code = (
        "import sys; from pathlib import Path; from hybrid_trainer.sweeps.pruning import watchers; "
        "import hybrid_trainer.sweeps.job, hybrid_trainer.sweeps.multirun; "
        f"assert watchers(Path({str(tmp_path)!r}), 3) == watchers(Path({str(tmp_path / 'none')!r}), 3) == []; "
        "assert 'optuna' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_record_is_for_its_owner_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    write_record(tmp_path, record(storage="postgresql://me:secret@host/db"))
    assert (tmp_path / "study.json").stat().st_mode & 0o077 == 0
    assert read_record(tmp_path) == record(storage="postgresql://me:secret@host/db")
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(RunDirError, match=r"study\.json: damaged"):
        read_record(tmp_path)
