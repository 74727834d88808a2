"""The page as a file: a template, its style and scripts, plotly.js, and the data as two islands of JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_trainer.errors import RunDirError
from hybrid_trainer.runs.atomic import write_text
from hybrid_trainer.runs.comparison.ordering import falling, sign
from hybrid_trainer.runs.comparison.run import COMPLETE
from hybrid_trainer.runs.page.curves import curves_data
from hybrid_trainer.runs.page.facts import facts
from hybrid_trainer.runs.page.island import island

if TYPE_CHECKING:
    from hybrid_trainer.runs.comparison.rows import Row

_SCRIPTS = (
    "data.js",
    "rows.js",
    "table.js",
    "charts.js",
    "curves.js",
    "parallel.js",
    "importance.js",
    "pareto.js",
    "diff.js",
    "start.js",
)
_PLACE = re.compile(r"<!-- put (\w+) -->")


def write_page(
    file: Path,
    rows: Sequence[Row],
    metric: str,
    objectives: Sequence[str],
    *,
    keys: Sequence[str],
    aside: Sequence[str] = (),
) -> None:
    """Write one HTML page: table, learning curves, parallel coordinates, importance, front, difference of two rows.

    The same rows give the same bytes. The page reads `history.jsonl` of the complete runs beside what `rows` say; of a
    row without any, that of all its runs.

    Args:
        file: where; replaced whole, or not at all.
        metric: what the rows are ordered by. objectives: two or more metrics get a Pareto front; else there is none.
        keys: those that differ. aside: those that tell no configurations apart, such as the seed.

    Raises:
        RunDirError: there is no run, or the file can't be written.
    """
    if not rows:
        raise RunDirError(f"{file}: no run to write a page about")
    ordered = _best_first(rows, metric)
    what = "configuration" if aside else "run"
    wanted = list(dict.fromkeys([metric, *objectives]))
    parts = {
        "title": escape(f"{len(rows)} {what}{'s' if len(rows) > 1 else ''} by {metric}"),
        "style": _asset("style.css"),
        "scripts": "\n".join(_asset(name) for name in _SCRIPTS),
        "plotly": plotly_js(),
        "facts": island(facts(ordered, metric, objectives, keys, aside)),
        "curves": island(curves_data(list(map(_drawn, ordered)), wanted)),
    }
    page = _PLACE.sub(lambda place: parts[place[1]], _asset("page.html"))  # one pass: what is put in is not looked at
    try:
        write_text(file, page)
    except OSError as error:
        raise RunDirError(f"{file}: can't be written ({error.strerror})") from error


def _drawn(row: Row) -> list[Path]:
    """The runs whose curves are drawn."""
    return [run.path for run in row.runs if run.status == COMPLETE or not row.complete]


def _best_first(rows: Sequence[Row], metric: str) -> list[Row]:
    """Those without the metric (failed, running, damaged) last, and equal ones in the order of their paths."""
    up = sign(metric, falling(run for row in rows for run in row.runs))

    def place(row: Row) -> tuple[bool, float, str]:
        value = row.metrics.get(metric, math.nan)
        return (not math.isfinite(value), up * value if math.isfinite(value) else 0.0, row.name)

    return sorted(rows, key=place)


def plotly_js() -> str:
    """The plotly.js that the package `plotly` carries; read as data, since importing plotly.offline costs a second."""
    return (files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")


def _asset(name: str) -> str:
    return (files("hybrid_trainer.runs.page") / name).read_text(encoding="utf-8")
