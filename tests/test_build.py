"""From config to objects."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from hybrid_trainer import build, prepare
from hybrid_trainer.balancing import Balancing
from hybrid_trainer.balancing.dwa import DynamicWeightAverage
from hybrid_trainer.balancing.gradnorm import GradNorm
from hybrid_trainer.balancing.pcgrad import PCGrad
from hybrid_trainer.balancing.uncertainty import Uncertainty
from hybrid_trainer.callbacks.checkpoint import Checkpoint
from hybrid_trainer.callbacks.early_stopping import EarlyStopping
from hybrid_trainer.callbacks.history import HistoryFile
from hybrid_trainer.callbacks.progress import ProgressReport
from hybrid_trainer.callbacks.resources import Resources
from hybrid_trainer.callbacks.tensorboard import TensorBoard
from hybrid_trainer.config.monitors import known_monitors
from hybrid_trainer.config.schema import Config
from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.data.sources import load_table
from hybrid_trainer.engine.device import choose_precision
from hybrid_trainer.engine.schedules import Plateau, Schedule
from hybrid_trainer.errors import ConfigError, TableError, TrainingError
from hybrid_trainer.links import to_prediction
from hybrid_trainer.models.hybrid import EnhancedHybridModel
from hybrid_trainer.trainer import Trainer
from tests.conftest import make_config, price_frame
from tests.engine.helpers import CPU, TINY_RUN, Scripted, same, weights

OWN = [*TINY_RUN[:-4], "data.features=[open,close]", "data.targets.own.column=own", "model.heads=[own]"]
MACHINE = build.Machine(CPU, choose_precision("fp32", CPU))


def make_data(folder: Path, frame: pl.DataFrame, *overrides: str) -> tuple[Config, Dataset]:
    """Write a table and make a run's data set of it."""
    path = folder / "table.csv"
    frame.write_csv(path)
    config = make_config(f"data.path={path}", *overrides)
    return config, prepare.dataset(config, load_table(config.data, config.active_targets), CPU)


def make_trainer(folder: Path, config: Config, data: Dataset) -> Trainer:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    looking_on = build.callbacks(config, folder, folder / "tensorboard")
    return build.trainer(config, build.model_spec(config, data), data, MACHINE, looking_on)


def own_frame(rows: int = 60, labels: list[float | None] | None = None) -> pl.DataFrame:
    """Two instruments with a label column of numbers."""
    frame = price_frame(rows)
    generator = np.random.default_rng(1)
    values = generator.normal(3, 2, 2 * rows).tolist() if labels is None else labels
    return frame.with_columns(pl.Series("own", values, dtype=pl.Float64))


# The data set.


@pytest.mark.parametrize("value", ["inf", "-Infinity", "1e39"])
@pytest.mark.parametrize("kind", ["{column: own, kind: regression}", "{builder: future, columns: [own], steps: 2}"])
def test_a_label_that_is_infinite_is_refused_and_harms_no_other_task(tmp_path: Path, kind: str, value: str) -> None:
    """In float32, which losses are computed in: its square would spoil the other tasks' gradients as well."""
    texts = ["1.5"] * 59 + [value] + ["2.5"] * 60
    frame = price_frame(60).with_columns(pl.Series("own", texts))
    said = r"table\.csv:61: .*(is not a finite number|too large for a)"
    with pytest.raises(TableError, match=said):
        make_data(tmp_path, frame, *OWN[:-2], f"data.targets.own={kind}", "model.heads=[own]")


def test_what_prices_make_infinite_is_no_label(tmp_path: Path) -> None:
    """The logarithm of a volatility where nothing moves."""
    row = pl.int_range(pl.len()).over("instrument")
    still = price_frame(200).with_columns(
        pl.when((row > 100) & (row < 130)).then(7.0).otherwise(pl.col(name)).alias(name)
        for name in ("open", "high", "low", "close")
    )
    _, data = make_data(tmp_path, still, *TINY_RUN)
    known = (data.tensors.mask["volatility"] > 0).view(2, 200)
    assert bool(known[:, 60:90].all()) and not bool(known[:, 105:115].any())
    assert bool(data.tensors.targets["volatility"].isfinite().all())


def test_a_table_too_short_for_a_window_is_refused_with_both_lengths(tmp_path: Path) -> None:
    message = (
        r"table\.csv: the longest unbroken stretch with all features has 5 rows, but a window needs "
        r"model\.time_window=8; bring more rows or lower model\.time_window"
    )
    with pytest.raises(TableError, match=message):
        make_data(tmp_path, own_frame(5), *OWN, "data.targets.own.kind=regression")


@pytest.mark.parametrize("rows", [10, 40, 58])
def test_the_warm_up_of_the_indicators_counts_as_missing(tmp_path: Path, rows: int) -> None:
    with pytest.raises(TableError, match=r"has 0 rows, but a window needs model\.time_window=8"):
        make_data(tmp_path, price_frame(rows), *TINY_RUN)


def test_an_instrument_too_short_for_a_window_stands_aside(tmp_path: Path) -> None:
    late = price_frame(40, ("C",)).with_columns(pl.col("timestamp").str.replace("2020", "2019"))
    _, data = make_data(tmp_path, pl.concat([price_frame(), late]), *TINY_RUN)
    seen = {data.panel.instruments[code] for rows in data.split.rows.values() for code in data.panel.instrument[rows]}
    assert seen == {"A", "B"}


def test_rows_without_any_label_are_refused_with_the_heads_named(tmp_path: Path) -> None:
    frame = own_frame(30, labels=[None] * 60)
    with pytest.raises(TableError, match=r"46 rows end a full window, but none has a label for any head \(own\)"):
        make_data(tmp_path, frame, *OWN, "data.targets.own.kind=regression")


def test_a_target_without_a_label_in_training_is_refused(tmp_path: Path) -> None:
    # own has labels only in the last 15 days, which are none of training's; close supplies the other rows
    frame = own_frame(60).with_columns(
        pl.when(pl.int_range(pl.len()).over("instrument") >= 45).then("own").alias("own"), pl.col("high").alias("other")
    )
    overrides = ["data.targets.own.kind=regression", "data.targets.other={column: other, kind: regression}"]
    with pytest.raises(TableError, match=r"data\.targets\.own: no training row has a label"):
        make_data(tmp_path, frame, *OWN, *overrides, "model.heads=[own,other]")


def test_a_regression_target_is_scaled_by_its_training_labels_alone(tmp_path: Path) -> None:
    frame = own_frame()
    _, data = make_data(tmp_path, frame, *OWN, "data.targets.own.kind=regression")
    train = data.split.rows["train"]
    labels = frame.sort("instrument", "timestamp")["own"].to_numpy()[train]
    (spec,) = data.specs
    assert spec.shift == pytest.approx((labels.mean(),), rel=1e-12)
    assert spec.scale == pytest.approx((labels.std(),), rel=1e-12)
    scaled = data.tensors.targets["own"][torch.from_numpy(train)]
    assert (scaled.mean().item(), scaled.std(correction=0).item()) == pytest.approx((0, 1), abs=1e-6)


def test_later_labels_and_prices_change_nothing_that_training_sees(tmp_path: Path) -> None:
    frame = own_frame()
    _, data = make_data(tmp_path, frame, *OWN, "data.targets.own.kind=regression")
    last = pl.lit(data.split_report["parts"]["train"]["last"])
    later = pl.col("timestamp") > last
    changed = frame.with_columns(
        pl.when(later).then(pl.col(name) * 3).otherwise(name).alias(name) for name in ("own", "open", "high", "close")
    )
    assert not changed.equals(frame)
    _, other = make_data(tmp_path, changed, *OWN, "data.targets.own.kind=regression")
    assert other.specs == data.specs
    assert np.array_equal(other.scaler.transformer.mean_, data.scaler.transformer.mean_)
    for ours, theirs in zip(data.loader("train", 16), other.loader("train", 16), strict=True):
        assert torch.equal(ours.x, theirs.x)
        assert torch.equal(ours.targets["own"], theirs.targets["own"])
        assert torch.equal(ours.row, theirs.row)
    test = [torch.cat([batch.x for batch in some.loader("test", 16)]) for some in (data, other)]
    assert not torch.equal(*test)


def test_an_instrument_that_training_never_saw_is_unknown(tmp_path: Path) -> None:
    frame = own_frame().filter((pl.col("instrument") == "A") | (pl.col("timestamp") >= "2020-02-15"))
    _, data = make_data(tmp_path, frame, *OWN, "data.targets.own.kind=regression")
    assert data.vocabularies["instrument"].names == ("A",)
    assert set(data.tensors.ids[torch.from_numpy(data.split.rows["train"])].flatten().tolist()) == {1}
    later = torch.from_numpy(np.concatenate([data.split.rows["valid"], data.split.rows["test"]]))
    assert set(data.tensors.ids[later].flatten().tolist()) == {0, 1}


def test_a_row_with_some_label_stays_and_one_with_none_goes(tmp_path: Path) -> None:
    rows = 60
    generator = np.random.default_rng(2)
    first, second = (generator.random(2 * rows) < share for share in (0.3, 0.6))
    frame = price_frame(rows).with_columns(
        pl.Series("own", [None if gone else 1.0 + i for i, gone in enumerate(first)], dtype=pl.Float64),
        pl.Series("mood", [None if gone else "up" if i % 2 else "down" for i, gone in enumerate(second)]),
    )
    overrides = ["data.targets.own.kind=regression", "data.targets.mood={column: mood, kind: classification}"]
    _, data = make_data(tmp_path, frame, *OWN, *overrides, "model.heads=[own,mood]")
    decidable = np.array([instrument * rows + i for instrument in range(2) for i in range(7, rows)])
    assert data.split_report["rows_without_any_label"] == int((first & second)[decidable].sum()) > 0
    for part, said in data.split_report["parts"].items():
        here = data.split.rows[part]
        assert not (first & second)[here].any()
        for task, gone in (("own", first), ("mood", second)):
            masked = int((data.tensors.mask[task][torch.from_numpy(here)] == 0).sum())
            assert said["targets"][task] == said["targets"][task] | {
                "labelled": len(here) - masked,
                "masked": masked,
            }
            assert masked == gone[here].sum()


def test_windows_end_in_their_decision_row_and_hold_scaled_features(tmp_path: Path) -> None:
    frame = own_frame()
    _, data = make_data(tmp_path, frame, *OWN, "data.targets.own.kind=regression")
    raw = frame.sort("instrument", "timestamp").select("open", "close").to_numpy()
    train = data.split.rows["train"]
    covered = sorted({row - back for row in train for back in range(8)})
    scaled = (raw - raw[covered].mean(axis=0)) / raw[covered].std(axis=0)
    batch = next(iter(data.loader("train", 5)))
    for x, row in zip(batch.x, batch.row.tolist(), strict=True):
        np.testing.assert_allclose(x.numpy(), scaled[row - 7 : row + 1], rtol=1e-4, atol=1e-4)


def test_context_and_categories_are_fitted_on_training_rows_and_a_missing_block_loses_no_row(tmp_path: Path) -> None:
    frame = own_frame()
    generator = np.random.default_rng(3)
    days = frame["timestamp"].unique().sort()
    late = frame["timestamp"].is_in(days[-5:].implode())  # behind training: they must not be seen by any fit
    mood = np.where(late, 1e6, generator.normal(5, 2, len(frame)))
    mood[generator.random(len(frame)) < 0.3] = np.nan
    sector = np.where(late, "zinc", generator.choice(["oil", "tech"], len(frame)))
    frame = frame.with_columns(mood=pl.Series(mood).fill_nan(None), sector=pl.Series(sector))
    overrides = [*OWN, "data.targets.own.kind=regression"]
    _, plain = make_data(tmp_path, frame, *overrides)
    _, data = make_data(tmp_path, frame, *overrides, "data.context=[mood]", "data.categories=[sector]")
    for part, rows in plain.split.rows.items():
        np.testing.assert_array_equal(data.split.rows[part], rows)
    table = frame.sort("instrument", "timestamp")
    values, train = table["mood"].cast(pl.Float64).fill_null(np.nan).to_numpy(), data.split.rows["train"]
    expected = (values - np.nanmean(values[train])) / np.nanstd(values[train])
    assert data.tensors.context is not None
    np.testing.assert_allclose(data.tensors.context[:, 0].numpy(), expected.clip(-10, 10), rtol=1e-4, atol=1e-4)
    assert data.vocabularies["sector"].names == ("oil", "tech")
    numbers = {"oil": 1, "tech": 2, "zinc": 0}
    assert data.tensors.ids[:, 1].tolist() == [numbers[name] for name in table["sector"]]


# The model.


def test_a_model_spec_says_what_the_data_and_the_config_give(tmp_path: Path) -> None:
    frame = own_frame().with_columns(mood=pl.col("open").log(), tone=pl.col("close").log())
    frame = frame.with_columns(sector=pl.Series(["oil", "tech", "bank"] * 40), city=pl.lit("Rome"))
    overrides = ["data.targets.own.kind=regression", "data.context.both=[mood,tone]", "model.lstm_layers=2"]
    overrides += ["data.categories=[sector,city]", "model.embeddings.city=5"]
    config, data = make_data(tmp_path, frame, *OWN, *overrides)
    spec = build.model_spec(config, data)
    assert spec.name == "hybrid"
    assert (spec.dims.features, spec.dims.context, spec.dims.time_window) == (2, {"both": 2}, 8)
    assert spec.dims.vocabularies == {"instrument": 3, "sector": 4, "city": 2}
    assert spec.parameters["embeddings"] == {"instrument": 4, "sector": 2, "city": 5}  # sector: the root of 4
    assert spec.dims.heads == {"own": 1}
    assert spec.parameters["lstm_layers"] == 2
    assert not {"name", "heads", "time_window"} & set(spec.parameters)
    off, data = make_data(tmp_path, frame, *OWN, *overrides, "model.embeddings={instrument:null,sector:null}")
    assert build.model_spec(off, data).parameters["embeddings"] == {"city": 5}
    model = make_trainer(tmp_path, config, data).model
    assert isinstance(model, EnhancedHybridModel)
    assert model.side.context is not None and len(model.recurrent.layers) == 2


def test_the_config_reaches_optimizer_criterion_and_stepper(tmp_path: Path) -> None:
    overrides = [
        "training.optimizer=sgd",
        "training.learning_rate=0.25",
        "training.weight_decay=0.125",
        "training.momentum=0.5",
        "training.clip_norm=3",
        "training.epochs=7",
        "training.loss_weights.volatility=0.5",
        "training.losses.volatility=mse",
    ]
    config, data = make_data(tmp_path, price_frame(), *TINY_RUN, *overrides)
    trainer = make_trainer(tmp_path, config, data)
    group = trainer.stepper.optimizer.param_groups[0]
    assert isinstance(trainer.stepper.optimizer, torch.optim.SGD)
    assert (group["lr"], group["weight_decay"], group["momentum"]) == (0.25, 0.125, 0.5)
    assert (trainer.stepper.clip_norm, trainer.epochs) == (3.0, 7)
    batch = next(iter(data.loader("train", 20)))
    parts, outputs = trainer.stepper.forward(batch)
    signal = F.cross_entropy(outputs["signal"], batch.targets["signal"])
    volatility = F.mse_loss(outputs["volatility"], batch.targets["volatility"])
    torch.testing.assert_close(parts.total, signal + 0.5 * volatility)


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        ("fixed", Balancing),
        ("uncertainty", Uncertainty),
        ("dwa", DynamicWeightAverage),
        ("gradnorm", GradNorm),
        ("pcgrad", PCGrad),
    ],
)
def test_the_config_reaches_balancing_losses_and_probe(tmp_path: Path, kind: str, made: type[Balancing]) -> None:
    overrides = [
        f"training.balancing.kind={kind}",
        "training.balancing.alpha=0.5",
        "training.balancing.temperature=3",
        "training.losses.signal={name: focal, gamma: 1.5}",
        "training.task_gradients_every=7",
        *(f"{key}.monitor=valid/signal/loss" for key in ("callbacks.checkpoint", "callbacks.early_stopping")),
        "training.schedule.monitor=valid/signal/loss",
    ]
    config, data = make_data(tmp_path, price_frame(), *TINY_RUN, *overrides)
    stepper = make_trainer(tmp_path, config, data).stepper
    assert type(stepper.balancing) is made
    assert getattr(stepper.balancing, "alpha", 0.5) == 0.5 and getattr(stepper.balancing, "temperature", 3) == 3
    assert stepper.probe is not None and stepper.probe.every == 7
    groups = stepper.optimizer.param_groups
    assert [len(group["params"]) for group in groups[2:]] == [1] * (kind in ("uncertainty", "gradnorm"))
    batch = next(iter(data.loader("train", 20)))
    parts, outputs = stepper.forward(batch)
    log_p = F.log_softmax(outputs["signal"], dim=1)[torch.arange(20), batch.targets["signal"]]
    torch.testing.assert_close(parts.means[0], (-((1 - log_p.exp()) ** 1.5) * log_p).mean())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("training.balancing.kind=pcgrad", "training.balancing.kind=pcgrad"),
        ("training.task_gradients_every=2", "training.task_gradients_every"),
    ],
)
def test_a_compiled_model_goes_through_its_graph_once(
    tmp_path: Path, given: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    monitors = [f"callbacks.{which}.monitor=valid/signal/loss" for which in ("checkpoint", "early_stopping")]
    monitors += ["training.schedule.monitor=valid/signal/loss"]
    config, data = make_data(tmp_path, price_frame(), *TINY_RUN, "training.compile=inductor", given, *monitors)
    trainer = make_trainer(tmp_path, config, data)
    assert trainer.stepper.run is trainer.model
    assert caplog.messages[0].startswith(f"training.compile=inductor: {said} goes through each step's graph several")


def test_the_best_is_known_for_given_borders_alone() -> None:
    for extra, known in ((), ["signal"]), (("data.targets.signal.threshold_quantiles=[0.3,0.7]",), []):
        config = make_config("data=synthetic", "data.rows=200", "model.heads=[signal]", "model.time_window=8", *extra)
        data = prepare.dataset(config, load_table(config.data, config.active_targets), CPU)
        assert list(build.oracles(config, data)) == known
        assert len(data.specs[0].borders) == (0 if known else 2)


@pytest.mark.parametrize(("kind", "cap"), [("balanced", None), ("capped", 1.2)])
def test_class_weights_come_from_training_rows_and_reach_the_loss(tmp_path: Path, kind: str, cap: float | None) -> None:
    overrides = [
        f"training.class_weights={kind}",
        "training.class_weight_cap=1.2",
        "data.targets.signal.thresholds=[1.0]",
    ]
    config, data = make_data(tmp_path, price_frame(), *TINY_RUN, *overrides)
    target = data.targets[0]
    train = data.split.rows["train"]
    labels = target.values[train][target.labelled[train]]
    weights = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    expected = torch.from_numpy(np.minimum(weights, (cap or 99) * weights.min())).float()
    assert (expected.max() > expected.min()) and (cap is None or len(expected.unique()) < 3)
    assert list(build.weights_of_classes(config, data)) == ["signal"]
    trainer = make_trainer(tmp_path, config, data)
    batch = next(iter(data.loader("train", 50)))
    parts, outputs = trainer.stepper.forward(batch)
    signal = F.cross_entropy(outputs["signal"], batch.targets["signal"], weight=expected)
    torch.testing.assert_close(parts.sums[0] / parts.counts[0], signal)
    assert build.weights_of_classes(make_config(*TINY_RUN, "data.path=x.csv"), data) == {}


@pytest.mark.parametrize("heads", [["signal"], ["volatility", "signal"], ["sl_tp", "signal", "volatility"]])
def test_the_heads_are_those_of_the_config_in_their_order(tmp_path: Path, heads: list[str]) -> None:
    config, data = make_data(tmp_path, price_frame(), *TINY_RUN, f"model.heads={heads}".replace("'", ""))
    trainer = make_trainer(tmp_path, config, data)
    batch = next(iter(data.loader("train", 20)))
    assert list(trainer.stepper.forward(batch)[1]) == heads == trainer.stepper.criterion.tasks
    assert list(batch.targets) == list(batch.mask) == heads


def test_every_monitor_that_config_accepts_is_in_the_epoch_row_and_no_other(tmp_path: Path) -> None:
    overrides = ["model.heads=[signal,volatility,sl_tp]", "training.epochs=1", "callbacks.tensorboard.enabled=false"]
    config, data = make_data(tmp_path, price_frame(), *TINY_RUN, *overrides)
    trainer = make_trainer(tmp_path, config, data)
    row = trainer.fit(data.loader("train", 64), data.loader("valid", 64))[0]
    assert set(row) == {"epoch", "lr", *known_monitors(config)}


# Schedule and callbacks.


def test_the_schedule_is_plateau_or_none(tmp_path: Path) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    overrides = ["factor=0.1", "patience=4", "min_learning_rate=0.01", "monitor=valid/signal/mcc"]
    config = make_config(*(f"training.schedule.{override}" for override in overrides))
    schedule = build.schedule(config, optimizer, 10)
    assert isinstance(schedule, Plateau)
    assert (schedule.lower_by, schedule.patience, schedule.min_learning_rate) == (0.1, 4, 0.01)
    assert schedule.optimizer is optimizer
    assert (schedule.monitor.metric, schedule.monitor.lower_is_better) == ("valid/signal/mcc", False)
    assert isinstance(build.schedule(make_config("training.schedule.kind=none"), optimizer, 10), Schedule)


def test_callbacks_are_those_of_the_config_and_the_checkpoint_sees_the_state_of_stopping(tmp_path: Path) -> None:
    overrides = [
        "early_stopping.monitor=valid/signal/accuracy",
        "early_stopping.mode=max",
        "early_stopping.patience=3",
        "early_stopping.min_delta=0.25",
        "checkpoint.monitor=valid/signal/macro_f1",
        "checkpoint.mode=max",
        "resources.every_seconds=5",
    ]
    config = make_config(*(f"callbacks.{override}" for override in overrides))
    made = build.callbacks(config, tmp_path, tmp_path / "logs")
    assert [type(one) for one in made] == [
        HistoryFile,
        TensorBoard,
        EarlyStopping,
        Resources,
        Checkpoint,
        ProgressReport,
    ]
    history, tensorboard, stopping, resources, checkpoint, _ = made
    assert isinstance(history, HistoryFile) and history.path == tmp_path / "history.jsonl"
    assert isinstance(tensorboard, TensorBoard) and tensorboard.folder == tmp_path / "logs"
    assert isinstance(stopping, EarlyStopping) and stopping.patience == 3
    assert (stopping.monitor.metric, stopping.monitor.min_delta) == ("valid/signal/accuracy", 0.25)
    assert isinstance(checkpoint, Checkpoint) and checkpoint.store.folder == tmp_path / "checkpoints"
    assert checkpoint.monitor.metric == "valid/signal/macro_f1"
    assert isinstance(resources, Resources) and resources.tensorboard is tensorboard
    assert (resources.path, resources.every_seconds) == (tmp_path / "resources.jsonl", 5.0)
    assert not stopping.monitor.lower_is_better and not checkpoint.monitor.lower_is_better


def test_callbacks_can_be_switched_off(tmp_path: Path) -> None:
    off = [f"callbacks.{name}.enabled=false" for name in ("tensorboard", "early_stopping", "progress", "resources")]
    made = build.callbacks(make_config(*off), tmp_path, tmp_path)
    assert [type(one) for one in made] == [HistoryFile, Checkpoint]


def test_the_best_epochs_weights_are_loaded_and_its_number_told(tmp_path: Path) -> None:
    overrides = ["training.epochs=3", "callbacks.tensorboard.enabled=false"]
    config, data = make_data(tmp_path, price_frame(), *TINY_RUN, *overrides)
    trainer = make_trainer(tmp_path, config, data)
    trainer.callbacks.insert(0, Scripted("valid/loss", [3.0, 1.0, 2.0]))
    kept = []
    trainer.callbacks.append(Scripted("", []))
    trainer.callbacks[-1].epoch_end = lambda trainer: kept.append(weights(trainer.model))  # type: ignore[method-assign]
    trainer.fit(data.loader("train", 64), data.loader("valid", 64))
    assert build.load_best(trainer) == 2
    assert same(weights(trainer.model), kept[1])
    assert not same(kept[1], kept[2])


def test_without_a_best_epoch_the_monitor_is_named(tmp_path: Path) -> None:
    overrides = ["training.epochs=1", "callbacks.tensorboard.enabled=false"]
    config, data = make_data(tmp_path, price_frame(), *TINY_RUN, *overrides)
    trainer = make_trainer(tmp_path, config, data)
    trainer.callbacks.insert(0, Scripted("valid/loss", [math.nan]))
    trainer.fit(data.loader("train", 64), data.loader("valid", 64))
    with pytest.raises(TrainingError, match=r"callbacks\.checkpoint\.monitor was never a number"):
        build.load_best(trainer)


# The device, and what is saved.


def test_a_machine_is_device_and_precision() -> None:
    on = build.machine(make_config("training.device=cpu", "training.precision=fp16"))
    assert (on.device, on.precision.dtype) == (CPU, torch.float16)


def test_cuda_without_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"training\.device"):
        build.machine(make_config("training.device=cuda"))


def test_the_golden_windows_are_the_first_of_the_test_split_in_units(tmp_path: Path) -> None:
    frame = own_frame().with_columns(mood=pl.col("open").log())
    overrides = ["data.targets.own.kind=regression", "data.context=[mood]"]
    _, data = make_data(tmp_path, frame, *OWN, *overrides)
    golden = build.golden_windows(data, count=3)
    table = frame.sort("instrument", "timestamp")
    rows = data.split.rows["test"][:3].tolist()
    for index, row in enumerate(rows):
        window = table[row - 7 : row + 1].select("open", "close").to_numpy().astype(np.float32)
        assert np.array_equal(golden["x"][index].numpy(), window)
        assert golden["context"][index].tolist() == [np.float32(table["mood"][row])]
        assert golden["ids"][index].tolist() == [1 if table["instrument"][row] == "A" else 2]


def test_a_file_to_predict_on_needs_the_inputs_but_no_labels(tmp_path: Path) -> None:
    frame = own_frame().with_columns(mood=pl.col("open").log())
    overrides = ["data.targets.own.kind=regression", "data.context=[mood]"]
    config, data = make_data(tmp_path, frame, *OWN, *overrides)
    layout = build.inference_layout(config, data.table)
    assert set(layout.all_columns) == {"timestamp", "instrument", "open", "close", "mood"}
    assert (layout.labels, layout.optional, layout.context) == ((), ("mood",), {"context": ("mood",)})

    overrides += ["data.context_missing=error"]
    config, data = make_data(tmp_path, frame, *OWN, *overrides)
    assert build.inference_layout(config, data.table).whole == ("mood",)

    config, data = make_data(tmp_path, price_frame(), *TINY_RUN)
    layout = build.inference_layout(config, data.table)
    assert set(layout.all_columns) == {"timestamp", "instrument", "open", "high", "low", "close", "volume"}


def test_a_file_to_predict_on_needs_the_columns_of_the_expressions(tmp_path: Path) -> None:
    frame = own_frame().with_columns(mood=pl.col("open").log(), own=pl.col("close"))
    overrides = ["data.targets.own.kind=regression", "data.expressions.m=col('mood').diff()"]
    config, data = make_data(tmp_path, frame, *OWN, *overrides)
    assert data.panel.feature_names[0] == "m"
    layout = build.inference_layout(config, data.table)
    assert set(layout.all_columns) == {"timestamp", "instrument", "open", "close", "mood"}

    overrides = ["data.expressions.m=col('close').diff()", "data.feature_set=none"]
    config, data = make_data(tmp_path, price_frame(), *TINY_RUN, *overrides)
    layout = build.inference_layout(config, data.table)
    assert set(layout.all_columns) == {"timestamp", "instrument", "open", "high", "low", "close", "volume"}


def test_a_predictor_predicts_from_units_what_the_model_predicts_from_scaled_windows(tmp_path: Path) -> None:
    frame = own_frame().with_columns(mood=pl.col("open").log())
    overrides = ["data.targets.own.kind=regression", "data.context=[mood]"]
    config, data = make_data(tmp_path, frame, *OWN, *overrides)
    trainer = make_trainer(tmp_path, config, data)
    origin = {"hybrid_trainer": "0", "python": "3", "packages": {"torch": "2"}}
    predictor = build.predictor(config, build.model_spec(config, data), data, trainer, origin)
    golden = build.golden_windows(data)
    said = predictor.predict_windows(golden["x"], golden["context"], golden["ids"])
    loader = replace(data).loader("test", 8)
    batch = loader.gather(loader.rows[:8])
    with torch.no_grad():
        raw = trainer.model.eval()(batch.x, batch.context, batch.ids)["own"]
    torch.testing.assert_close(said, {"own_pred": to_prediction(raw, data.specs[0])})
    assert predictor.schema.origin["data_sha256"] == data.table.sha256


# A table on disk.


def on_disk_data(folder: Path, *overrides: str, rows: int = 200) -> tuple[Config, Dataset]:
    cached = ["data.cache=always", f"paths.cache_dir={folder / 'cache'}", *overrides]
    return make_data(folder, price_frame(rows), *TINY_RUN, *cached)


def test_a_panel_on_disk_gives_the_batches_of_one_in_memory(tmp_path: Path) -> None:
    _, held = make_data(tmp_path, price_frame(), *TINY_RUN)
    for _ in range(2):  # the second time from the cache
        _, mapped = on_disk_data(tmp_path, "data.in_memory_mib=0")
        assert isinstance(mapped.panel.features, np.memmap) and mapped.panel.features.flags.writeable is False
        for part in ("train", "valid", "test"):
            for ours, theirs in zip(mapped.loader(part, 16), held.loader(part, 16), strict=True):
                assert same(
                    [ours.x, ours.ids, ours.targets, ours.mask], [theirs.x, theirs.ids, theirs.targets, theirs.mask]
                )
        assert mapped.split_report == held.split_report
    assert len(list((tmp_path / "cache" / "panels").iterdir())) == 1


def test_a_cached_panel_that_fits_is_held_in_memory(tmp_path: Path) -> None:
    _, data = on_disk_data(tmp_path)
    assert not isinstance(data.panel.features, np.memmap) and not data.tensors.mapped
    _, held = make_data(tmp_path, price_frame(), *TINY_RUN)
    assert torch.equal(data.tensors.features.nan_to_num(), held.tensors.features.nan_to_num())


def test_other_features_and_other_gaps_are_other_panels(tmp_path: Path) -> None:
    for override in ("data.feature_set=core", "data.feature_set=technical", "data.max_gap=null"):
        on_disk_data(tmp_path, override, rows=400)
    assert len(list((tmp_path / "cache" / "panels").iterdir())) == 2  # this table has no gap to cut at
    frame = price_frame().with_row_index().filter(pl.col("index") != 150).drop("index")
    for override in ("data.max_gap=1", "data.max_gap=null"):
        make_data(tmp_path, frame, *TINY_RUN, "data.cache=always", f"paths.cache_dir={tmp_path / 'cache'}", override)
    assert len(list((tmp_path / "cache" / "panels").iterdir())) == 4


def test_training_from_a_panel_on_disk_repeats_bit_for_bit(tmp_path: Path) -> None:
    config, data = on_disk_data(tmp_path, "data.in_memory_mib=0")
    trained = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        trainer = make_trainer(folder, config, data)
        trainer.fit(data.loader("train", 16, shuffle_seed=0), data.loader("valid", 16))
        trained.append(weights(trainer.model))
    assert same(*trained)


# What a split says that may not have been meant.


def test_rows_that_a_split_column_leaves_out_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    parts = ["train"] * 30 + ["Train"] * 5 + ["valid"] * 30 + ["test"] * 35
    frame = own_frame(100).with_columns(part=pl.Series(parts * 2))
    split = ["data.split.kind=column", "data.split.column=part", "data.targets.own.kind=regression"]
    with caplog.at_level("INFO", logger="hybrid_trainer.prepare"):
        make_data(tmp_path, frame, *OWN, *split)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["data.split.column: 10 decision row(s) say 'Train': they are looked back on only"]


@pytest.mark.parametrize("embedded", [True, False])
def test_an_embedding_of_names_that_are_never_met_again_is_warned_of(
    embedded: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frame = price_frame(20, tuple("ABCDEFGHIJ")).with_columns(own=pl.col("close"))
    given = ["data.independent_sequences=true", "data.targets.own.kind=regression"]
    make_data(tmp_path, frame, *OWN, *given, *([] if embedded else ["~model.embeddings.instrument"]))
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [text.endswith("leave them out with model.embeddings.instrument=null") for text in said] == [True] * embedded


@pytest.mark.parametrize("scaler", ["standard", "none"])
def test_a_forecasts_columns_are_found_among_the_features_and_on_their_scale(tmp_path: Path, scaler: str) -> None:
    config, data = make_data(
        tmp_path, price_frame(120), "data=csv", "data.instrument=instrument", "data.features=[open,close]",
        "data.targets.load={builder:future,columns:[close,open],steps:3}", "model.heads=[load]",
        "model=dlinear", "model.time_window=8", f"data.scaler={scaler}", "data.clip=null",
    )  # fmt: skip
    dims = build.model_spec(config, data).dims
    assert dims.forecast_columns == {"load": [1, 0]}
    gain, offset = torch.tensor(dims.forecast_scales["load"]).T
    batch = data.loader("train", 16).gather(torch.from_numpy(data.split.rows["train"][:16]))
    labels = batch.targets["load"].view(16, 3, 2)
    later = data.loader("train", 16).gather(batch.row + 3)
    torch.testing.assert_close(later.x[:, -1, [1, 0]] * gain + offset, labels[:, -1], rtol=1e-4, atol=1e-4)


def test_a_forecast_of_a_column_that_is_no_feature_is_any_other_head(tmp_path: Path) -> None:
    config, data = make_data(
        tmp_path, price_frame(120), "data=csv", "data.instrument=instrument", "data.features=[open]",
        "data.targets.load={builder:future,columns:[close,open],steps:3}", "model.heads=[load]",
        "model.time_window=8",
    )  # fmt: skip
    assert build.model_spec(config, data).dims.forecast_columns == {}
