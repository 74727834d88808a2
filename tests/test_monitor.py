"""'Has it improved?'"""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_trainer.config.monitors import Score, Stalls
from hybrid_trainer.monitor import Monitor, Quorum, monitor_of, stopper_of
from hybrid_trainer.readings import MeanLoss, WeightedSum

NAN = math.nan


def look(monitor: Monitor, values: list[float], first_epoch: int = 1) -> list[bool]:
    """Show the monitor one value per epoch."""
    return [monitor.update({"epoch": first_epoch + i, monitor.metric: value}) for i, value in enumerate(values)]


def test_a_minimum_improves_downwards() -> None:
    monitor = Monitor("valid/loss", "min")
    assert look(monitor, [3.0, 2.0, 2.5, 2.0, 1.0]) == [True, True, False, False, True]
    assert (monitor.best, monitor.best_epoch, monitor.stalled) == (1.0, 5, 0)


def test_a_maximum_improves_upwards() -> None:
    monitor = Monitor("valid/signal/accuracy", "max")
    assert look(monitor, [0.5, 0.4, 0.6, 0.6]) == [True, False, True, False]
    assert (monitor.best, monitor.best_epoch, monitor.stalled) == (0.6, 3, 1)


@pytest.mark.parametrize(
    ("metric", "down_is_better"),
    [
        ("valid/loss", True),
        ("valid/signal/loss", True),
        ("valid/signal/log_loss", True),
        ("valid/range/mae", True),
        ("train/range/rmse", True),
        ("valid/range/r2", False),
        ("valid/signal/macro_f1", False),
        ("valid/signal/accuracy", False),
        ("valid/signal/balanced_accuracy", False),
        ("valid/signal/mcc", False),
    ],
)
def test_auto_knows_what_each_metric_means(metric: str, down_is_better: bool) -> None:
    assert look(Monitor(metric), [1.0, 0.5]) == [True, down_is_better]
    assert look(Monitor(metric), [1.0, 1.5]) == [True, not down_is_better]


def test_a_given_mode_outweighs_the_meaning() -> None:
    assert look(Monitor("valid/loss", "max"), [1.0, 2.0]) == [True, True]
    assert look(Monitor("valid/signal/mcc", "min"), [1.0, 2.0]) == [True, False]


def test_a_task_named_like_a_metric_does_not_decide_the_mode() -> None:
    assert look(Monitor("valid/loss/accuracy"), [0.5, 0.6]) == [True, True]


def test_a_change_by_no_more_than_min_delta_is_no_improvement() -> None:
    monitor = Monitor("valid/loss", "min", min_delta=0.5)
    # 2.0 -> 1.5 is a change by exactly min_delta; slow progress counts from the best, not from the last value.
    assert look(monitor, [2.0, 1.5, 1.25, 1.2]) == [True, False, True, False]
    assert monitor.best == 1.25
    assert look(Monitor("valid/signal/mcc", "max", min_delta=0.25), [0.5, 0.75, 1.0]) == [True, False, True]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_nan_is_never_the_best(mode: str) -> None:
    monitor = Monitor("valid/loss", mode)
    assert look(monitor, [NAN, NAN]) == [False, False]
    assert (monitor.best, monitor.best_epoch, monitor.stalled) == (None, None, 2)
    assert look(monitor, [5.0, NAN], first_epoch=3) == [True, False]
    assert (monitor.best, monitor.best_epoch, monitor.stalled) == (5.0, 3, 1)


def test_an_infinite_first_value_is_beaten_by_a_finite_one() -> None:
    assert look(Monitor("valid/loss", "min"), [math.inf, 1e30]) == [True, True]
    assert look(Monitor("valid/range/r2", "max"), [-math.inf, -1e30]) == [True, True]


def test_stalled_counts_the_epochs_since_the_best() -> None:
    monitor = Monitor("valid/loss")
    counts = []
    for epoch, value in enumerate([1.0, 2.0, 2.0, 0.5, 0.6, NAN, 0.7], start=1):
        monitor.update({"epoch": epoch, "valid/loss": value})
        counts.append(monitor.stalled)
    assert counts == [0, 1, 2, 0, 1, 2, 3]


def test_a_metric_that_the_row_lacks_is_an_error() -> None:
    with pytest.raises(KeyError, match="valid/nothing"):
        Monitor("valid/nothing").update({"epoch": 1, "valid/loss": 1.0})


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-100, 100) | st.just(NAN), min_size=1, max_size=12), st.sampled_from(["min", "max"]))
def test_the_best_is_the_first_extreme_of_the_numbers(values: list[float], mode: str) -> None:
    monitor = Monitor("valid/loss", mode)
    improved = look(monitor, values)
    numbers = [value for value in values if not math.isnan(value)]
    if not numbers:
        assert monitor.best is None and not any(improved)
        return
    best = min(numbers) if mode == "min" else max(numbers)
    epoch = values.index(best) + 1
    assert (monitor.best, monitor.best_epoch, monitor.stalled) == (best, epoch, len(values) - epoch)
    assert improved[epoch - 1] and not any(improved[epoch:])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-100, 100) | st.just(NAN), min_size=1, max_size=10), st.integers(0, 10))
def test_a_monitor_goes_on_from_its_state_as_if_it_had_never_stopped(values: list[float], cut: int) -> None:
    straight, first, second = (Monitor("valid/loss", min_delta=0.5) for _ in range(3))
    expected = look(straight, values)
    seen = look(first, values[:cut])
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))  # plain types: they survive JSON
    seen += look(second, values[cut:], first_epoch=len(seen) + 1)
    assert seen == expected
    assert second.state_dict() == straight.state_dict()


# Sums, and means of losses.


def rows(**values: list[float]) -> list[dict[str, float]]:
    """Epoch rows; a__b stands for a/b."""
    count = len(next(iter(values.values())))
    named = {f"valid/{name.replace('__', '/')}": each for name, each in values.items()}
    return [{"epoch": i + 1} | {name: each[i] for name, each in named.items()} for i in range(count)]


def test_a_weighted_sum_is_larger_where_each_number_is_better() -> None:
    reading = WeightedSum({"valid/signal/macro_f1": 1.0, "valid/range/rmse": 0.5})
    (row,) = rows(signal__macro_f1=[0.25], range__rmse=[3.0])
    assert reading.value(row) == 0.25 - 1.5
    assert reading.text == "1 valid/signal/macro_f1 - 0.5 valid/range/rmse"
    monitor = Monitor(reading)
    assert not monitor.lower_is_better
    both = rows(signal__macro_f1=[0.25, 0.25, 0.5], range__rmse=[3.0, 2.0, 3.0])
    assert [monitor.update(each) for each in both] == [True, True, False]


def test_normalised_errors_are_shares_of_their_first_number_and_scores_enter_as_they_are() -> None:
    reading = WeightedSum({"valid/range/rmse": 1.0, "valid/signal/mcc": 2.0}, normalise=True)
    given = rows(range__rmse=[NAN, 4.0, 2.0], signal__mcc=[0.5, 0.5, 0.25])
    values = [reading.value(row) for row in given]
    assert math.isnan(values[0]) and values[1:] == [-1.0 + 1.0, -0.5 + 0.5]
    assert reading.state_dict() == {"first": {"valid/range/rmse": 4.0}}
    assert reading.text == "- 1 valid/range/rmse + 2 valid/signal/mcc (errors as shares of their first)"


def test_a_first_number_below_zero_counts_by_its_size_and_zero_as_one() -> None:
    reading = WeightedSum({"valid/a/loss": 1.0, "valid/b/loss": 1.0}, normalise=True)
    assert [reading.value(row) for row in rows(a__loss=[-2.0, -4.0], b__loss=[0.0, 3.0])] == [1.0, 2.0 - 3.0]


def test_the_mean_loss_is_over_the_tasks_that_have_a_label() -> None:
    reading = MeanLoss(["valid/a/loss", "valid/b/loss", "valid/c/loss"])
    given = rows(a__loss=[2.0, 1.0], b__loss=[10.0, 8.0], c__loss=[NAN, NAN])
    assert [reading.value(row) for row in given] == [1.0, pytest.approx((0.5 + 0.8) / 2)]
    assert reading.lower_is_better
    assert math.isnan(MeanLoss(["valid/a/loss"]).value({"valid/a/loss": NAN}))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Monitor(WeightedSum({"valid/a/loss": 1.0, "valid/b/mcc": 0.5}, normalise=True), min_delta=0.01),
        lambda: Monitor(WeightedSum({"valid/a/loss": 1.0, "valid/b/mcc": 0.5})),
        lambda: Monitor(MeanLoss(["valid/a/loss", "valid/b/loss"])),
        lambda: Quorum({"a": Monitor("valid/a/loss"), "b": Monitor("valid/b/mcc")}, 2, {"a": 3}),
    ],
    ids=["normalised", "sum", "mean", "quorum"],
)
@pytest.mark.parametrize("cut", [0, 1, 4])
def test_every_monitor_goes_on_from_its_state(make: Callable[[], Monitor | Quorum], cut: int) -> None:
    given = rows(
        a__loss=[3.0, 2.0, 2.5, 1.0, 1.5, 0.5], b__mcc=[0.1, 0.0, 0.3, NAN, 0.2, 0.1], b__loss=[9.0, 8, 3, 4, 2, 2]
    )
    straight, first, second = make(), make(), make()
    for row in given:
        straight.update(row)
    for row in given[:cut]:
        first.update(row)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for row in given[cut:]:
        second.update(row)
    assert second.state_dict() == straight.state_dict()


def test_another_sum_begins_anew() -> None:
    first = Monitor(WeightedSum({"valid/a/loss": 1.0}, normalise=True))
    first.update({"epoch": 1, "valid/a/loss": 2.0})
    others = [
        Monitor(WeightedSum({"valid/a/loss": 2.0}, normalise=True)),
        Monitor(WeightedSum({"valid/a/loss": 1.0})),
        Monitor(MeanLoss(["valid/a/loss"])),
        Monitor("valid/a/loss"),
    ]
    for other in others:
        other.load_state_dict(first.state_dict())
        assert (other.best, other.best_epoch, other.stalled) == (None, None, 0)
    quorum = Quorum({"a": Monitor("valid/a/loss")}, 1, {})
    quorum.load_state_dict(first.state_dict())
    first.load_state_dict(quorum.state_dict())
    assert quorum.monitors["a"].best is None and first.best == -1.0


# Tasks that stall.


def stalled_after(needed: int, patience: int, own: dict[str, int], **values: list[float]) -> int | None:
    tasks = {name.partition("__")[0]: f"valid/{name.replace('__', '/')}" for name in values}
    quorum = Quorum({task: Monitor(name) for task, name in tasks.items()}, needed, own)
    for row in rows(**values):
        quorum.update(row)
        if quorum.why_stalled(patience):
            return int(row["epoch"])
    return None


@pytest.mark.parametrize(
    ("needed", "patience", "own", "expected"),
    [(2, 2, {}, 5), (1, 2, {}, 3), (2, 2, {"a": 5}, 6), (1, 3, {"b": 1}, 4), (2, 9, {}, None)],
)
def test_enough_tasks_have_to_stall_at_once(
    needed: int, patience: int, own: dict[str, int], expected: int | None
) -> None:
    """a stalls from epoch 2 on, b improves until epoch 3."""
    mcc = [0.5, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4]
    loss = [3.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert stalled_after(needed, patience, own, a__mcc=mcc, b__loss=loss) == expected


def test_a_task_that_improves_again_is_counted_out() -> None:
    assert stalled_after(2, 2, {}, a__mcc=[0.5, 0.4, 0.4, 0.6, 0.1], b__loss=[3.0, 2.0, 1.0, 1.0, 1.0]) is None


def test_what_has_stalled_is_told_with_each_best() -> None:
    quorum = Quorum({"a": Monitor("valid/a/mcc"), "b": Monitor("valid/b/loss")}, 1, {"b": 7})
    for row in rows(a__mcc=[0.5, 0.4], b__loss=[3.0, 3.0]):
        quorum.update(row)
    assert quorum.why_stalled(1) == (
        "1 of 2 tasks have stalled (1 needed): valid/a/mcc has not improved for 1 epochs; its best was 0.5 in epoch 1"
    )


def test_a_score_of_the_config_makes_its_monitor() -> None:
    one = monitor_of(Score(weights={"valid/loss": 1.0}, single="valid/loss", mode="max", min_delta=0.5))
    assert (one.metric, one.lower_is_better, one.min_delta) == ("valid/loss", False, 0.5)
    both = monitor_of(Score(weights={"valid/loss": 1.0, "valid/a/mcc": 2.0}, normalise=True, min_delta=0.25))
    assert (both.metric, both.min_delta) == ("- 1 valid/loss + 2 valid/a/mcc (errors as shares of their first)", 0.25)
    assert isinstance(monitor_of(Score(weights={"valid/a/loss": 1.0}, mean_loss=True)).reading, MeanLoss)
    assert isinstance(stopper_of(Score(weights={"valid/loss": 1.0})), Monitor)
    quorum = stopper_of(
        Stalls(scores={"a": Score(weights={"x/mcc": 1.0}, single="x/mcc")}, needed=1, patience={"a": 3})
    )
    assert isinstance(quorum, Quorum) and quorum.monitors["a"].metric == "x/mcc"
    assert (quorum.needed, quorum.patience) == (1, {"a": 3})
