"""What a page says of its rows beside their curves, in columns: statuses, configs, metrics, what follows of them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hybrid_trainer.runs.comparison.keys import all_keys
from hybrid_trainer.runs.comparison.names import common_folder
from hybrid_trainer.runs.comparison.ordering import falling, sign
from hybrid_trainer.runs.comparison.pareto import front
from hybrid_trainer.runs.comparison.run import COMPLETE
from hybrid_trainer.runs.comparison.table import headline_metrics
from hybrid_trainer.runs.page.curves import DETAILED
from hybrid_trainer.runs.page.importance import importance
from hybrid_trainer.runs.page.island import rounded
from hybrid_trainer.types import JUDGED_BY

if TYPE_CHECKING:
    from hybrid_trainer.runs.comparison.rows import Row

_NOT_COMPARED = ("paths.", "run.")
_LONGEST_REASON = 300


def facts(
    rows: Sequence[Row], metric: str, objectives: Sequence[str], keys: Sequence[str], aside: Sequence[str]
) -> dict[str, Any]:
    """Everything about rows, best first, that stands in their runs' `run.json`; a column has an entry per row.

    Args:
        keys: those that differ. aside: those that a row has several values of.
    """
    names = sorted(dict.fromkeys(name for row in rows for name in row.metrics if name != "epoch"))
    smaller = _falling(rows)
    complete = [number for number, row in enumerate(rows) if row.complete]
    known = [name for name in dict.fromkeys([metric, *objectives]) if name in names]
    headlines = headline_metrics(names, [metric])
    root = common_folder([str(row.runs[0].path) for row in rows])
    return {
        "metric": metric,
        "objectives": objectives if len(objectives) > 1 else [],
        "falling": [name for name in dict.fromkeys([*names, metric, *objectives]) if sign(name, smaller) > 0],
        "undirected": [name for name in names if name.rpartition("/")[2] in JUDGED_BY],
        "detailed": DETAILED,
        "root": root,
        "aside": aside,
        "runs": [_name(row, root) for row in rows],
        "status": [COMPLETE if row.complete else row.runs[0].status for row in rows],
        "why": list(map(_why, rows)),
        "keys": keys,
        "headlines": headlines,
        "metrics": {name: [rounded(row.metrics.get(name)) for row in rows] for name in names},
        "spread": {name: [rounded(row.spread.get(name)) for row in rows] for name in headlines} if aside else {},
        "importance": {name: importance([rows[number] for number in complete], keys, name) for name in known},
        "front": _front(rows, complete, objectives),
        **_configs(rows, aside),
    }


def _falling(rows: Sequence[Row]) -> frozenset[str]:
    return falling(run for row in rows for run in row.runs)


def _name(row: Row, root: str) -> str:
    path = os.path.relpath(row.runs[0].path, root) if root else str(row.runs[0].path)
    return f"{path} +{len(row.runs) - 1}" if len(row.runs) > 1 else path


def _why(row: Row) -> str:
    """Why a row is not complete; of several runs, how they ended."""
    if all(run.status == COMPLETE for run in row.runs):
        return ""
    reason = row.reason.splitlines()[0][:_LONGEST_REASON] if row.reason else ""
    return f"{row.status}{reason and ': '}{reason}" if len(row.runs) > 1 else reason


def _configs(rows: Sequence[Row], aside: Sequence[str]) -> dict[str, Any]:
    """Configs by key: `same` in all rows that have one, or a list of values and for each row its place there, or -1."""
    names = [key for key in all_keys(row.config for row in rows) if not key.startswith(_NOT_COMPARED)]
    readable = [row.config for row in rows if row.config]
    same, config = {}, {}
    for name in names:
        if name in aside:
            continue
        places: dict[str, int] = {}
        of = [
            places.setdefault(json.dumps(row.config[name]), len(places)) if name in row.config else -1 for row in rows
        ]
        values = [json.loads(text) for text in places]
        if len(values) == 1 and all(name in other for other in readable):
            same[name] = values[0]
        else:
            config[name] = {"values": values, "of": of}
    return {"same": same, "config": config, "readable": [bool(row.config) for row in rows]}


def _front(rows: Sequence[Row], complete: list[int], objectives: Sequence[str]) -> list[int]:
    """The numbers of the rows on the Pareto front: complete ones that have all objectives as finite numbers."""
    if len(objectives) < 2:
        return []
    signs = {name: sign(name, _falling(rows)) for name in objectives}
    numbers = [n for n in complete if all(math.isfinite(rows[n].metrics.get(name, math.nan)) for name in objectives)]
    kept = front([[signs[name] * rows[number].metrics[name] for name in objectives] for number in numbers])
    return [number for number, on_front in zip(numbers, kept, strict=True) if on_front]
