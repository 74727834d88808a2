"""Options of the command: groups, order, front, filters, differences of two runs, files."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from hybrid_trainer.errors import UserError
from hybrid_trainer.runs.comparison import command
from tests.runs.comparison.records import write_run


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four runs: two values of a key, two seeds each."""
    monkeypatch.chdir(tmp_path)
    for number, (units, seed, loss) in enumerate([(8, 0, 1.0), (8, 1, 2.0), (64, 0, 3.0), (64, 1, 5.0)]):
        metrics = {"valid/loss": loss, "valid/x/r2": loss / 10, "test/x/r2": 0.5}
        write_run(f"m/{number}-u={units}", config={"seed": seed, "model": {"units": units}}, metrics=metrics)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert command.main(["m", *arguments]) == 0
    return capsys.readouterr().out


def test_configurations_with_mean_spread_and_rank(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "--group-by", "seed")
    assert "2 configuration(s), best valid/loss first" in text
    assert "1.5000* ± 0.7071 (2)" in text and "4.0000 ± 1.4142 (2)" in text and "1.00" in text and "2.00" in text


def test_seeds_that_differ_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert "runs differ in seed: --group-by seed shows mean and spread per configuration" in said(capsys)


def test_rows_in_the_order_of_a_key_and_those_that_fulfil_a_condition(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(said(capsys, "--sort", "seed", "--where", "units == 64", "--csv", "-"))))
    assert [(row["run"], row["seed"], row["valid/loss"]) for row in rows] == [
        ("m/2-u=64", "0", "3.0"),
        ("m/3-u=64", "1", "5.0"),
    ]
    with pytest.raises(UserError, match="none of 4 run"):
        command.main(["m", "--where", "units == 3"])


def test_the_front_of_two_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "--metric", "valid/loss", "--metric", "test/x/r2", "--json", "-")
    assert [row["front"] for row in json.loads(text)["rows"]] == [True, False, False, False]


def test_two_runs_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "--diff", "0", "m/3-u=64")
    assert "model.units" in text and "seed" in text and "+4.0000" in text
    with pytest.raises(UserError, match="no run's folder"):
        command.main(["m", "--diff", "0", "7"])


def test_files_hold_every_metric_and_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "--group-by", "seed", "--csv", "a.csv", "--json", "a.json")
    assert text.endswith("written: a.csv\nwritten: a.json\n")
    (first, _) = csv.DictReader(Path("a.csv").read_text().splitlines())
    assert (first["valid/loss"], first["valid/loss n"], first["rank"]) == ("1.5", "2", "1.0")
    rows = json.loads(Path("a.json").read_text())["rows"]
    assert rows[1]["metrics"]["valid/loss"] == 4.0 and rows[1]["keys"] == {"model.units": 64}
    assert rows[0]["runs"] == ["m/0-u=8", "m/1-u=8"]


def test_no_folder_is_told() -> None:
    with pytest.raises(UserError, match="name a folder with runs"):
        command.main([])
