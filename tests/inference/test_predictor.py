"""A saved model on fresh rows: one prediction per row that ends a full window, in the target's own units."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hybrid_trainer.data.features import CORE
from hybrid_trainer.errors import TableError
from hybrid_trainer.inference.predictor import times
from tests.conftest import price_frame
from tests.inference.conftest import Trained, own_frame, train_on

LOOKBACK = max(feature.lookback for feature in CORE.values())
WINDOW = 8
OUTPUTS = {"signal_probs": 3, "volatility_pred": 1, "regime_probs": 3, "sl_tp_pred": 2}


def predict(trained: Trained, folder: Path, frame: pl.DataFrame) -> pl.DataFrame:
    file = folder / "fresh.csv"
    frame.write_csv(file)
    return trained.load().predict_file(file)


def numbers(frame: pl.DataFrame) -> np.ndarray:
    return np.hstack([np.array(frame[name].to_list()) for name in frame.columns[2:]])


def keys(frame: pl.DataFrame) -> list[tuple[str, str]]:
    return [(str(time)[:10], name) for time, name in frame.select("timestamp", "instrument").iter_rows()]


@pytest.fixture(scope="session")
def predicted(trained: Trained) -> pl.DataFrame:
    """The predictions for the table of the training."""
    return trained.load().predict_file(trained.file)


@pytest.mark.parametrize(
    "lengths",
    [{"A": 90, "B": 68, "C": 67, "D": 71}, {"A": 90, "B": 68, "C": 3, "D": 71, "E": 1}],
    ids=["long", "short"],
)
def test_there_is_one_prediction_per_row_with_a_full_window_of_warm_rows(
    trained: Trained, tmp_path: Path, lengths: dict[str, int]
) -> None:
    days = price_frame(90, tuple(lengths)).sort("instrument", "timestamp")
    frame = pl.concat([days.filter(pl.col("instrument") == name).tail(count) for name, count in lengths.items()])
    expected = []
    for (name,), rows in frame.group_by("instrument", maintain_order=True):
        warm = [index >= LOOKBACK - 1 for index in range(len(rows))]
        for index, day in enumerate(rows["timestamp"]):
            if index >= WINDOW - 1 and all(warm[index - WINDOW + 1 : index + 1]):
                expected.append((day, name))
    assert (LOOKBACK, len(expected)) == (61, 23 + 1 + 0 + 4)
    assert keys(predict(trained, tmp_path, frame)) == expected


def test_outputs_have_their_promised_names_and_shapes(predicted: pl.DataFrame) -> None:
    assert predicted.columns == ["timestamp", "instrument", *OUTPUTS]
    assert predicted.schema["timestamp"] == pl.Datetime("ns", "UTC")
    for name, size in OUTPUTS.items():
        assert predicted.schema[name] == pl.List(pl.Float32)
        assert set(predicted[name].list.len()) == {size}


def test_probabilities_are_positive_and_sum_to_one(predicted: pl.DataFrame) -> None:
    for name in ("signal_probs", "regime_probs"):
        values = np.array(predicted[name].to_list())
        assert (values > 0).all()
        np.testing.assert_allclose(values.sum(axis=1), 1.0, rtol=0, atol=1e-6)


def test_stop_loss_and_take_profit_are_positive(predicted: pl.DataFrame) -> None:
    assert (np.array(predicted["sl_tp_pred"].to_list()) > 0).all()


def test_volatility_is_in_the_targets_units_and_no_z_score(trained: Trained, predicted: pl.DataFrame) -> None:
    closes = trained.frame.filter(pl.col("instrument") == "A")["close"].to_numpy()
    squares = np.diff(np.log(closes)) ** 2
    realised = 0.5 * np.log(np.convolve(squares, np.ones(5), mode="valid"))
    assert realised.mean() < -3  # so that a z-score, which is around 0, cannot pass
    values = np.array(predicted["volatility_pred"].to_list())
    assert abs(values.mean() - realised.mean()) < 0.5
    assert np.abs(values - realised.mean()).max() < 2


def test_heads_of_the_users_own_are_named_after_them(own: Trained) -> None:
    frame = own.load().predict_file(own.file)
    assert frame.columns == ["timestamp", "instrument", "level_pred", "mood_probs"]
    assert frame.schema["timestamp"] == pl.Int64  # a plain clock stays one
    level = np.array(frame["level_pred"].to_list())
    assert np.abs(level - 1000).max() < 50
    np.testing.assert_allclose(np.array(frame["mood_probs"].to_list()).sum(axis=1), 1.0, rtol=0, atol=1e-6)


def test_no_window_crosses_a_gap(own: Trained) -> None:
    expected = []
    for (place,), rows in own_frame().group_by("place", maintain_order=True):
        present = rows["gappy"].is_not_null().to_list()
        expected += [(tick, place) for tick in rows["tick"] if tick >= 3 and all(present[tick - 3 : tick + 1])]
    frame = own.load().predict_file(own.file)
    assert frame.select("timestamp", "instrument").rows() == expected
    # 80 rows; four windows hold row 3, the first three rows end none; five hold row 40 or 41
    assert len(expected) == 2 * (80 - 3 - 4 - 5)


def test_a_night_is_no_gap_in_a_file_of_two_days_either(tmp_path: Path) -> None:
    days = np.datetime64("2024-01-02T09", "s") + np.arange(40) * np.timedelta64(1, "D")
    times = (days[:, None] + np.arange(6) * np.timedelta64(1, "h")).ravel()
    values = np.random.default_rng(0).normal(size=(2, len(times)))
    frame = pl.DataFrame({"timestamp": times.astype(str), "a": values[0], "level": values[1]})
    target = "data.targets.level={column: level, kind: regression}"
    trained = train_on(tmp_path, frame, "data.features=[a]", target, "model.heads=[level]", "model.time_window=8")
    whole = trained.load().predict_file(trained.file)
    frame.tail(12).write_csv(tmp_path / "new.csv")
    assert trained.load().predict_file(tmp_path / "new.csv").equals(whole.tail(5))


def test_where_training_dropped_bad_rows_the_same_file_is_predicted_without_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frame = price_frame(200).with_columns(
        pl.when(pl.int_range(pl.len()) == 190).then(-1.0).otherwise("low").alias("low")
    )
    tiny = ("data.instrument=instrument", "model.time_window=4", "model.heads=[signal]")
    trained = train_on(tmp_path, frame, "data.on_error=drop", *tiny)
    reported = pl.read_parquet(trained.run.report / "predictions.parquet")
    caplog.clear()
    predicted = trained.load().predict_file(trained.file)
    both = reported.join(predicted, on=["timestamp", "instrument"], suffix="_again")
    assert len(both) == len(reported) > 30
    probabilities = [np.array(both[name].to_list()) for name in ("signal_probs", "signal_probs_again")]
    np.testing.assert_allclose(*probabilities, rtol=0, atol=1e-6)
    assert "1 row(s) dropped: column 'low'; the first: " in caplog.text
    with pytest.raises(TableError, match="column 'low': -1 is not positive"):
        replace(trained.load(), schema=replace(trained.load().schema, on_error="raise")).predict_file(trained.file)


def test_labels_are_not_needed_to_predict(own: Trained, tmp_path: Path) -> None:
    file = tmp_path / "fresh.csv"
    own_frame().drop("mood", "level").write_csv(file)
    assert own.load().predict_file(file).equals(own.load().predict_file(own.file))


def missing(column: str, *ticks: int) -> pl.Expr:
    """A column with an empty cell at some ticks."""
    return pl.when(~pl.col("tick").is_in(ticks)).then(column).alias(column)


def test_a_missing_block_is_predicted_otherwise_in_its_own_rows_and_the_others_stay(
    own: Trained, tmp_path: Path
) -> None:
    before = own.load().predict_file(own.file)
    after = predict(own, tmp_path, own.frame.with_columns(missing("rest_0", 12, 20)))
    assert after.select("timestamp", "instrument").equals(before.select("timestamp", "instrument"))  # no row is lost
    emptied = before["timestamp"].is_in([12, 20]).to_numpy()
    changed = (np.abs(numbers(after) - numbers(before)) > 1e-4).any(axis=1)
    had = own.frame.sort("place", "tick").join(before, left_on=["tick", "place"], right_on=["timestamp", "instrument"])
    had_block = had["rest_1"].is_not_null().to_numpy()
    assert emptied.sum() == 4
    assert changed.tolist() == (emptied & had_block).tolist()
    # what else the missing block holds makes no difference
    other = own.frame.with_columns(
        missing("rest_0", 12, 20), rest_1=pl.col("rest_1") + 1000 * pl.col("tick").is_in([12, 20])
    )
    assert predict(own, tmp_path, other).equals(after)


def test_a_file_without_any_context_or_category_value_is_predicted(own: Trained, tmp_path: Path) -> None:
    empty = [pl.lit(None).alias(name) for name in ("text", "rest_0", "rest_1", "soil")]
    frame = predict(own, tmp_path, own.frame.with_columns(empty))
    assert len(frame) == len(own.load().predict_file(own.file))
    assert np.isfinite(numbers(frame)).all()


def test_a_new_category_is_predicted_as_a_missing_one(own: Trained, tmp_path: Path) -> None:
    new, none, known = (
        numbers(predict(own, tmp_path, own.frame.with_columns(soil=pl.lit(soil)))) for soil in ("peat", None, "clay")
    )
    np.testing.assert_array_equal(new, none)
    assert np.abs(new - known).max() > 1e-5


def test_an_unknown_instrument_is_predicted_whatever_its_name(
    trained: Trained, predicted: pl.DataFrame, tmp_path: Path
) -> None:
    frame = trained.frame.filter(pl.col("instrument") == "A")
    known = numbers(predicted.filter(pl.col("instrument") == "A"))
    unknown = [
        numbers(predict(trained, tmp_path, frame.with_columns(instrument=pl.lit(name)))) for name in ("NEW", "<unk>")
    ]
    np.testing.assert_array_equal(unknown[0], unknown[1])
    assert np.isfinite(unknown[0]).all()
    assert unknown[0].shape == known.shape
    assert np.abs(unknown[0] - known).max() > 1e-4  # it has not simply been taken for A


def test_a_market_that_lacks_instruments_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    market = "data.expressions.market=col('close').log().diff().market_mean()"
    own = train_on(tmp_path, price_frame(300), "data.instrument=instrument", "model.time_window=8", market)
    whole = own.load().predict_file(own.file)
    assert "the model reads means over the market" not in caplog.text
    later = predict(own, tmp_path, own.frame.sort("timestamp").tail(80))
    assert later.sort("instrument", "timestamp").equals(
        whole.filter(pl.col("timestamp") >= later["timestamp"].min()).sort("instrument", "timestamp")
    )
    alone = predict(own, tmp_path, own.frame.filter(pl.col("instrument") == "A"))
    assert "means over the market it was trained on, and 1 instrument is missing here (B)" in caplog.text
    assert not alone.equals(whole.filter(pl.col("instrument") == "A"))


def test_another_instrument_beside_it_changes_nothing(
    trained: Trained, predicted: pl.DataFrame, tmp_path: Path
) -> None:
    alone = predict(trained, tmp_path, trained.frame.filter(pl.col("instrument") == "B"))
    beside = predicted.filter(pl.col("instrument") == "B")
    assert keys(alone) == keys(beside)
    np.testing.assert_allclose(numbers(alone), numbers(beside), rtol=0, atol=1e-6)


def test_the_order_of_the_files_rows_changes_nothing(trained: Trained, predicted: pl.DataFrame, tmp_path: Path) -> None:
    assert predict(trained, tmp_path, trained.frame.sample(fraction=1.0, shuffle=True, seed=3)).equals(predicted)


def test_later_rows_change_no_earlier_prediction(trained: Trained, predicted: pl.DataFrame, tmp_path: Path) -> None:
    days = trained.frame["timestamp"].unique().sort()[:200]
    early = predict(trained, tmp_path, trained.frame.filter(pl.col("timestamp").is_in(days.implode())))
    known = set(keys(early))
    same = predicted.filter(pl.Series([key in known for key in keys(predicted)]))
    assert len(early) == 2 * (200 - LOOKBACK - WINDOW + 2)
    assert keys(early) == keys(same)
    np.testing.assert_allclose(numbers(early), numbers(same), rtol=0, atol=1e-6)


def test_rows_before_lookback_and_window_change_no_prediction(
    trained: Trained, predicted: pl.DataFrame, tmp_path: Path
) -> None:
    shortest = LOOKBACK + WINDOW - 1
    late = predict(trained, tmp_path, trained.frame.group_by("instrument", maintain_order=True).tail(shortest + 2))
    same = predicted.group_by("instrument", maintain_order=True).tail(3)
    assert keys(late) == keys(same)
    np.testing.assert_allclose(numbers(late), numbers(same), rtol=0, atol=1e-6)


def test_a_parquet_file_gives_the_same_predictions(trained: Trained, predicted: pl.DataFrame, tmp_path: Path) -> None:
    file = tmp_path / "fresh.parquet"
    trained.frame.write_parquet(file)
    assert trained.load().predict_file(file).equals(predicted)


def test_every_missing_column_is_named(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(TableError) as caught:
        predict(trained, tmp_path, trained.frame.drop("close").rename({"volume": "volumes"}))
    file = tmp_path / "fresh.csv"
    close, volume = str(caught.value).splitlines()
    assert close.startswith(f"{file}: there is no column 'close'")
    assert volume == f"{file}: there is no column 'volume'; did you mean 'volumes'?"


@pytest.mark.parametrize("count", [LOOKBACK + WINDOW - 2, 3, 1])
def test_too_few_rows_are_told_with_what_is_needed(trained: Trained, tmp_path: Path, count: int) -> None:
    few = trained.frame.group_by("instrument", maintain_order=True).head(count)
    with pytest.raises(TableError, match=r"fresh\.csv: no row can be predicted: a window needs 8 rows"):
        predict(trained, tmp_path, few)


def test_a_missing_value_is_told_with_its_place(trained: Trained, tmp_path: Path) -> None:
    frame = trained.frame.with_columns(close=pl.when(pl.int_range(pl.len()) != 100).then("close"))
    with pytest.raises(TableError, match=r"fresh\.csv:102: column 'close': a value is missing"):
        predict(trained, tmp_path, frame)


def test_times_are_utc_unless_they_are_a_plain_clock() -> None:
    day = np.datetime64("2020-01-02T03:04:05", "ns").astype(np.int64)
    assert times(np.array([day]))[0].isoformat() == "2020-01-02T03:04:05+00:00"
    assert times(np.array([0, 5, 10**9])).to_list() == [0, 5, 10**9]
