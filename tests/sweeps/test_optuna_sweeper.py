"""hydra/sweeper=optuna from the command line to the study; jobs that don't train, but for one search that does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import TrialState

from hybrid_trainer.config.schema import Config
from hybrid_trainer.sweeps import job
from hybrid_trainer.sweeps.search.storage import open_storage
from tests.sweeps.conftest import Command
from tests.sweeps.helpers import QUIET, record_of, statuses, sweep_in

SEARCH = ("--multirun", *QUIET, "hydra/sweeper=optuna", "hydra/launcher=basic")
RATE = "training.learning_rate=tag(log, interval(1e-5, 1e-1))"
Scored = list[tuple[float, int]]


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Scored:
    """Jobs that score a formula of learning rate and seed; which ones ran."""
    ran: Scored = []

    def train(config: Config, directory: Path, task: list[str], *_: object) -> SimpleNamespace:
        rate = config.training.learning_rate
        ran.append((rate, config.seed))
        metrics = {"valid/loss": abs(rate - 0.01) + config.seed, "valid/volatility/r2": rate}
        return SimpleNamespace(record={"status": "complete", "stop_reason": "done", "metrics": metrics})

    monkeypatch.setattr(job, "train", train)
    return ran


def study_of(sweep: Path, name: str = "search") -> optuna.Study:
    return optuna.load_study(study_name=name, storage=open_storage(str(sweep / "study.journal")))


def test_a_search_from_the_command_line_to_its_best_trial(here: Path, command: Command, jobs: Scored) -> None:
    status, out, error = command(*SEARCH, RATE, "training.optimizer=adamw,sgd", "hydra.sweeper.n_trials=3")
    assert (status, error) == (0, "")
    sweep = sweep_in(here)
    study = study_of(sweep)
    assert [trial.value for trial in study.trials] == [abs(rate - 0.01) for rate, _ in jobs]
    best = study.best_trial
    optimizer, rate = best.params["training.optimizer"], best.params["training.learning_rate"]
    assert "study 'search': 3 trial(s): 3 complete\n" in out
    said = f"valid/loss {best.value:.6g}: training.learning_rate={rate} training.optimizer={optimizer}\n"
    assert f"best trial {best.number}: {said}" in out
    assert f"side by side: optuna-dashboard {sweep}/study.journal\n" in out
    assert statuses(sweep) == dict.fromkeys(range(3), "complete")
    content = json.loads((sweep / "sweep.json").read_text())
    assert (content["objectives"], content["study"]) == (
        ["valid/loss"],
        {"storage": "study.journal", "name": "search"},
    )


def test_the_seeds_of_a_trial_are_jobs_whose_mean_is_its_value(here: Path, command: Command, jobs: Scored) -> None:
    assert command(*SEARCH, RATE, "seeds=2", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=3")[0] == 0
    assert [seed for _, seed in jobs] == [0, 1, 0, 1]
    values = [trial.value for trial in study_of(sweep_in(here)).trials]
    assert values == pytest.approx([abs(jobs[first][0] - 0.01) + 0.5 for first in (0, 2)])


def test_a_search_that_is_resumed_takes_its_trials_from_the_study_and_its_space_as_it_was(
    here: Path, command: Command, jobs: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "space.yaml").write_text("training.learning_rate: {type: float, low: 1e-5, high: 1e-1, log: true}\n")
    line = (*SEARCH, "hydra.sweeper.search_space=space.yaml", "hydra.sweeper.n_trials=3")
    train = job.train

    def interrupted(*given: object) -> object:
        if len(jobs) == 1:
            raise KeyboardInterrupt
        return train(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(job, "train", interrupted)
    assert command(*line)[0] == 130
    sweep = sweep_in(here)
    assert [trial.state for trial in study_of(sweep).trials] == [TrialState.COMPLETE, TrialState.RUNNING]
    (here / "space.yaml").write_text("training.learning_rate: [5]\n")
    monkeypatch.setattr(job, "train", train)
    status, out, _ = command("sweep", "resume", str(sweep))
    assert status == 0
    assert "study 'search': 3 trial(s): 3 complete\n" in out
    rates = [trial.params["training.learning_rate"] for trial in study_of(sweep).trials]
    assert [rate for rate, _ in jobs] == rates
    assert statuses(sweep) == dict.fromkeys(range(3), "complete")


def test_of_several_objectives_the_pareto_front_is_told(here: Path, command: Command, jobs: Scored) -> None:
    both = "hydra.sweeper.objectives={valid/loss: minimize, valid/volatility/r2: maximize}"
    status, out, _ = command(*SEARCH, "training.learning_rate=0.01,0.02,0.005", both, "hydra.sweeper.sampler.name=grid")
    assert status == 0
    assert "Pareto front, 2 trial(s):\n" in out  # 0.005 is worse in both
    assert "trial 1: valid/loss 0.01, valid/volatility/r2 0.02: training.learning_rate=0.02\n" in out
    assert json.loads((sweep_in(here) / "sweep.json").read_text())["objectives"] == [
        "valid/loss",
        "valid/volatility/r2",
    ]


def test_a_failed_trial_is_told_and_the_others_go_on(
    here: Path, command: Command, jobs: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    train: Callable[..., object] = job.train
    monkeypatch.setattr(job, "train", lambda config, *rest: 1 / 0 if config.seed == 1 else train(config, *rest))
    line = (*SEARCH, "seed=0,1", "hydra.sweeper.sampler.name=grid")
    status, out, error = command(*line)
    assert status == 1
    assert "study 'search': 2 trial(s): 1 complete, 1 failed\n" in out
    assert "error: job 1 failed: ZeroDivisionError: division by zero\n" in error
    reasons = [trial.user_attrs.get("reason") for trial in study_of(sweep_in(here)).trials]
    assert reasons == [None, "ZeroDivisionError: division by zero"]


def test_what_is_retried_is_a_further_trial_to_the_study_and_resume_goes_on_with_it(
    here: Path, command: Command, jobs: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    train: Callable[..., object] = job.train
    mended, stops = [], [True]

    def fails(config: Config, *rest: object) -> object:
        """The first run of rate 0.02 fails until it is mended; then the first time somebody presses Ctrl-C."""
        if config.training.learning_rate == 0.02 and config.seed == 0:
            if not mended:
                raise ZeroDivisionError
            if stops.pop() if stops else False:
                raise KeyboardInterrupt
        return train(config, *rest)

    monkeypatch.setattr(job, "train", fails)
    line = (*SEARCH, "training.learning_rate=0.02,0.03", "hydra.sweeper.sampler.name=grid", "seeds=2")
    assert command(*line)[0] == 1
    sweep = sweep_in(here)
    assert statuses(sweep) == {0: "failed", 2: "complete", 3: "complete"}  # job 1 was dropped with its trial
    mended.append(True)
    assert command("sweep", "retry", str(sweep))[0] == 130
    assert [trial.state for trial in study_of(sweep).trials] == [TrialState.FAIL, TrialState.COMPLETE]
    status, out, _ = command("sweep", "resume", str(sweep))
    assert (status, statuses(sweep)) == (0, dict.fromkeys((0, 2, 3, 1), "complete"))
    again = study_of(sweep).trials[2]
    assert again.values == pytest.approx([0.01 + 0.5]) and again.params == {"training.learning_rate": 0.02}
    assert again.user_attrs["again"] == 0
    assert sorted(jobs) == [(0.02, 0), (0.02, 1), (0.03, 0), (0.03, 1)]
    assert "study 'search': 3 trial(s): 2 complete, 1 failed\n1 of them had failed before and were run again\n" in out
    assert "best trial 0: valid/loss 0.51: " in out


def test_where_no_trial_comes_to_its_end_the_status_says_so(
    here: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "train", lambda *_: 1 / 0)
    status, _, error = command(*SEARCH, RATE, "hydra.sweeper.n_trials=9", "hydra.sweeper.max_failures=2")
    assert status == 1
    assert "error: study 'search': 2 trial(s): 2 failed\n" in error
    assert "error: no trial came to its end: there is no best one\n" in error


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["hydra.sweeper.objectives={valid/los: minimize}"],
            "objectives: 'valid/los' is not a number of the epoch row",
        ),
        (["hydra.sweeper.objectives={test/volatility/r2: maximize}"], "looks at the test rows"),
        (["hydra.sweeper.objectives={valid/loss: min}"], "objectives.valid/loss: 'min' is not one of minimize, maxi"),
        (["training.balancing.kind=uncertainty"], "does not minimise; write a task's own number such as valid/volat"),
        (["hydra.sweeper.sampler.name=tpee"], "sampler.name: 'tpee' is not one of"),
        (["hydra.sweeper.sampler.options={x: 1}"], "sampler.options.x: no option of tpe"),
        (["hydra.sweeper.pruner.options={x: 1}"], "pruner.options: pruner.name=none has none"),
        (["hydra.sweeper.n_trails=3"], "hydra.sweeper.n_trails: no such key; did you mean 'hydra.sweeper.n_trials'"),
        (["hydra.sweeper.storage=sqlite:///x.db"], "study_name: name the study in sqlite:///x.db"),
        (["hydra.sweeper.sampler.name=grid"], "training.learning_rate: an interval has no grid"),
        (["hydra.sweeper.search_space=nowhere.yaml"], "search_space: nowhere.yaml: No such file"),
        (["hydra.sweeper.search_space={model.trunk_units: [4, 0]}"], "model.trunk_units: 0 is out of range"),
        (["model.trunk_units=int(interval(0, 9))"], "model.trunk_units: 0 is out of range"),
        (["hydra.sweeper.search_space={hydra.sweeper.n_jobs: [1, 2]}"], "a search changes no setting of Hydra's"),
    ],
)
def test_what_is_wrong_with_a_search_is_one_line_before_anything_starts(
    here: Path, command: Command, words: list[str], said: str
) -> None:
    status, out, error = command(*SEARCH, RATE, *words)
    assert (status, out) == (2, "")
    assert said in error
    assert error.count("\n") == 1
    assert not (here / "multirun").exists()


@pytest.mark.parametrize("word", ["hydra.sweeper.objectives={valid/loss: minimize}", "hydra.sweeper.n_trials=3"])
def test_the_keys_of_a_search_need_its_sweeper(here: Path, command: Command, word: str) -> None:
    status, _, error = command("--multirun", *QUIET, "seed=0,1", word)
    assert (status, error) == (2, f"error: {word.partition('=')[0]}: only with hydra/sweeper=optuna\n")


@pytest.mark.slow
def test_a_search_that_trains_gives_up_what_is_no_better(here: Path, command: Command) -> None:
    sizes = ["training.epochs=6", "model.lstm_units=4", "callbacks.early_stopping.enabled=false"]
    # The second job learns nothing, and soon is worse than the first.
    rates = ["training.learning_rate=0.01,1e-9", "hydra.sweeper.sampler.name=grid", "hydra.launcher.n_jobs=1"]
    pruner = ["hydra.sweeper.pruner.name=median", "hydra.sweeper.pruner.options={n_startup_trials: 1}"]
    line = ["--multirun", *QUIET, "hydra/sweeper=optuna", *sizes, *rates, *pruner]
    status, out, error = command(*line)
    assert (status, error) == (0, "")
    sweep = sweep_in(here)
    assert statuses(sweep) == {0: "complete", 1: "pruned"}
    (pruned,) = sweep.glob("1-*")
    record = record_of(pruned)
    assert (record["status"], record["epochs"] < 6) == ("pruned", True)
    epochs = record["epochs"]
    assert record["stop_reason"].startswith(f"pruned after epoch {epochs}: valid/loss ")
    rows = [json.loads(line) for line in (pruned / "history.jsonl").read_text().splitlines()]
    assert record["metrics"] == rows[record["best_epoch"] - 1]
    assert not (pruned / "model").exists()
    assert not (pruned / "report" / "metrics.json").exists()
    study = study_of(sweep)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE, TrialState.PRUNED]
    assert [sorted(trial.intermediate_values) for trial in study.trials] == [
        list(range(1, 7)),
        list(range(1, epochs + 1)),
    ]
    assert "study 'search': 2 trial(s): 1 complete, 1 pruned\n" in out

    status, out, error = command("resume", str(pruned))
    assert status == 2
    assert f"error: {pruned}: pruned after epoch {epochs}: valid/loss " in error
    assert f"that is its result; to train it all the same: python -m hybrid_trainer resume {pruned} training.e" in error
    assert command("resume", str(pruned), f"training.epochs={epochs + 1}")[0] == 0
    assert record_of(pruned)["status"] == "complete"
    assert command("compare", str(sweep))[0] == 0
