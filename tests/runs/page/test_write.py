"""The page as a file: whole, alone, the same for the same runs, and no text of a run is ever code."""

from __future__ import annotations

import json
import math
import re
import stat
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from hybrid_trainer.errors import RunDirError
from hybrid_trainer.runs.comparison.command import main
from hybrid_trainer.runs.page.write import plotly_js
from tests.runs.page.made import page, run, write_history


class Elements(HTMLParser):
    """The elements of a page with their attributes, and the content of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data


def written(tmp_path: Path, *runs: Any, metric: str = "valid/loss", objectives: list[str] | None = None) -> Elements:
    page(tmp_path / "page.html", list(runs), metric, objectives or [])
    return Elements((tmp_path / "page.html").read_text(encoding="utf-8"))


def data(page: Elements) -> tuple[dict[str, Any], dict[str, Any]]:
    return json.loads(page.scripts[0]), json.loads(page.scripts[1])


def test_a_page_is_one_file_that_carries_everything_and_asks_no_host(tmp_path: Path) -> None:
    page = written(tmp_path, run("a", 1.0), run("b", 2.0))
    addresses = [(tag, given[name]) for tag, given in page.found for name in ("src", "href") if name in given]
    assert addresses == [("link", "data:,")]
    assert plotly_js().strip() in page.scripts[3]
    policy = next(given["content"] for _, given in page.found if given.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and policy.startswith("default-src 'none'") and "http" not in policy
    assert len(page.scripts) == 4  # so plotly.js has no </script> in it either
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert stat.S_IMODE((tmp_path / "page.html").stat().st_mode) & 0o444


@pytest.mark.parametrize(
    "text", ["</script><script>alert(1)</script>", "<!-- put style -->", '"\\\u2028é', "<!--<script>"]
)
def test_no_text_of_a_run_ends_the_data_or_is_markup(tmp_path: Path, text: str) -> None:
    name = text.replace("/", "∕")  # a folder's name has no slash
    bad = run(name, config={text: text}, status="failed", reason=text, metrics={text: 1.0})
    page = written(tmp_path, run("b"), bad, metric=text, objectives=[text, "valid/loss"])
    assert len(page.scripts) == 4
    facts, _ = data(page)
    assert sorted(facts["runs"]) == sorted(["b", name])
    number = facts["runs"].index(name)
    assert facts["metrics"] == {text: [1.0 if place == number else None for place in range(2)]}
    assert facts["config"][text]["values"] == [text]
    assert facts["why"][number] == text.splitlines()[0]
    title = re.search(r"<h1>(.*?)</h1>", (tmp_path / "page.html").read_text(encoding="utf-8"))
    assert title is not None and "<" not in title[1]


def test_the_same_runs_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    for name in "abc":
        write_history(tmp_path / name, [{"epoch": 1, "valid/loss": 0.5}])
    runs = [run(tmp_path / name, number % 7, config={"seed": number}) for number, name in enumerate("abc" * 4)]
    for name, order in (("one", runs), ("two", runs[::-1])):
        page(tmp_path / name, order, "valid/loss", ["valid/loss"])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_runs_come_best_first_and_those_without_the_metric_last(tmp_path: Path) -> None:
    runs = [run("outputs/x/c", 3.0), run("outputs/x/none"), run("outputs/x/a", 1.0), run("outputs/x/b", 2.0)]
    facts, _ = data(written(tmp_path, *runs))
    assert facts["root"] == "outputs/x"
    assert facts["runs"] == ["a", "b", "c", "none"]
    assert facts["metrics"] == {"valid/loss": [1.0, 2.0, 3.0, None]}
    assert facts["falling"] == ["valid/loss"]


def test_configs_are_columns_and_what_is_the_same_stands_there_once(tmp_path: Path) -> None:
    one = run("a", 1.0, config={"seed": 0, "model.units": 8, "model.heads": ["x"], "paths.root": "here", "run.id": "a"})
    two = run("b", 2.0, config={"seed": 0, "model.units": 16, "model.heads": ["x"], "paths.root": "there"})
    three = run("c", 3.0, config={"seed": 0, "model.units": 8, "model.heads": ["x"], "model.more": 1})
    damaged = run("d", status="damaged", reason="run.json: gone\nat all", config={})
    facts, _ = data(written(tmp_path, one, two, three, damaged))
    assert facts["same"] == {"seed": 0, "model.heads": ["x"]}
    assert facts["config"] == {
        "model.units": {"values": [8, 16], "of": [0, 1, 0, -1]},
        "model.more": {"values": [1], "of": [-1, -1, 0, -1]},
    }
    assert facts["readable"] == [True, True, True, False]
    assert facts["keys"] == ["model.units", "model.more"]
    assert facts["why"] == ["", "", "", "run.json: gone"]


def test_numbers_that_are_not_finite_are_missing(tmp_path: Path) -> None:
    write_history(tmp_path / "a", [{"epoch": 1, "valid/loss": math.nan}, {"epoch": 2, "valid/loss": 1 / 3}])
    facts, curves = data(written(tmp_path, run(tmp_path / "a", math.inf), run(tmp_path / "b", 2 / 3)))
    assert sorted(facts["metrics"]["valid/loss"], key=str) == [0.6666667, None]
    assert list(curves["runs"].values()) == [{"epoch": [1, 2], "of": {"0": [None, 0.3333333]}}]


def test_the_front_is_that_of_complete_runs_with_all_objectives(tmp_path: Path) -> None:
    def measured(name: str, loss: float, r2: float | None, status: str = "complete") -> Any:
        metrics = {"valid/loss": loss} | ({} if r2 is None else {"valid/x/r2": r2})
        return run(name, metrics=metrics, status=status)

    runs = [
        measured("a", 1.0, 0.1),
        measured("b", 2.0, 0.5),
        measured("c", 3.0, 0.4),
        measured("d", 0.5, None),
        measured("nan", 0.5, math.nan),
        measured("e", 0.1, 0.9, "failed"),
    ]
    facts, _ = data(written(tmp_path, *runs, objectives=["valid/loss", "valid/x/r2"]))
    assert [facts["runs"][number] for number in facts["front"]] == ["a", "b"]
    facts, _ = data(written(tmp_path, *runs, objectives=["valid/loss"]))
    assert facts["front"] == facts["objectives"] == []


def test_metrics_of_plug_ins_have_their_own_direction(tmp_path: Path) -> None:
    runs = [
        run(name, metrics={"valid/x/regret": value}, falling=frozenset({"regret"}))
        for name, value in (("a", 2.0), ("b", 1.0))
    ]
    facts, _ = data(written(tmp_path, *runs, metric="valid/x/regret"))
    assert facts["runs"] == ["b", "a"]
    assert facts["falling"] == ["valid/x/regret"]


def test_what_can_not_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunDirError, match="no run to write a page about"):
        page(tmp_path / "page.html", [], "valid/loss", [])
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(RunDirError, match=r"page\.html: can't be written"):
        page(tmp_path / "file" / "page.html", [run("a", 1.0)], "valid/loss", [])


def write_run(folder: Path, seed: int, units: int, losses: list[float], status: str = "complete") -> None:
    write_history(folder, [{"epoch": epoch, "valid/loss": loss} for epoch, loss in enumerate(losses, start=1)])
    record = {
        "status": status,
        "stop_reason": "no room\nleft",
        "process": None,
        "config": {"seed": seed, "model": {"units": units}},
        "metrics": {"valid/loss": losses[-1]} if status == "complete" else {},
    }
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")


def test_compare_writes_the_page_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, name in enumerate(("a", "b")):
        write_run(tmp_path / name, number, 8, [1.0 + number])
    file = tmp_path / "page.html"
    assert main([str(tmp_path), "--html", str(file)]) == 0
    assert f"written: {file}\n" in capsys.readouterr().out
    facts, curves = data(Elements(file.read_text(encoding="utf-8")))
    assert (facts["runs"], facts["keys"], facts["same"]) == (["a", "b"], ["seed"], {"model.units": 8})
    assert [curves["runs"][run]["of"] for run in "01"] == [{"0": [1.0]}, {"0": [2.0]}]


def test_grouped_runs_are_rows_with_means_spreads_and_mean_curves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "a0", 0, 8, [4.0, 2.0, 1.0])
    write_run(tmp_path / "a1", 1, 8, [6.0, 4.0])
    write_run(tmp_path / "b0", 0, 16, [3.0])
    write_run(tmp_path / "b1", 1, 16, [9.0], status="failed")
    file = tmp_path / "page.html"
    assert main([str(tmp_path), "--group-by", "seed", "--html", str(file)]) == 0
    page = file.read_text(encoding="utf-8")
    facts, curves = data(Elements(page))
    assert "<title>2 configurations by valid/loss</title>" in page
    assert (facts["runs"], facts["aside"], facts["keys"]) == (["a0 +1", "b0 +1"], ["seed"], ["model.units"])
    assert facts["metrics"]["valid/loss"] == [2.5, 3.0]
    assert facts["spread"]["valid/loss"] == [pytest.approx(2.12132), None]
    assert (facts["status"], facts["why"]) == (["complete"] * 2, ["", "1 complete, 1 failed: no room"])
    assert "seed" not in facts["config"] and "seed" not in facts["same"]
    assert curves["runs"]["0"] == {"epoch": [1, 2], "of": {"0": [5.0, 3.0]}}
    assert curves["runs"]["1"] == {"epoch": [1], "of": {"0": [3.0]}}
