"""Trials as jobs: numbers, values, duplicates, failures, replicates, and going on after a death."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from optuna.trial import TrialState

from hybrid_trainer.config.search import SamplerConfig
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.sweeps.orders import JobOrder, Outcome
from hybrid_trainer.sweeps.search.trials import Trials
from tests.sweeps.search.helpers import begin, bowl, drive, values_of

COMPLETE, PRUNED, FAIL, RUNNING = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING


def states(trials: Trials) -> list[TrialState]:
    return [trial.state for trial in trials.study.trials]


def test_jobs_have_the_trials_numbers_and_the_study_their_values(tmp_path: Path) -> None:
    trials = begin(tmp_path, "f=1", "a=interval(0,10)", n_trials=5)
    done = drive(trials)
    assert [order.number for order in done] == [0, 1, 2, 3, 4]
    assert all(order.overrides[0] == "f=1" for order in done)
    assert [trial.values for trial in trials.study.trials] == [[bowl(values_of(order))] for order in done]
    assert trials.exhausted
    assert trials.next() is None


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "qmc", "random"])
def test_the_same_seed_searches_the_same_way_even_where_it_was_interrupted(tmp_path: Path, sampler: str) -> None:
    words = ("a=interval(0,10)", "b=range(1,9)")
    keys: dict[str, object] = {"n_trials": 14, "sampler": SamplerConfig(name=sampler, seed=3)}
    folders = [tmp_path / name for name in ("whole", "parts", "other")]
    for folder in folders:
        folder.mkdir()
    whole = [order.overrides for order in drive(begin(folders[0], *words, **keys))]
    parts = [order.overrides for order in drive(begin(folders[1], *words, **keys), at_most=12)]
    parts += [order.overrides for order in drive(begin(folders[1], *words, **keys))]
    assert parts == whole
    if sampler != "qmc":  # a sequence that is not scrambled needs no seed
        keys["sampler"] = SamplerConfig(name=sampler, seed=4)
        assert [order.overrides for order in drive(begin(folders[2], *words, **keys))] != whole


def test_a_job_that_a_dead_process_had_begun_is_ordered_again_under_its_number(tmp_path: Path) -> None:
    trials = begin(tmp_path, "a=interval(0,10)", n_trials=4)
    (first,) = drive(trials, at_most=1)
    lost = [trials.next(), trials.next()]
    assert states(trials) == [COMPLETE, RUNNING, RUNNING]

    trials = begin(tmp_path, "a=interval(0,10)", n_trials=4)
    done = drive(trials)
    assert done[:2] == lost
    assert [order.number for order in [first, *done]] == [0, 1, 2, 3]
    assert states(trials) == [COMPLETE] * 4


def test_a_trial_whose_process_was_killed_before_it_had_its_values_gets_them(tmp_path: Path) -> None:
    trials = begin(tmp_path, "a=interval(0,10)", "b=interval(0,1)", n_trials=2)
    trials.study.ask()  # and there the process died,
    kept = trials.study.ask().suggest_float("a", 0, 10)  # or here
    done = drive(begin(tmp_path, "a=interval(0,10)", "b=interval(0,1)", n_trials=2))
    assert [order.number for order in done] == [0, 1]
    assert [len(order.overrides) for order in done] == [2, 2]
    assert done[1].overrides[0] == f"a={kept}"


def test_more_trials_can_be_asked_for_later(tmp_path: Path) -> None:
    drive(begin(tmp_path, "a=interval(0,10)", n_trials=3))
    assert [order.number for order in drive(begin(tmp_path, "a=interval(0,10)", n_trials=5))] == [3, 4]
    assert drive(begin(tmp_path, "a=interval(0,10)", n_trials=5)) == []


def test_a_configuration_that_was_tried_takes_over_the_value_without_a_job(tmp_path: Path) -> None:
    trials = begin(tmp_path, "a=1,2", n_trials=12)
    done = drive(trials)
    assert sorted(tuple(order.overrides) for order in done) == [("a=1",), ("a=2",)]
    found = trials.study.trials
    assert len(found) == 12
    assert {(trial.params["a"], trial.value) for trial in found} == {(1, 4.0), (2, 1.0)}
    assert [trial.number for trial in found if "same as" not in trial.user_attrs] == [order.number for order in done]


def test_a_grid_is_gone_through_once_in_order(tmp_path: Path) -> None:
    words = ("a=1,2,3", "b=range(0.1,0.5,0.2)")
    done = drive(begin(tmp_path, *words, n_trials=None, sampler=SamplerConfig(name="grid")))
    assert [order.overrides for order in done] == [[f"a={a}", f"b={b}"] for a in (1, 2, 3) for b in (0.1, 0.3)]


def outcome(status: str, value: float = math.nan) -> Outcome:
    return Outcome(status, {"valid/loss": value} if status in ("complete", "duplicate", "pruned") else {}, "because")


def test_a_trial_of_several_runs_has_their_mean_and_numbers_of_its_own(tmp_path: Path) -> None:
    runs = [["seed=0"], ["seed=1"], ["seed=2"]]
    trials = begin(tmp_path, "a=interval(0,10)", n_trials=2, replicates=runs)
    orders = [trials.next() for _ in range(6)]
    assert [(order.number, order.overrides[1]) for order in orders if order] == [
        (number, f"seed={number % 3}") for number in range(6)
    ]
    assert len({order.overrides[0] for order in orders[:3] if order}) == 1
    for order, value in zip(orders, (1.0, 2.0, 6.0, 5.0, 5.0, 8.0), strict=True):
        assert order is not None
        trials.ended(order, outcome("duplicate" if value == 2.0 else "complete", value))
    assert [trial.value for trial in trials.study.trials] == [3.0, 6.0]


@pytest.mark.parametrize(("status", "state"), [("pruned", PRUNED), ("failed", FAIL), ("killed", FAIL)])
def test_the_first_run_that_yields_no_value_ends_its_trial(tmp_path: Path, status: str, state: TrialState) -> None:
    trials = begin(tmp_path, "a=interval(0,10)", n_trials=2, replicates=[["seed=0"], ["seed=1"], ["seed=2"]])
    one, two = trials.next(), trials.next()
    assert one is not None
    assert two is not None
    trials.ended(one, outcome(status))
    assert states(trials) == [state]
    after = trials.next()
    assert after is not None
    assert after.number == 3  # job 2, which had not begun, is left out
    trials.ended(two, outcome("complete", 1.0))
    assert states(trials) == [state, RUNNING]


def test_a_pruned_trial_is_told_with_its_last_report(tmp_path: Path) -> None:
    trials = begin(tmp_path, "a=interval(0,10)", n_trials=1)
    order = trials.next()
    assert order is not None
    trials.study._storage.set_trial_intermediate_value(trials.study.trials[0]._trial_id, 4, 0.5)
    trials.ended(order, outcome("pruned", 0.25))
    assert [(trial.state, trial.value) for trial in trials.study.trials] == [(PRUNED, 0.5)]


def test_an_interrupted_job_stays_open_for_a_resumed_sweep(tmp_path: Path) -> None:
    trials = begin(tmp_path, "a=interval(0,10)", n_trials=1)
    order = trials.next()
    assert order is not None
    trials.ended(order, Outcome("interrupted", {}, "interrupted by a signal"))
    assert begin(tmp_path, "a=interval(0,10)", n_trials=1).next() == order


@pytest.mark.parametrize("metrics", [{"valid/loss": math.nan}, {}])
def test_an_objective_that_is_no_number_fails_the_trial_and_says_so(tmp_path: Path, metrics: dict[str, float]) -> None:
    trials = begin(tmp_path, "a=interval(0,10)", n_trials=1)
    order = trials.next()
    assert order is not None
    trials.ended(order, Outcome("complete", metrics))
    (trial,) = trials.study.trials
    assert (trial.state, trial.user_attrs["reason"]) == (FAIL, "valid/loss: not a number")


def test_a_failed_trial_may_count_as_a_value(tmp_path: Path) -> None:
    trials = begin(tmp_path, "a=interval(0,10)", n_trials=1, failed_value=9)
    order = trials.next()
    assert order is not None
    trials.ended(order, outcome("failed"))
    (trial,) = trials.study.trials
    assert (trial.state, trial.value, trial.user_attrs["reason"]) == (COMPLETE, 9.0, "because")


def test_after_too_many_failures_no_trial_is_asked_for(tmp_path: Path) -> None:
    trials = begin(tmp_path, "a=interval(0,10)", n_trials=9, max_failures=2)
    for _ in range(2):
        order = trials.next()
        assert order is not None
        trials.ended(order, outcome("failed"))
    assert trials.next() is None
    assert trials.exhausted


def test_an_objective_that_no_run_has_is_told_with_the_first_job(tmp_path: Path) -> None:
    trials = begin(tmp_path, "a=interval(0,10)", n_trials=2, objectives={"valid/a/recall_u": "maximize"})
    order = trials.next()
    assert order is not None
    with pytest.raises(
        ConfigError, match=r"objectives: 'valid/a/recall_u' is no number of a run; did you mean 'valid/a/recall_up'\?"
    ):
        trials.ended(order, Outcome("complete", {"valid/a/recall_up": 1.0}, ""))


def test_a_configuration_that_cannot_be_composed_is_a_failed_trial_and_no_job(tmp_path: Path) -> None:
    def refuse_two(overrides: list[str]) -> None:
        if "a=2" in overrides:
            raise ConfigError("a: 2 is too much")

    trials = begin(tmp_path, "a=1,2,3,4", n_trials=12)
    trials._usable = refuse_two
    done = drive(trials)
    assert sorted(order.overrides[0] for order in done) == ["a=1", "a=3", "a=4"]
    refused = [trial for trial in trials.study.trials if trial.state == FAIL]
    assert refused
    assert {(trial.params["a"], trial.user_attrs["reason"]) for trial in refused} == {(2, "a: 2 is too much")}


def test_of_two_processes_that_ask_for_the_last_trial_one_gets_it(tmp_path: Path) -> None:
    shared = {"n_trials": 3, "storage": str(tmp_path / "s.journal"), "study_name": "s"}
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    one, two = (begin(folder, "a=interval(0,10)", **shared) for folder in folders)
    drive(one, at_most=1)
    drive(two, at_most=1)
    asked = one._missing
    one._missing = lambda before=None: 1 if before is None else asked(before)  # type: ignore[method-assign]
    assert two.next() == JobOrder(2, two.study.trials[2].user_attrs["overrides"])
    assert one.next() is None  # it asked in the same moment
    assert states(two) == [COMPLETE, COMPLETE, RUNNING, FAIL]
    assert [trial.number for trial in two.study.trials if "surplus" in trial.user_attrs] == [3]
    assert drive(begin(folders[0], "a=interval(0,10)", **shared | {"n_trials": 4}))[0].number == 4


def test_a_sweep_leaves_alone_what_another_one_has_begun(tmp_path: Path) -> None:
    shared = {"n_trials": 3, "storage": str(tmp_path / "s.journal"), "study_name": "s"}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    first = begin(tmp_path / "one", "a=interval(0,10)", **shared).next()
    second = begin(tmp_path / "two", "a=interval(0,10)", **shared).next()
    assert [order.number for order in (first, second) if order] == [0, 1]
    assert begin(tmp_path / "two", "a=interval(0,10)", **shared).next() == second


@pytest.mark.parametrize(
    ("words", "keys", "said"),
    [
        (("a=interval(0,10)", "f=2"), {}, "begun with other fixed: f=1, now f=2"),
        (("a=interval(0,10)", "f=1"), {"objectives": {"valid/acc": "minimize"}}, "begun with other objectives"),
        (("a=interval(0,10)", "f=1"), {"replicates": [["s=0"], ["s=1"]]}, "begun with other replicates"),
    ],
)
def test_a_study_of_other_things_is_not_joined(
    tmp_path: Path, words: tuple[str, ...], keys: dict[str, object], said: str
) -> None:
    begin(tmp_path, "a=interval(0,10)", "f=1", "paths.root=x", "run.id=7")
    begin(tmp_path, "a=interval(0,10)", "f=1", "paths.root=y")
    with pytest.raises(ConfigError, match=f"study_name: the study 'search' was {said}.*give the new one another name"):
        begin(tmp_path, *words, **keys)
