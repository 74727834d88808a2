"""The comparison as a file, with all metrics: CSV has a column per number, JSON a tree per row."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hybrid_trainer.runs.atomic import without_nan
from hybrid_trainer.runs.comparison.keys import text
from hybrid_trainer.runs.comparison.rows import Row

if TYPE_CHECKING:
    from hybrid_trainer.runs.comparison.intervals import Difference

Differences = Mapping[str, Mapping[str, "Difference"]]


def as_json(
    rows: Sequence[Row], keys: Sequence[str], metrics: Sequence[str], front: Collection[str] | None, found: Differences
) -> str:
    """A list of rows in their order, and which metrics they are ordered and chosen by."""
    said = []
    for row in rows:
        one: dict[str, Any] = {"run": row.name, "status": row.status, "reason": row.reason}
        one["keys"] = {key: row.config[key] for key in keys if key in row.config}
        one["metrics"] = dict(row.metrics)
        if row.count:
            one |= {"runs": [str(run.path) for run in row.runs], "spread": row.spread, "count": row.count}
            one["rank"] = row.rank
        if front is not None:
            one["front"] = row.name in front
        if row.name in found:
            one["differences"] = [
                asdict(difference) | {"noise": difference.noise} for difference in found[row.name].values()
            ]
        said.append(one)
    return json.dumps(without_nan({"metrics": list(metrics), "rows": said}), indent=2, ensure_ascii=False) + "\n"


def as_csv(rows: Sequence[Row], keys: Sequence[str], front: Collection[str] | None, found: Differences) -> str:
    """A line per row; what a row hasn't got is empty. `NAME ±` and `NAME n` are a mean's spread and count."""
    lines = [_line(row, keys, front, found) for row in rows]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(dict.fromkeys(name for line in lines for name in line)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return stream.getvalue()


def _line(row: Row, keys: Sequence[str], front: Collection[str] | None, found: Differences) -> dict[str, object]:
    line: dict[str, object] = {"run": row.name, "status": row.status, "reason": row.reason}
    line |= {key: text(row.config[key]) if key in row.config else "" for key in keys}
    if front is not None:
        line["front"] = row.name in front
    if row.count:
        line["rank"] = "" if row.rank is None else row.rank
    for name, value in row.metrics.items():
        line[name] = value
        if name in row.count:
            line[f"{name} ±"] = row.spread.get(name, "")
            line[f"{name} n"] = row.count[name]
    for one in found.get(row.name, {}).values():
        if not one.why_not:
            line |= {
                f"{one.metric} difference": one.value,
                f"{one.metric} low": one.low,
                f"{one.metric} high": one.high,
            }
    return line
