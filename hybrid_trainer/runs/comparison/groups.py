"""Configurations: runs that differ in seeds, folds or other named keys only, as means, spreads and ranks.

A cell is one combination of the named keys' values, such as (seed 1, fold 3). A configuration's value is the mean over
its cells, its spread their sample standard deviation; runs of one cell are averaged first, since one seed run twice is
no second opinion. Only complete runs count.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import fmean

from hybrid_trainer.runs.comparison.keys import varying
from hybrid_trainer.runs.comparison.named import Named, columns
from hybrid_trainer.runs.comparison.ordering import falling, sign
from hybrid_trainer.runs.comparison.rows import Row, row_of
from hybrid_trainer.runs.comparison.run import COMPLETE, Run

Cell = tuple[str, ...]


def grouped(runs: Sequence[Run], aside: Sequence[str]) -> list[Row]:
    """A row per configuration, in the order in which they are first met; a run without a config is one by itself.

    Args:
        aside: the keys that don't tell configurations apart.
    """
    keys = [key for key in varying([run.config for run in runs if run.config]) if key not in aside]
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        mark = tuple(json.dumps(run.config.get(key)) for key in keys) if run.config else ("", str(run.path))
        groups.setdefault(mark, []).append(run)
    return [_row(group, aside) for group in groups.values()]


def cell(run: Run, aside: Sequence[str]) -> Cell:
    """The values of the named keys."""
    return tuple(json.dumps(run.config.get(key)) for key in aside)


def _row(runs: Sequence[Run], aside: Sequence[str]) -> Row:
    if len(runs) == 1 and not runs[0].config:
        return row_of(runs[0])
    cells = [*_cells(runs, aside).values()]
    values = _values_by_name(cells) if len(cells) > 1 else {}
    means = {name: fmean(some) for name, some in values.items()} if len(cells) != 1 else cells[0]
    more = f" +{len(runs) - 1}" if len(runs) > 1 else ""
    return Row(
        name=f"{runs[0].path}{more}",
        status=_statuses(runs),
        reason=next((run.reason for run in runs if run.status != COMPLETE and run.reason), ""),
        runs=tuple(runs),
        config=runs[0].config,
        metrics=means,
        spread={name: _deviation(some, means[name]) for name, some in values.items() if len(some) > 1},
        count={name: len(some) for name, some in values.items()} if values else dict.fromkeys(means, 1),
    )


def _cells(runs: Iterable[Run], aside: Sequence[str]) -> dict[Cell, Named[float]]:
    """The metrics of each cell that has a complete run."""
    found: dict[Cell, list[Named[float]]] = {}
    for run in runs:
        if run.status == COMPLETE:
            found.setdefault(cell(run, aside), []).append(run.metrics)
    return {place: metrics[0] if len(metrics) == 1 else _means(metrics) for place, metrics in found.items()}


def _means(several: Sequence[Named[float]]) -> Named[float]:
    return Named.of({name: fmean(some) for name, some in _values_by_name(several).items()})


def _values_by_name(several: Sequence[Named[float]]) -> dict[str, list[float]]:
    """Each name's values, of those that have one."""
    return {name: [one for one in some if one is not None] for name, some in columns(several, None)}


def _deviation(values: Sequence[float], mean: float) -> float:
    """The sample standard deviation (n - 1)."""
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _statuses(runs: Sequence[Run]) -> str:
    counts = Counter(run.status for run in runs)
    return ", ".join(f"{count} {status}" for status, count in counts.items()) if len(runs) > 1 else runs[0].status


def ranked(rows: Sequence[Row], metric: str, aside: Sequence[str]) -> list[Row]:
    """The same with mean ranks by a metric: 1 is the best in a cell, and equal values share the mean of their ranks.

    Ranks are over the set of cells that most configurations have; a configuration that lacks one of them has no rank,
    since a mean over other seeds or folds would be another thing.
    """
    values = [_values(row, metric, aside) for row in rows]
    common = _common(values)
    up = sign(metric, falling(run for row in rows for run in row.runs))
    taking_part = [index for index, some in enumerate(values) if common and common <= some.keys()]
    ranks: dict[int, list[float]] = {index: [] for index in taking_part}
    for place in common:
        for index, rank in zip(taking_part, _ranks([up * values[one][place] for one in taking_part]), strict=True):
            ranks[index].append(rank)
    return [replace(row, rank=fmean(ranks[index]) if index in ranks else None) for index, row in enumerate(rows)]


def _values(row: Row, metric: str, aside: Sequence[str]) -> dict[Cell, float]:
    return {place: some[metric] for place, some in _cells(row.runs, aside).items() if metric in some}


def _common(values: Iterable[dict[Cell, float]]) -> frozenset[Cell]:
    """The set of cells that most configurations have; of equally many the larger set."""
    counts = Counter(frozenset(some) for some in values if some)
    return max(counts, key=lambda cells: (counts[cells], len(cells), sorted(cells)), default=frozenset())


def _ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1, smallest first; equal values share the mean of their ranks."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    found = [0.0] * len(values)
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and values[order[stop]] == values[order[start]]:
            stop += 1
        for index in order[start:stop]:
            found[index] = (start + 1 + stop) / 2
        start = stop
    return found
