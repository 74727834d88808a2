"""How long the page of `compare --html` takes to open and to sort, in a headless Chromium.

    python -m benchmarks.page [--runs 2000] [--rounds 3] [--json FILE]

Runs are made up (a search over six keys, 10 epochs of 20 metrics each), the page of all of them is written, and each
round opens it in a browser that has never seen it, sorts it by a column as soon as it is loaded, and waits until the
curves are drawn. Seconds by the clock, and processor time of the page's own thread, which leaves out what else is at
work on the machine. The bound is 2 s for opening and sorting. Needs the repository, since it drives the browser as the
tests do, and Chromium.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.runs.page.chromium import CHROMIUM, browsing
from tests.runs.page.made import many, page

DRAWN = "document.querySelector('#curves.js-plotly-plot .main-svg')"
SORT = "document.querySelector(\"#table th button[title='sort by training.learning_rate']\").click()"


def measure(file: Path, profile: Path) -> dict[str, float]:
    """Open and sort once, in a new browser."""
    with browsing(profile) as tab:
        began = time.perf_counter()
        tab.open(file)
        opened = time.perf_counter()
        tab.ask(SORT)
        ordered = time.perf_counter()
        tab.wait_for(DRAWN)
        drawn = time.perf_counter()
        if tab.errors:
            sys.exit(f"the page has errors: {tab.errors}")
        return {"open": opened - began, "sort": ordered - opened, "drawn": drawn - began, "thread": tab.seconds()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if CHROMIUM is None:
        print("no Chromium: the page is not measured here")
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        began = time.perf_counter()
        page(folder / "page.html", many(folder, options.runs, epochs=10), "valid/loss", ["valid/loss"])
        made = time.perf_counter() - began
        rounds = [measure(folder / "page.html", folder / f"profile{number}") for number in range(options.rounds)]
        size = (folder / "page.html").stat().st_size / 1e6
    found = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    whole = statistics.median(one["open"] + one["sort"] for one in rounds)
    print(
        f"a page of {options.runs} runs ({size:.1f} MB, made and written in {made:.1f} s): open {found['open']:.2f} s, "
        f"sort {found['sort']:.2f} s, together {whole:.2f} s (bound 2); curves drawn after {found['drawn']:.2f} s, "
        f"all of it on the page's thread {found['thread']:.2f} s"
    )
    if options.json:
        options.json.write_text(json.dumps(rounds, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
