"""What the monitor keys name: numbers, sums, tasks that stall; and what is refused."""

from __future__ import annotations

import copy
import re
import shlex
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from hybrid_trainer.config import consistency, monitors
from hybrid_trainer.config.balancing import BalancingConfig
from hybrid_trainer.config.callbacks import CallbacksConfig, CheckpointConfig, EarlyStoppingConfig
from hybrid_trainer.config.data import UsStocksData
from hybrid_trainer.config.model import HybridModelConfig
from hybrid_trainer.config.monitors import Score, Stalls
from hybrid_trainer.config.schema import Config
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.types import TargetSpec
from tests.config.test_consistency import TARGETS, config, refused
from tests.conftest import make_config


def with_monitor(key: str, monitor: Any, heads: list[str] | None = None, **more: Any) -> Config:
    """A config of two heads, or the given ones, with one monitor."""
    given = config(model=HybridModelConfig(heads=heads or ["signal", "volatility"]))
    section, name, _ = key.split(".")
    part = getattr(getattr(given, section), name)
    for field, value in {"monitor": monitor, **more}.items():
        setattr(part, field, value)
    return given


def learned(given: Config, kind: str = "uncertainty") -> Config:
    """The same, but the tasks' weights move."""
    given.training.balancing = BalancingConfig(kind=kind)
    return given


KEYS = [monitors.CHECKPOINT, monitors.STOPPING, monitors.SCHEDULE]


def test_the_monitors_are_the_loss_and_the_metrics_of_each_active_head() -> None:
    given = config(model=HybridModelConfig(heads=["signal", "volatility", "grade"]))
    classes = ["loss", "accuracy", "balanced_accuracy", "macro_f1", "mcc", "log_loss"]
    train = {"loss", *(f"{task}/{name}" for task in ("signal", "grade") for name in classes)}
    train |= {f"volatility/{name}" for name in ("loss", "mae", "rmse", "r2")}
    valid = {f"{task}/{name}" for task in ("signal", "grade") for name in ("auroc", "ece")}
    valid |= {f"signal/recall_{name}" for name in ("down", "flat", "up")}
    valid |= {f"volatility/{name}" for name in ("spearman", "ic", "qlike")}
    known = monitors.known_monitors(given)
    assert set(known) == {*(f"train/{name}" for name in train), *(f"valid/{name}" for name in train | valid)}
    assert len(known) == len(set(known))


@pytest.mark.parametrize("key", KEYS)
def test_what_is_monitored_is_a_number_of_the_epoch_row(key: str) -> None:
    for known in ("valid/signal/macro_f1", "train/loss", "valid/signal/loss", "valid/signal/recall_up"):
        consistency.check(with_monitor(key, known))
    for wrong in ("valid/signal/macro_f", "valid/signal/f1"):
        assert refused(with_monitor(key, wrong)) == (
            f"{key}: '{wrong}' is not a number of the epoch row; did you mean 'valid/signal/macro_f1'?"
        )
    for name in ("valid/regime/macro_f1", "train/signal/auroc", "valid/signal/recall_sideways"):
        assert refused(with_monitor(key, name)).startswith(f"{key}: '{name}' is not a number of the epoch row")


def test_auto_is_the_total_loss_where_its_weights_are_fixed_and_the_mean_of_shares_where_they_are_learned() -> None:
    given = make_config("model.heads=[signal,volatility]")
    single = Score(weights={"valid/loss": 1.0}, single="valid/loss")
    assert monitors.of_checkpoint(given) == monitors.of_stopping(given) == monitors.of_schedule(given) == single
    assert monitors.told_of_auto(given) is None
    mean = Score(weights={"valid/signal/loss": 1.0, "valid/volatility/loss": 1.0}, normalise=True, mean_loss=True)
    assert monitors.of_checkpoint(learned(given, "pcgrad")) == single
    for kind in ("uncertainty", "gradnorm", "dwa"):
        other = learned(given, kind)
        assert monitors.of_checkpoint(other) == monitors.of_stopping(other) == monitors.of_schedule(other) == mean
    said = monitors.told_of_auto(given)
    assert said is not None and said.endswith(
        "auto is the mean of the tasks' validation losses, since the tasks' weights are learned"
    )


def test_only_monitors_that_are_auto_and_looked_at_are_told() -> None:
    one = make_config("callbacks.early_stopping.enabled=false", "training.schedule.kind=none")
    one = learned(one)
    said = monitors.told_of_auto(one)
    assert said is not None and said.startswith(f"{monitors.CHECKPOINT}: auto is ")
    one.callbacks.checkpoint.monitor = "valid/signal/loss"
    assert monitors.told_of_auto(one) is None


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    ("name", "why"),
    [
        (
            "train/loss",
            "is a sum whose weights training.balancing.kind=uncertainty moves, so it falls without any task "
            "getting better",
        ),
        (
            "valid/loss",
            "is the sum by training.loss_weights, which training.balancing.kind=uncertainty does not minimise",
        ),
    ],
)
def test_a_total_whose_weights_are_learned_is_refused_with_what_to_write(key: str, name: str, why: str) -> None:
    consistency.check(learned(with_monitor(key, name), "fixed"))
    for monitor in (name, {name: 1.0}):
        assert refused(learned(with_monitor(key, monitor))) == (
            f"{key}: {name} {why}; write auto (the mean of the tasks' losses) or a task's own number such as "
            "valid/signal/loss"
        )
    consistency.check(learned(with_monitor(key, "valid/signal/loss")))


@pytest.mark.parametrize("key", KEYS)
def test_a_sum_has_weights_above_zero_and_numbers_that_there_are(key: str) -> None:
    def said(monitor: Any) -> str:
        return refused(with_monitor(key, monitor))

    consistency.check(with_monitor(key, {"valid/signal/mcc": 1, "valid/volatility/rmse": 0.5, "normalise": True}))
    for weight in (0, -1.0, float("nan"), float("inf"), True, "much"):
        assert said({"valid/signal/mcc": weight}).startswith(f"{key}: the weight of valid/signal/mcc, ")
    assert said({"valid/signal/mc": 1.0}).startswith(f"{key}: 'valid/signal/mc' is not a number of the epoch row; did")
    assert said({"normalise": True}) == f"{key}: name at least one number and its weight, such as {{valid/loss: 1.0}}"
    assert said({"valid/loss": 1.0, "normalise": 1}) == f"{key}.normalise: 1 must be true or false"


def test_a_sums_direction_is_known() -> None:
    given = with_monitor(monitors.STOPPING, {"valid/signal/mcc": 1.0}, mode="max")
    assert refused(given) == (
        "callbacks.early_stopping.mode: max is for one number; a sum's direction is known: leave it at auto"
    )
    given = with_monitor(monitors.STOPPING, "all_stalled", mode="min")
    assert refused(given).startswith("callbacks.early_stopping.mode: min is for one number")
    assert refused(learned(with_monitor(monitors.CHECKPOINT, "auto", mode="min"))).startswith(
        "callbacks.checkpoint.mode"
    )


def test_tasks_stall_by_their_own_metric_and_patience() -> None:
    stopping = EarlyStoppingConfig(monitor="all_stalled", patience=4, task_patience={"signal": 9}, min_delta=0.25)
    given = config(
        model=HybridModelConfig(heads=["signal", "volatility", "sl_tp"]),
        callbacks=CallbacksConfig(early_stopping=stopping, task_metrics={"signal": "log_loss"}),
    )
    consistency.check(given)

    def own(name: str) -> Score:
        return Score(weights={name: 1.0}, single=name, min_delta=0.25)

    assert monitors.of_stopping(given) == Stalls(
        scores={
            "signal": own("valid/signal/log_loss"),
            "volatility": own("valid/volatility/r2"),
            "sl_tp": own("valid/sl_tp/r2"),
        },
        needed=3,
        patience={"signal": 9, "volatility": 4, "sl_tp": 4},
    )
    stopping.monitor = {"stalled": 2}
    chosen = monitors.of_stopping(given)
    assert isinstance(chosen, Stalls) and chosen.needed == 2


@pytest.mark.parametrize("count", [0, 3, True, 1.0, "two"])
def test_a_quorum_is_one_to_all_of_the_tasks(count: Any) -> None:
    assert refused(with_monitor(monitors.STOPPING, {"stalled": count})).endswith(
        "must be {stalled: k}, k from 1 to 2, the number of heads"
    )
    both = {"stalled": 1, "valid/loss": 1.0}
    assert "must be {stalled: k}" in refused(with_monitor(monitors.STOPPING, both))


@pytest.mark.parametrize("key", [monitors.CHECKPOINT, monitors.SCHEDULE])
@pytest.mark.parametrize(("monitor", "told"), [("all_stalled", "all_stalled"), ({"stalled": 1}, "{stalled: 1}")])
def test_what_stalls_is_for_stopping_alone(key: str, monitor: Any, told: str) -> None:
    assert refused(with_monitor(key, monitor)) == (
        f"{key}: {told} is for callbacks.early_stopping alone; name a number such as valid/loss"
    )


@pytest.mark.parametrize(
    ("callbacks", "said"),
    [
        (CallbacksConfig(task_metrics={"signl": "mcc"}), "callbacks.task_metrics.signl: 'signl' is not an active head"),
        (
            CallbacksConfig(task_metrics={"signal": "f1"}),
            "callbacks.task_metrics.signal: 'valid/signal/f1' is not a number of the epoch row",
        ),
        (
            CallbacksConfig(early_stopping=EarlyStoppingConfig(task_patience={"sign": 3})),
            "callbacks.early_stopping.task_patience.sign: 'sign' is not an active head",
        ),
    ],
)
def test_tasks_and_their_metrics_are_those_that_there_are(callbacks: CallbacksConfig, said: str) -> None:
    assert refused(config(callbacks=callbacks)).startswith(said)


def test_a_tasks_patience_is_an_epoch_or_more() -> None:
    with pytest.raises(ConfigError, match=r"early_stopping\.task_patience\.signal: 0 is out of range"):
        EarlyStoppingConfig(task_patience={"signal": 0})


def test_a_number_of_which_neither_more_nor_less_is_better_is_refused() -> None:
    given = make_config("data.targets.volatility.quantiles=[0.1,0.5,0.9]")
    given.callbacks.checkpoint.monitor = "valid/volatility/coverage"
    assert refused(given) == (
        "callbacks.checkpoint.monitor: 'valid/volatility/coverage': neither more nor less of it is better; "
        "use coverage_error"
    )
    given.callbacks.checkpoint.monitor = "valid/volatility/coverage_error"
    consistency.check(given)


def test_recalls_of_classes_that_only_the_table_knows_are_checked_with_the_table() -> None:
    checkpoint = CheckpointConfig(monitor={"valid/grade/recall_good": 1.0})
    given = Config(
        data=UsStocksData(targets=copy.deepcopy(TARGETS)),
        model=HybridModelConfig(heads=["grade"]),
        callbacks=CallbacksConfig(checkpoint=checkpoint),
    )
    consistency.check(given)
    spec = TargetSpec(name="grade", kind="classification", dim=2, horizon=1, labels=("bad", "good"))
    monitors.check_classes(given, [spec])
    checkpoint.monitor = "valid/grade/recall_god"
    consistency.check(given)
    with pytest.raises(ConfigError) as caught:
        monitors.check_classes(given, [spec])
    assert str(caught.value) == (
        "callbacks.checkpoint.monitor: 'valid/grade/recall_god' is not a number of the epoch row; "
        "did you mean 'valid/grade/recall_good'?"
    )


def test_a_sum_comes_from_the_command_line() -> None:
    given = make_config(
        "callbacks.checkpoint.monitor={valid/signal/macro_f1: 1.0, valid/volatility/r2: 0.5}",
        "training.schedule.monitor={valid/signal/loss:1,normalise:true}",
        "callbacks.early_stopping.monitor={stalled:2}",
        "callbacks.early_stopping.task_patience={signal:8}",
        "callbacks.task_metrics.signal=macro_f1",
    )
    assert given.callbacks.checkpoint.monitor == {"valid/signal/macro_f1": 1.0, "valid/volatility/r2": 0.5}
    assert monitors.of_checkpoint(given).weights == {"valid/signal/macro_f1": 1.0, "valid/volatility/r2": 0.5}
    assert monitors.of_schedule(given) == Score(weights={"valid/signal/loss": 1.0}, normalise=True)
    chosen = monitors.of_stopping(given)
    assert isinstance(chosen, Stalls) and (chosen.needed, chosen.patience["signal"]) == (2, 8)
    assert list(chosen.scores["signal"].weights) == ["valid/signal/macro_f1"]


def test_what_the_page_shows_is_how_it_is_written() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```text\n(.*?)```", page, flags=re.S)
    lines = [shlex.split(line) for line in block.splitlines()]
    assert len(lines) == 5
    checkpoint, stopping = (
        [line for line in lines if "checkpoint" in line[0]],
        [line for line in lines if "early" in line[0]],
    )
    for one, other in zip_longest(checkpoint, stopping, fillvalue=[]):
        make_config(*one, *other)
