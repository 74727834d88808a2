"""The page in a headless Chromium: it opens fast, sorts, filters, draws, and asks no host for anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runs.page.chromium import CHROMIUM, Tab, browsing
from tests.runs.page.made import many, page, run, write_history

pytestmark = [pytest.mark.chromium, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")]
BAD = "<img src=x onerror=alert(1)>"
FIRST = "document.querySelector('#table tr.row').children"
DRAWN = "document.querySelector('#{}.js-plotly-plot .main-svg')"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browsing(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page about four runs: three complete ones and a failed one whose name and reason look like markup."""
    folder = tmp_path_factory.mktemp("runs")
    runs = []
    for number, (loss, units) in enumerate(((3.0, 64), (1.0, 8), (2.0, 16))):
        path = folder / f"run{number}"
        write_history(path, [{"epoch": epoch, "valid/loss": loss + 1 / epoch} for epoch in (1, 2, 3)])
        metrics = {"valid/loss": loss, "test/x/r2": 1 / loss}
        runs.append(run(path, config={"model.units": units, "model.cell": "gru"}, metrics=metrics))
    bad = run(folder / BAD, status="failed", reason="<b>gone</b>", config={"model.units": 8})
    page(folder / "page.html", [*runs, bad], "valid/loss", ["valid/loss", "test/x/r2"])
    return folder / "page.html"


@pytest.fixture
def small(tab: Tab, file: Path) -> Tab:
    """That page, opened anew."""
    tab.open(file)
    return tab


def names(tab: Tab) -> list[str]:
    found: list[str] = tab.ask(
        "[...document.querySelectorAll('#table tr.row')].map((row) => row.children[1].textContent)"
    )
    return found


def sort_by(tab: Tab, column: str) -> list[str]:
    button = f"#table th button[title='sort by {column}']"
    tab.ask(f"document.querySelector({json.dumps(button)}).click()")
    return names(tab)


def filter_by(tab: Tab, words: str) -> list[str]:
    tab.ask(
        f"document.getElementById('filter').value = {json.dumps(words)}; "
        "document.getElementById('filter').dispatchEvent(new Event('input'))"
    )
    return names(tab)


def test_a_click_sorts_another_one_turns_and_a_third_goes_back(small: Tab) -> None:
    assert names(small) == ["run1", "run2", "run0", BAD]
    assert sort_by(small, "model.units") == ["run1", BAD, "run2", "run0"]
    assert sort_by(small, "model.units") == ["run0", "run2", "run1", BAD]
    assert sort_by(small, "model.units") == ["run1", "run2", "run0", BAD]
    assert sort_by(small, "test/x/r2") == ["run1", "run2", "run0", BAD]  # greater is better: first at once
    assert sort_by(small, "test/x/r2") == ["run0", "run2", "run1", BAD]  # what is missing stays last
    assert small.ask("document.querySelector('#table th[aria-sort]').getAttribute('aria-sort')") == "ascending"


def test_the_filter_looks_for_words_and_compares_columns(small: Tab) -> None:
    for words, left in {
        "run": ["run1", "run2", "run0"],
        "RUN2": ["run2"],
        "units>=16": ["run2", "run0"],
        "model.units<64 complete": ["run1", "run2"],
        "status!=complete": [BAD],
        "cell=gru loss<1.5": ["run1"],
        "nothing=like": [],
    }.items():
        assert filter_by(small, words) == left, words


def test_a_status_can_be_left_out(small: Tab) -> None:
    small.ask("document.querySelector('#statuses .complete').click()")
    assert names(small) == [BAD]
    assert small.ask("document.getElementById('count').textContent") == "1 of 4 runs"


def test_texts_of_runs_are_texts_and_no_host_is_asked(small: Tab, file: Path) -> None:
    for chart in ("curves", "parallel", "pareto"):
        small.ask(f"document.getElementById('{chart}').scrollIntoView()")
        small.wait_for(DRAWN.format(chart))
    colours = small.ask("document.getElementById('parallel').data[0].line.color")
    assert colours == [-1, -2, -3]  # the greatest is drawn on top of the others, and has to be the best
    assert small.ask("document.getElementById('parallel').data[0].dimensions.map((axis) => axis.label)") == [
        "model.units",
        "valid/loss",
    ]
    small.ask("document.getElementById('importance').scrollIntoView()")
    small.wait_for("document.querySelector('#importance .empty')")
    assert "Too few runs: 3" in small.ask("document.getElementById('importance').textContent")
    assert small.ask("document.querySelectorAll('img').length + document.querySelectorAll('#table b').length") == 0
    assert small.requested[0] == file.as_uri()
    assert all(address.startswith(("data:", "blob:")) for address in small.requested[1:])  # blob: its own plotly
    buttons = small.ask("[...document.querySelectorAll('.modebar-btn')].map((button) => button.dataset.title)")
    assert "Download plot as a PNG" in buttons
    assert not [title for title in buttons if "hare" in title or "loud" in title]  # plotly has one that uploads
    assert small.errors == []


def test_a_click_on_a_row_takes_its_curve_away_and_brings_it_back(small: Tab) -> None:
    lines = "document.getElementById('curves').data?.length"
    small.ask("document.getElementById('curves').scrollIntoView()")
    small.wait_for(f"{lines} === 3")
    small.ask(f"{FIRST}[1].click()")
    small.wait_for(f"{lines} === 2")
    assert small.ask("document.getElementById('curves').data.map((line) => line.name)") == ["run0", "run2"]
    small.ask(f"{FIRST}[0].querySelector('input').click()")
    small.wait_for(f"{lines} === 3")
    assert small.ask("document.getElementById('curves').data[2].y") == [2, 1.5, 1.333333]
    small.ask("document.getElementById('choose-none').click()")
    small.wait_for("document.querySelector('#curves .empty')")


def test_a_and_b_show_what_differs(small: Tab) -> None:
    cells = (
        "[...document.querySelector('#diff tbody').rows].map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    assert small.ask(cells) == [["model.units", "8", "16"]]
    row = "[...document.querySelectorAll('#table tr.row')][2]"
    small.ask(f"{row}.querySelector('[data-side=b]').click()")
    assert small.ask(cells) == [["model.units", "8", "64"]]
    failed = "[...document.querySelectorAll('#table tr.row')][3]"
    small.ask(f"{failed}.querySelector('[data-side=b]').click()")
    assert small.ask(cells) == [["model.cell", "gru", "–"]]
    small.ask(f"{failed}.querySelector('[data-side=b]').click()")
    assert "Pick two runs" in small.ask("document.getElementById('diff').textContent")


def test_one_damaged_run_alone_is_said_in_words(tab: Tab, tmp_path: Path) -> None:
    damaged = run("a", status="damaged", reason="run.json: gone", config={})
    page(tmp_path / "page.html", [damaged], "valid/loss", ["valid/loss"])
    tab.open(tmp_path / "page.html")
    for chart, words in (
        ("curves", "No run has a history"),
        ("parallel", "No complete run"),
        ("importance", "No run has"),
    ):
        tab.ask(f"document.getElementById('{chart}').scrollIntoView()")
        tab.wait_for(f"document.querySelector('#{chart} .empty')")
        assert words in tab.ask(f"document.getElementById('{chart}').textContent")
    assert "It takes two runs" in tab.ask("document.getElementById('diff').textContent")
    assert tab.ask("document.getElementById('pareto-section').hidden")
    assert tab.errors == []


def test_two_thousand_runs_are_sorted_and_only_those_in_sight_are_drawn(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    page(file, many(tmp_path, 2000, epochs=10), "valid/loss", ["valid/loss", "test/signal/r2"])
    assert file.stat().st_size < 15e6
    with browsing(tmp_path / "profile") as tab:
        tab.open(file)
        sort_by(tab, "training.learning_rate")
        rates = tab.ask("state.shown.slice(0, 1900).map((run) => configValue(run, 'training.learning_rate'))")
        assert rates == sorted(rates)
        assert len(names(tab)) < 60  # rows out of sight are not in the document
        tab.ask("document.getElementById('table').scrollTop = 30 * 1000")
        tab.wait_for(
            "[...document.querySelectorAll('#table tr.row')].some((row) => row.dataset.run == state.shown[1000])"
        )
        tab.wait_for(DRAWN.format("curves"))
        assert tab.errors == []
