"""What of a run has changed since its checkpoint, and what may not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hybrid_trainer import build, fingerprint
from hybrid_trainer.config.compose import compose_config, to_config
from hybrid_trainer.config.overrides import prepare
from hybrid_trainer.data.sources import load_table
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.extend import MetricConfig, metric
from tests.conftest import price_frame
from tests.engine.helpers import TINY_RUN


def marks(folder: Path, *overrides: str) -> dict[str, Any]:
    table = folder / "prices.csv"
    if not table.exists():
        price_frame().write_csv(table)
    config = to_config(compose_config(prepare([*TINY_RUN, f"data.path={table}", *overrides])))
    return fingerprint.of(config, load_table(config.data, config.active_targets), build.machine(config))


def state(before: dict[str, Any], step: int = 0) -> dict[str, Any]:
    return {"fingerprint": before, "step_in_epoch": step}


def test_a_fingerprint_is_plain_and_knows_data_and_machine(tmp_path: Path) -> None:
    found = marks(tmp_path)
    assert json.loads(json.dumps(found)) == found
    assert list(found) == [
        "config",
        "data",
        "panel",
        "python",
        "numpy",
        "torch",
        "processes",
        "threads",
        "device",
        "precision",
    ]
    assert found["config"]["data.targets.signal.horizon"] == 5
    assert (found["threads"], found["precision"]) == (1, "fp32")
    assert found["device"].startswith("cpu (")


def test_an_empty_mapping_is_a_value() -> None:
    assert fingerprint.flat({"a": {"b": 1, "c": {}}, "d": None}) == {"a.b": 1, "a.c": {}, "d": None}


def test_what_has_changed_is_told_paths_and_shows_are_not(tmp_path: Path) -> None:
    before = marks(tmp_path)
    now = marks(tmp_path, "training.epochs=9", "paths.log_dir=x", "callbacks.progress.enabled=false", "run.id=x")
    assert list(fingerprint.changes(before, now)) == ["training.epochs: 2 -> 9"]


def test_other_data_and_another_torch_are_told(tmp_path: Path) -> None:
    before = marks(tmp_path)
    lines = list(fingerprint.changes(before | {"torch": "2.12.0", "data": "aa"}, before))
    assert lines[0].startswith("the table's content has changed: aa -> ")
    assert lines[1].startswith("torch has changed: 2.12.0 -> 2.")
    assert all(line.endswith("the result will not repeat an uninterrupted run's bit for bit") for line in lines)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.lstm_units=16", "model.lstm_units: a resumed run cannot change it: it was 8 and would be 16"),
        ("data.clip=null", "data.clip: a resumed run cannot change it: it was 10.0 and would be null"),
        ("seed=3", "seed: a resumed run cannot change it: it was 0 and would be 3"),
        (
            "training.losses.signal={name: focal, gamma: 3}",
            "training.losses: a resumed run cannot change it: it was {'signal': {'name': 'cross_entropy', "
            "'label_smoothing': 0.0}, 'volatility': {'name': 'huber', 'delta': 1.0}} and would be {'signal': {'name': "
            "'focal', 'gamma': 3.0}, 'volatility': {'name': 'huber', 'delta': 1.0}}",
        ),
        (
            "training.balancing.kind=pcgrad",
            "training.balancing.kind: a resumed run cannot change it: it was fixed and would be pcgrad",
        ),
        ("training.optimizer=sgd", "training.optimizer: a resumed run cannot change it: it was adamw and would be sgd"),
    ],
)
def test_what_the_state_was_made_with_may_not_change(tmp_path: Path, override: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        fingerprint.refuse_if_it_cannot_fit(state(marks(tmp_path)), marks(tmp_path, override))
    assert str(error.value) == f"{said}; leave it, or begin a new run"


def test_the_batch_size_may_change_between_epochs_alone(tmp_path: Path) -> None:
    before, now = marks(tmp_path), marks(tmp_path, "training.batch_size=7")
    fingerprint.refuse_if_it_cannot_fit(state(before), now)
    with pytest.raises(
        ConfigError, match=r"^training\.batch_size: .* in the middle of an epoch \(after step 4\): it was"
    ):
        fingerprint.refuse_if_it_cannot_fit(state(before, step=4), now)


@pytest.mark.parametrize("step", [0, 4])
def test_another_number_of_processes_is_refused_unless_told(tmp_path: Path, step: int) -> None:
    before = marks(tmp_path)
    now = before | {"processes": 2}
    with pytest.raises(ConfigError) as error:
        fingerprint.refuse_if_it_cannot_fit(state(before, step), now)
    assert str(error.value) == (
        "the run was trained by 1 process(es) so far, and would be by 2; resume with as many, or add "
        "training.reshard=true: dropout will draw other numbers then, as with another seed"
    )
    told = marks(tmp_path, "training.reshard=true") | {"processes": 2}
    fingerprint.refuse_if_it_cannot_fit(state(before, step), told)
    assert list(fingerprint.changes(before, told)) == [
        "processes: 1 -> 2; they share the batches out anew, sums are in another order and dropout draws other numbers"
    ]


def test_rates_epochs_callbacks_and_places_may_change(tmp_path: Path) -> None:
    may = ["training.learning_rate=0.1", "training.epochs=5", "data.cache=never", "callbacks.early_stopping.patience=9"]
    fingerprint.refuse_if_it_cannot_fit(state(marks(tmp_path), step=2), marks(tmp_path, *may))


@pytest.mark.parametrize(("mark", "what"), [("data", "the table's content"), ("panel", "where the panel is")])
def test_what_gives_the_rows_their_order_stays_in_the_middle_of_an_epoch(tmp_path: Path, mark: str, what: str) -> None:
    now = marks(tmp_path)
    before = now | {mark: "another"}
    fingerprint.refuse_if_it_cannot_fit(state(before), now)
    with pytest.raises(
        ConfigError, match=rf"^{what} has changed \(another -> .*\) in the middle of an epoch \(after step 4\)"
    ):
        fingerprint.refuse_if_it_cannot_fit(state(before, step=4), now)


def test_the_metric_of_the_best_weights_may_not_change(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^callbacks\.checkpoint\.mode: a resumed run cannot change it"):
        fingerprint.refuse_if_it_cannot_fit(state(marks(tmp_path)), marks(tmp_path, "callbacks.checkpoint.mode=max"))


def test_nor_may_what_they_are_summed_of_nor_what_each_task_is_judged_by(tmp_path: Path) -> None:
    """A term that joins a sum is no key of its own, which an older version might not have known."""
    key = "callbacks.checkpoint.monitor"
    one, two = (f"{key}={{valid/signal/mcc:1.0{more}}}" for more in ("", ",valid/volatility/r2:0.5"))
    auto, summed, more = (marks(tmp_path, *given) for given in ([], [one], [two]))
    tasks = marks(tmp_path, "callbacks.task_metrics.signal=auroc", "callbacks.early_stopping.monitor=all_stalled")
    for before, now, told in ((summed, more, key), (summed, auto, key), (auto, tasks, "callbacks.task_metrics")):
        with pytest.raises(ConfigError, match=rf"^{told}: a resumed run cannot change it"):
            fingerprint.refuse_if_it_cannot_fit(state(before), now)
    tasks["config"]["callbacks.task_metrics"] = {}
    fingerprint.refuse_if_it_cannot_fit(state(auto), tasks)  # what stops training may change
    tasks["config"]["callbacks.checkpoint.per_task"] = True
    with pytest.raises(ConfigError, match=r"^callbacks\.checkpoint\.per_task: a resumed run cannot change it"):
        fingerprint.refuse_if_it_cannot_fit(state(auto), tasks)


def test_what_a_plug_ins_metric_means_may_not_change_but_another_may_come(tmp_path: Path, plugging: None) -> None:
    @dataclass(kw_only=True)
    class FarConfig(MetricConfig):
        beyond: float = 1.0

    metric("far", FarConfig, kinds=("regression",), better="smaller")(lambda predicted, label, spec, beyond: 0.0)
    metric("near", kinds=("regression",), better="larger")(lambda predicted, label, spec: 0.0)
    far = "training.metrics.far.beyond=2"
    before = state(marks(tmp_path, far))
    fingerprint.refuse_if_it_cannot_fit(before, marks(tmp_path, far, "training.metrics.near={}"))
    fingerprint.refuse_if_it_cannot_fit(state(marks(tmp_path)), marks(tmp_path, far))
    with pytest.raises(ConfigError, match=r"^training\.metrics\.far\.beyond: a resumed run cannot change it"):
        fingerprint.refuse_if_it_cannot_fit(before, marks(tmp_path, "training.metrics.far.beyond=3"))
