"""One run, start to finish."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hybrid_trainer.callbacks.history import HistoryFile
from hybrid_trainer.config.compose import load_config
from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.data.windows import WindowLoader
from hybrid_trainer.errors import RunDirError, TableError, TrainingError, UserError
from hybrid_trainer.inference.bundle import load_bundle
from hybrid_trainer.train import load, train
from tests.conftest import make_config, price_frame
from tests.engine.helpers import TINY_RUN

BUNDLE = ["MODEL_CARD.md", "golden.safetensors", "manifest.json", "scaler.skops", "schema.json", "weights.safetensors"]
OWN = [*TINY_RUN, "data.features=[open,close]", "data.targets.own.column=own", "model.heads=[own]"]


def start(table: Path, folder: Path, *overrides: str, base: list[str] | None = None) -> Path:
    """Run in `folder`/run; returns that directory."""
    given = [*(base or TINY_RUN), f"data.path={table}", f"paths.root={folder}", *overrides]
    train(make_config(*given), folder / "run", given)
    return folder / "run"


def record(run: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((run / "run.json").read_text())
    return said


def history(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


def said_in(run: Path, name: str) -> Any:
    return json.loads((run / name).read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two heads on prices, three epochs."""
    folder = tmp_path_factory.mktemp("finished")
    price_frame().write_csv(folder / "prices.csv")
    return start(folder / "prices.csv", folder, "training.epochs=3")


# A run that goes well.


def test_a_run_ends_complete_with_its_metrics(finished: Path) -> None:
    said = record(finished)
    assert (said["status"], said["stop_reason"]) == ("complete", "3 of 3 epochs done")
    assert (said["epochs"], said["device"], said["precision"], said["threads"]) == (3, "cpu", "fp32", 1)
    best = min(history(finished), key=lambda row: row["valid/loss"])
    assert said["best_epoch"] == best["epoch"]
    tested = said_in(finished, "report/metrics.json")
    expected = best | {f"test/{task}/{name}": value for task in tested for name, value in tested[task]["model"].items()}
    expected |= {
        f"baseline/{task}/{metric}": said["baselines"][name][metric]
        for task, said in tested.items()
        for metric, name in said["strongest_baseline"].items()
    }
    assert said["metrics"] == expected
    assert {"test/signal/macro_f1", "test/volatility/r2", "valid/loss"} < set(expected)


def test_a_run_leaves_everything_that_the_directory_promises(finished: Path) -> None:
    names = {path.relative_to(finished).as_posix() for path in finished.rglob("*") if path.is_file()}
    events = {name for name in names if name.startswith("tensorboard/events.out")}
    assert len(events) == 1
    git = record(finished)["provenance"]["git"]
    diff = {"uncommitted.diff"} if git and git["dirty"] else set()  # of the checkout that the tests run in
    assert names - events - diff == {
        "config.yaml",
        "overrides.yaml",
        "run.json",
        "history.jsonl",
        "resources.jsonl",
        "train.log",
        "data_report.json",
        "split_report.json",
        *(f"checkpoints/last-000{epoch}-0000000.pt{end}" for epoch in (2, 3) for end in ("", ".sha256")),
        *(f"checkpoints/best-000{epoch}.pt{end}" for epoch in (2, 3) for end in ("", ".sha256")),
        "report/metrics.json",
        "report/predictions.parquet",
        "report/split.png",
        *(f"model/{name}" for name in BUNDLE),
    }


def test_the_history_of_a_run_has_a_row_per_epoch_and_tensorboard_the_same(finished: Path) -> None:
    rows = history(finished)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    events = EventAccumulator(str(finished / "tensorboard"))
    events.Reload()
    found = {event.step: event.value for event in events.Scalars("loss/valid")}
    assert found == {row["epoch"]: pytest.approx(row["valid/loss"], rel=1e-6) for row in rows}


def test_the_config_of_a_run_can_be_read_back_and_run_again(finished: Path) -> None:
    config = load_config(finished / "config.yaml")
    given = record(finished)["overrides"]
    assert config == make_config(*given)
    assert (finished / "overrides.yaml").read_text() == "".join(f"- {json.dumps(line)}\n" for line in given)


def test_the_saved_model_predicts_for_the_file_what_the_report_says(finished: Path) -> None:
    reported = pl.read_parquet(finished / "report" / "predictions.parquet")
    predicted = load_bundle(finished / "model").predict_file(finished.parent / "prices.csv")
    joined = reported.join(predicted, on=["timestamp", "instrument"], how="inner", suffix="_bundle")
    assert len(joined) == len(reported) == said_in(finished, "split_report.json")["parts"]["test"]["rows"]
    for name in ("signal_probs", "volatility_pred"):
        ours, theirs = (np.array(joined[column].to_list()) for column in (name, f"{name}_bundle"))
        np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5)


def test_the_reported_metrics_are_those_of_the_reported_predictions(finished: Path) -> None:
    frame = pl.read_parquet(finished / "report" / "predictions.parquet")
    tested = said_in(finished, "report/metrics.json")
    labels = ["down", "flat", "up"]
    predicted = [labels[int(np.argmax(row))] for row in frame["signal_probs"]]
    accuracy = np.mean([a == b for a, b in zip(predicted, frame["signal_label"], strict=True)])
    assert tested["signal"]["model"]["accuracy"] == pytest.approx(accuracy)
    error = np.array(frame["volatility_pred"].to_list()) - np.array(frame["volatility_label"].to_list())
    assert tested["volatility"]["model"]["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-5)
    assert tested["signal"]["rows"] == len(frame)


def test_the_log_tells_each_epoch_once(finished: Path) -> None:
    text = (finished / "train.log").read_text()
    assert [text.count(f" epoch {epoch}/3 ") for epoch in (1, 2, 3)] == [1, 1, 1]
    assert "ERROR" not in text


def test_early_stopping_is_the_reason_that_the_record_gives(prices_csv: Path, tmp_path: Path) -> None:
    overrides = ["training.epochs=30", "training.learning_rate=0.2", "callbacks.early_stopping.patience=1"]
    run = start(prices_csv, tmp_path, *overrides)
    said = record(run)
    assert said["status"] == "complete"
    assert said["stop_reason"].startswith("early stopping: valid/loss has not improved for 1 epochs")
    assert said["epochs"] == len(history(run)) == said["best_epoch"] + 1 < 30


def test_the_best_checkpoint_by_another_metric_is_the_one_that_is_saved(prices_csv: Path, tmp_path: Path) -> None:
    overrides = ["callbacks.checkpoint.monitor=valid/signal/macro_f1", "callbacks.checkpoint.mode=max"]
    run = start(prices_csv, tmp_path, "training.epochs=4", "training.learning_rate=0.05", *overrides)
    scores = [row["valid/signal/macro_f1"] for row in history(run)]
    assert record(run)["best_epoch"] == scores.index(max(scores)) + 1
    assert record(run)["metrics"]["valid/signal/macro_f1"] == max(scores)


def test_the_best_epoch_of_each_task_is_kept_and_tested_on_request(prices_csv: Path, tmp_path: Path) -> None:
    overrides = ["callbacks.checkpoint.per_task=true", "callbacks.task_metrics={volatility:spearman}"]
    run = start(prices_csv, tmp_path, "training.epochs=4", "training.learning_rate=0.05", *overrides)
    rows, tested = history(run), said_in(run, "report/metrics.json")
    for task, metric in {"signal": "mcc", "volatility": "spearman"}.items():
        scores = [row[f"valid/{task}/{metric}"] for row in rows]
        best = tested[task]["task_best"]
        assert (best["epoch"], best["by"]) == (scores.index(max(scores)) + 1, f"valid/{task}/{metric}")
        assert best["metrics"].keys() == tested[task]["model"].keys()
        if best["epoch"] == record(run)["best_epoch"]:
            assert best["metrics"] == tested[task]["model"]
        assert (run / f"checkpoints/best-{task}-{best['epoch']:04}.pt").exists()
        assert f"best for {task}: epoch {best['epoch']} (by valid/{task}/{metric})" in (run / "train.log").read_text()
    assert {tested[task]["task_best"]["epoch"] for task in tested} != {record(run)["best_epoch"]}


def test_by_what_the_best_epoch_was_chosen_is_told(finished: Path) -> None:
    said = (finished / "train.log").read_text()
    assert "auto is" not in said
    assert f"best epoch {record(finished)['best_epoch']} of 3 (by valid/loss)" in said


def test_one_head_alone_is_trained_tested_and_saved(prices_csv: Path, tmp_path: Path) -> None:
    run = start(prices_csv, tmp_path, "model.heads=[volatility]")
    assert not [name for name in history(run)[0] if "signal" in name]
    assert history(run)[0]["valid/loss"] == history(run)[0]["valid/volatility/loss"]
    assert list(said_in(run, "report/metrics.json")) == ["volatility"]
    predicted = load_bundle(run / "model").predict_file(prices_csv)
    assert predicted.columns == ["timestamp", "instrument", "volatility_pred"]


def test_finished_models_and_curves_go_where_the_paths_say(prices_csv: Path, tmp_path: Path) -> None:
    overrides = [f"paths.model_save_path={tmp_path / 'models'}", f"paths.log_dir={tmp_path / 'logs'}"]
    run = start(prices_csv, tmp_path, "training.epochs=1", *overrides)
    assert record(run)["bundle"] == str(tmp_path / "models" / "run")
    assert sorted(path.name for path in (tmp_path / "models" / "run").iterdir()) == BUNDLE
    assert load_bundle(tmp_path / "models" / "run").schema == load_bundle(run / "model").schema
    assert len(list((tmp_path / "logs" / "run").iterdir())) == 1
    assert not (run / "tensorboard").exists()


# The user's own columns.


def labelled_frame(kind: str) -> pl.DataFrame:
    """Prices with a column `own` of labels, every fourth cell empty."""
    frame = price_frame(120)
    generator = np.random.default_rng(3)
    if kind == "classification":
        values = [str(value) for value in generator.choice(["buy", "hold"], len(frame))]
    else:
        values = [str(value) for value in generator.normal(5, 2, len(frame)).round(6)]
    return frame.with_columns(pl.Series("own", [value if i % 4 else None for i, value in enumerate(values)]))


@pytest.mark.parametrize(
    ("kind", "output", "size"), [("classification", "own_probs", 2), ("regression", "own_pred", 1)]
)
def test_an_own_label_column_with_empty_cells_goes_through_a_whole_run(
    tmp_path: Path, kind: str, output: str, size: int
) -> None:
    frame = labelled_frame(kind)
    frame.write_csv(tmp_path / "table.csv")
    # The second head has a label in every row, so that rows without an `own` stay and are masked.
    overrides = [
        f"data.targets.own.kind={kind}",
        "data.targets.next={column: high, kind: regression}",
        "model.heads=[own,next]",
    ]
    run = start(tmp_path / "table.csv", tmp_path, *overrides, base=OWN)
    assert record(run)["status"] == "complete"
    parts = said_in(run, "split_report.json")["parts"]
    assert all(
        said["targets"]["own"]["masked"] > 0 and said["targets"]["next"]["masked"] == 0 for said in parts.values()
    )
    tested = said_in(run, "report/metrics.json")["own"]
    assert tested["kind"] == kind
    assert tested["rows"] == parts["test"]["targets"]["own"]["labelled"]
    assert all(math.isfinite(value) for name, value in tested["model"].items() if name != "ic")  # two instruments
    predictions = pl.read_parquet(run / "report" / "predictions.parquet")
    assert predictions["own_label"].null_count() == parts["test"]["targets"]["own"]["masked"]
    assert {len(row) for row in predictions[output]} == {size}
    frame.drop("own").write_csv(tmp_path / "fresh.csv")  # whoever predicts has no labels
    predicted = load_bundle(run / "model").predict_file(tmp_path / "fresh.csv")
    assert predicted.columns == ["timestamp", "instrument", output, "next_pred"]
    assert len(predicted) == 2 * (120 - 7)


def test_an_own_regression_label_is_predicted_in_its_own_units(tmp_path: Path) -> None:
    frame = price_frame(120).with_columns((1e6 + 10 * pl.col("open").log()).alias("own"))
    frame.write_csv(tmp_path / "table.csv")
    run = start(tmp_path / "table.csv", tmp_path, "data.targets.own.kind=regression", base=OWN)
    predicted = load_bundle(run / "model").predict_file(tmp_path / "table.csv")["own_pred"].list.first()
    assert predicted.is_between(1e6, 1e6 + 100).all()
    assert said_in(run, "report/metrics.json")["own"]["model"]["mae"] < 100


def test_context_columns_go_through_a_whole_run(tmp_path: Path) -> None:
    generator = np.random.default_rng(4)
    frame = price_frame().with_columns(
        pl.Series("mood", generator.normal(size=400)), pl.Series("tone", generator.normal(size=400))
    )
    frame.write_csv(tmp_path / "table.csv")
    run = start(tmp_path / "table.csv", tmp_path, "data.context=[mood,tone]", "model.context_units=4")
    assert record(run)["status"] == "complete"
    assert said_in(run, "model/schema.json")["model"]["dims"]["context"] == {"context": 2}
    bundle = load_bundle(run / "model")
    before = bundle.predict_file(tmp_path / "table.csv")
    frame.with_columns(pl.col("mood") + 1).write_csv(tmp_path / "other.csv")
    after = bundle.predict_file(tmp_path / "other.csv")
    assert len(before) == len(after)
    assert all(a.to_list() != b.to_list() for a, b in zip(before["signal_probs"], after["signal_probs"], strict=True))
    frame.drop("tone").write_csv(tmp_path / "lacking.csv")
    with pytest.raises(TableError, match="there is no column 'tone'"):
        bundle.predict_file(tmp_path / "lacking.csv")


# A run that goes wrong.


def failed(run: Path, status: str = "failed") -> str:
    """Check that a record tells of a failure; returns its reason."""
    said = record(run)
    assert said["status"] == status
    assert said["metrics"] == {} and "bundle" not in said
    assert said["ended"] is not None and said["seconds"] >= 0
    return str(said["stop_reason"])


def test_a_bad_table_leaves_a_failed_run_that_says_why(tmp_path: Path) -> None:
    frame = price_frame()
    pl.concat([frame, frame[:1]]).write_csv(tmp_path / "table.csv")
    with pytest.raises(TableError, match=r"table\.csv:402:"):
        start(tmp_path / "table.csv", tmp_path)
    reason = failed(tmp_path / "run")
    assert reason.startswith(f"TableError: {tmp_path / 'table.csv'}:402: ")
    assert known_of(tmp_path / "run") == set()
    assert "Traceback" not in (tmp_path / "run" / "train.log").read_text()


@pytest.mark.parametrize("expression", ["col('close').shift(11)", "col('close').log().diff(4).rolling_mean(8)"])
def test_the_rows_that_warm_features_up_are_counted_before_a_table_is_taken(tmp_path: Path, expression: str) -> None:
    keys = [
        "data=csv", "data.instrument=instrument", "model.time_window=8", "model.heads=[volatility]",
        "data.targets.volatility.horizon=3", f"data.expressions.mine={expression}",
    ]  # fmt: skip
    for rows in (21, 22):
        price_frame(rows).write_csv(tmp_path / f"{rows}.csv")
    with pytest.raises(TableError) as caught:
        load(make_config(*keys, f"data.path={tmp_path / '21.csv'}"))
    assert str(caught.value) == (
        f"{tmp_path / '21.csv'}: the longest instrument has 21 row(s), too few: 22 are needed for one window "
        "(model.time_window=8), the 11 rows before it that warm the features up, and its label"
    )
    assert len(load(make_config(*keys, f"data.path={tmp_path / '22.csv'}"))) == 44


def known_of(run: Path) -> set[str]:
    """Which facts about data and machine the record and its provenance both hold."""
    said = record(run)
    facts = {"data_sha256", "device", "precision", "threads"} & set(said)
    assert all(said["provenance"][name] == said[name] for name in facts)
    return facts


def test_a_run_that_fails_before_training_knows_its_table_and_machine(tmp_path: Path) -> None:
    labels = [("late" if day == 119 else "early" if day % 2 else "often") for _ in "AB" for day in range(120)]
    price_frame(120).with_columns(pl.Series("own", labels)).write_csv(tmp_path / "table.csv")
    with pytest.raises(TableError, match="class 'late' is in no training row"):
        start(tmp_path / "table.csv", tmp_path, "data.targets.own.kind=classification", base=OWN)
    assert failed(tmp_path / "run").startswith("TableError: data.targets.own: class 'late'")
    assert known_of(tmp_path / "run") == {"data_sha256", "device", "precision", "threads"}


def test_a_window_longer_than_the_table_leaves_a_failed_run(prices_csv: Path, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"model\.time_window=500"):
        start(prices_csv, tmp_path, "model.time_window=500")
    assert "model.time_window=500" in failed(tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_an_exception_in_a_callback_leaves_a_failed_run_with_its_traceback(
    prices_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(callback: HistoryFile, trainer: object) -> None:
        raise ValueError("planted")

    monkeypatch.setattr(HistoryFile, "epoch_end", fail)
    with pytest.raises(ValueError, match="planted"):
        start(prices_csv, tmp_path)
    assert failed(tmp_path / "run") == "ValueError: planted"
    assert "Traceback" in (tmp_path / "run" / "train.log").read_text()


def test_an_interrupt_leaves_an_interrupted_run(
    prices_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(callback: HistoryFile, trainer: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(HistoryFile, "epoch_end", interrupt)
    with pytest.raises(KeyboardInterrupt):
        start(prices_csv, tmp_path)
    assert failed(tmp_path / "run", "interrupted") == "interrupted by a signal"
    assert known_of(tmp_path / "run") == {"data_sha256", "device", "precision", "threads"}


@pytest.mark.parametrize("place", ["hybrid_trainer.outcome.save_bundle", "hybrid_trainer.evaluation.judge.evaluate"])
def test_a_run_that_fails_behind_the_training_is_not_complete(
    prices_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def fail(*given: object, **named: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(place, fail)
    with pytest.raises(OSError, match="disk is full"):
        start(prices_csv, tmp_path)
    assert failed(tmp_path / "run") == "OSError: the disk is full"
    assert len(history(tmp_path / "run")) == 2


def test_a_loss_that_is_not_finite_leaves_a_failed_run_with_the_task_named(tmp_path: Path) -> None:
    frame = price_frame(120).with_columns(own=pl.col("high"))
    frame.write_csv(tmp_path / "table.csv")
    overrides = ["data.targets.own.kind=regression", "training.optimizer=sgd", "training.learning_rate=1e30"]
    with pytest.raises(TrainingError, match=r"epoch \d: the \w+ loss of task 'own' is not finite from step \d+ on"):
        start(
            tmp_path / "table.csv", tmp_path, *overrides, "training.batch_size=8", "training.clip_norm=null", base=OWN
        )
    assert failed(tmp_path / "run").startswith("NonFiniteError: epoch ")


def test_the_directory_of_another_run_is_refused_and_left_as_it_was(finished: Path) -> None:
    before = (finished / "run.json").read_bytes()
    with pytest.raises(RunDirError, match="belongs to another run"):
        start(finished.parent / "prices.csv", finished.parent, "training.epochs=1")
    assert (finished / "run.json").read_bytes() == before
    assert len(history(finished)) == 3


def test_every_error_of_the_user_is_shown_without_a_traceback_in_the_log(prices_csv: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        start(prices_csv, tmp_path, "data.features=[nothing]")
    log = (tmp_path / "run" / "train.log").read_text()
    assert "there is no column 'nothing'" in log and "Traceback" not in log


# The same again.


def evidence(run: Path) -> tuple[bytes, bytes, bytes]:
    """What must be equal, byte by byte, between identical runs."""
    names = ("history.jsonl", "model/weights.safetensors", "report/metrics.json")
    return tuple((run / name).read_bytes() for name in names)  # type: ignore[return-value]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(finished: Path, tmp_path: Path) -> None:
    table = finished.parent / "prices.csv"
    folders = [tmp_path / name for name in ("same", "other")]
    for folder in folders:
        folder.mkdir()
    again = start(table, folders[0], "training.epochs=3")
    other = start(table, folders[1], "training.epochs=3", "seed=1")
    assert evidence(again) == evidence(finished)
    assert all(a != b for a, b in zip(evidence(other), evidence(finished), strict=True))


def test_the_seed_orders_the_training_rows_and_nothing_else_is_shuffled(
    prices_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int | None]] = []
    loader = Dataset.loader

    def watched(
        data: Dataset, part: str, batch_size: int, shuffle_seed: int | None = None, share: tuple[int, int] = (0, 1)
    ) -> WindowLoader:
        assert share == (0, 1)
        seen.append((part, shuffle_seed))
        return loader(data, part, batch_size, shuffle_seed)

    monkeypatch.setattr(Dataset, "loader", watched)
    start(prices_csv, tmp_path, "training.epochs=1", "seed=3")
    assert seen == [("train", 3), ("valid", None), ("test", None)]


@pytest.mark.slow
def test_fresh_processes_give_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    """Two processes that hash strings differently, against each other and against the run in this process."""
    given = [*TINY_RUN, f"data.path={finished.parent / 'prices.csv'}", "training.epochs=3"]
    processes = []
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        command = [sys.executable, "-m", "hybrid_trainer", *given, "hydra.run.dir=run"]
        environment = os.environ | {"PYTHONHASHSEED": name}
        processes.append(
            subprocess.Popen(
                command, cwd=tmp_path / name, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        )
    said = [process.communicate(timeout=120)[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    first, second = (evidence(tmp_path / name / "run") for name in ("1", "2"))
    assert first == second
    assert first == evidence(finished)
