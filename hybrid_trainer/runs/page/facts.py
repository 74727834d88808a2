"""What a page says of runs beside their curves, in columns: statuses, configs, metrics, and what follows of them."""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, Any

from hybrid_trainer.runs.comparison.keys import all_keys, differing_keys
from hybrid_trainer.runs.comparison.named import union
from hybrid_trainer.runs.comparison.ordering import falling, sign
from hybrid_trainer.runs.comparison.pareto import front
from hybrid_trainer.runs.comparison.run import COMPLETE
from hybrid_trainer.runs.comparison.table import headline_metrics
from hybrid_trainer.runs.page.curves import DETAILED
from hybrid_trainer.runs.page.importance import importance
from hybrid_trainer.runs.page.island import rounded
from hybrid_trainer.types import JUDGED_BY

if TYPE_CHECKING:
    from hybrid_trainer.runs.comparison.run import Run

_NOT_COMPARED = ("paths.", "run.")
_LONGEST_REASON = 300


def facts(runs: list[Run], metric: str, objectives: list[str]) -> dict[str, Any]:
    """Everything about runs, best first, that stands in their `run.json`; a column has an entry per run."""
    names = sorted({*union(run.metrics for run in runs)} - {"epoch"})
    smaller = falling(runs)
    keys = differing_keys(runs)
    complete = [number for number, run in enumerate(runs) if run.status == COMPLETE]
    known = [name for name in dict.fromkeys([metric, *objectives]) if name in names]
    root = _common_folder([str(run.path) for run in runs])
    return {
        "metric": metric,
        "objectives": objectives if len(objectives) > 1 else [],
        "falling": [name for name in dict.fromkeys([*names, metric, *objectives]) if sign(name, smaller) > 0],
        "undirected": [name for name in names if name.rpartition("/")[2] in JUDGED_BY],
        "detailed": DETAILED,
        "root": root,
        "runs": [os.path.relpath(run.path, root) if root else str(run.path) for run in runs],
        "status": [run.status for run in runs],
        "why": ["" if run.status == COMPLETE else _first_line(run.reason) for run in runs],
        "keys": keys,
        "headlines": headline_metrics(union(run.metrics for run in runs), [metric]),
        "metrics": {name: [rounded(run.metrics.get(name)) for run in runs] for name in names},
        "importance": {name: importance([runs[number] for number in complete], keys, name) for name in known},
        "front": _front(runs, complete, objectives),
        **_configs(runs),
    }


def _configs(runs: list[Run]) -> dict[str, Any]:
    """Configs by key: `same` in all runs that have one, or a list of values and for each run its place there, or -1."""
    names = [key for key in all_keys(run.config for run in runs) if not key.startswith(_NOT_COMPARED)]
    readable = [run.config for run in runs if run.config]
    same, config = {}, {}
    for name in names:
        places: dict[str, int] = {}
        of = [
            places.setdefault(json.dumps(run.config[name]), len(places)) if name in run.config else -1 for run in runs
        ]
        values = [json.loads(text) for text in places]
        if len(values) == 1 and all(name in other for other in readable):
            same[name] = values[0]
        else:
            config[name] = {"values": values, "of": of}
    return {"same": same, "config": config, "readable": [bool(run.config) for run in runs]}


def _front(runs: list[Run], complete: list[int], objectives: list[str]) -> list[int]:
    """The numbers of the runs on the Pareto front: complete ones that have all objectives as finite numbers."""
    if len(objectives) < 2:
        return []
    signs = {name: sign(name, falling(runs)) for name in objectives}
    numbers = [n for n in complete if all(math.isfinite(runs[n].metrics.get(name, math.nan)) for name in objectives)]
    kept = front([[signs[name] * runs[number].metrics[name] for name in objectives] for number in numbers])
    return [number for number, on_front in zip(numbers, kept, strict=True) if on_front]


def _common_folder(paths: list[str]) -> str:
    """The deepest folder that holds all of several runs; none where some paths are absolute and some are not."""
    try:
        root = os.path.commonpath(paths)
    except ValueError:
        return ""
    return os.path.dirname(root) if root in paths else root  # noqa: PTH120  # text in, text out


def _first_line(reason: str) -> str:
    return reason.splitlines()[0][:_LONGEST_REASON] if reason else ""
