"""The predict command: a model folder and a file in, CSV or Parquet out."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl
import pytest

from hybrid_trainer.errors import TableError, UserError
from hybrid_trainer.inference.command import main
from tests.inference.conftest import Trained

FLAT = [
    "timestamp",
    "instrument",
    "signal_probs_down",
    "signal_probs_flat",
    "signal_probs_up",
    "volatility_pred",
    "regime_probs_bear",
    "regime_probs_range",
    "regime_probs_bull",
    "sl_tp_pred_stop_loss",
    "sl_tp_pred_take_profit",
]


def same_numbers(flat: pl.DataFrame, nested: pl.DataFrame) -> bool:
    """Whether the flat columns hold the lists' numbers in their order."""
    lists = [name for name in nested.columns if nested.schema[name] == pl.List(pl.Float32)]
    wide = [[number for name in lists for number in row[name]] for row in nested.iter_rows(named=True)]
    return [list(row) for row in flat.select(flat.columns[2:]).rows()] == wide


def test_csv_on_the_terminal_has_one_column_per_number(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(trained.run.bundle), str(trained.file)]) == 0
    said = capsys.readouterr()
    nested = trained.load().predict_file(trained.file)
    flat = pl.read_csv(io.StringIO(said.out), schema_overrides=dict.fromkeys(FLAT[2:], pl.Float32))
    assert flat.columns == FLAT
    assert len(flat) == len(nested) == 2 * (300 - 67)
    assert same_numbers(flat, nested)
    assert flat["timestamp"].str.slice(0, 10).to_list()[0] == str(nested["timestamp"][0])[:10]
    assert said.err == ""


@pytest.mark.parametrize("suffix", [".csv", ".CSV"])
def test_a_csv_file_holds_the_same_as_the_terminal(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    out = tmp_path / "new" / f"predictions{suffix}"
    assert main([str(trained.run.bundle), str(trained.file), "-o", str(out)]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"{out}: 466 predictions\n")
    main([str(trained.run.bundle), str(trained.file)])
    assert out.read_text() == capsys.readouterr().out
    assert list(out.parent.iterdir()) == [out]


def test_a_parquet_file_holds_lists(trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "predictions.parquet"
    assert main([str(trained.run.bundle), str(trained.file), "--output", str(out)]) == 0
    assert pl.read_parquet(out).equals(trained.load().predict_file(trained.file))
    assert capsys.readouterr().err == f"{out}: 466 predictions\n"


def test_columns_of_own_heads_are_named_after_their_classes(
    own: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(own.run.bundle), str(own.file), "-o", str(tmp_path / "own.csv")])
    flat = pl.read_csv(tmp_path / "own.csv", schema_overrides={"level_pred": pl.Float32})
    assert flat.columns == ["timestamp", "instrument", "level_pred", "mood_probs_calm", "mood_probs_wild"]
    assert flat["timestamp"].dtype == pl.Int64


@pytest.mark.parametrize("name", ["predictions.xlsx", "predictions"])
def test_an_output_of_another_kind_is_refused_before_anything_is_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=rf"{name}: the suffix must be \.csv or \.parquet"):
        main([str(tmp_path / "no model"), str(tmp_path / "no file"), "-o", str(tmp_path / name)])


def test_a_bad_file_leaves_the_former_output(trained: Trained, tmp_path: Path) -> None:
    out = tmp_path / "predictions.csv"
    out.write_text("former")
    with pytest.raises(TableError, match=r"nowhere\.csv"):
        main([str(trained.run.bundle), str(tmp_path / "nowhere.csv"), "-o", str(out)])
    assert out.read_text() == "former"
    assert list(tmp_path.iterdir()) == [out]
