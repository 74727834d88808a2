"""Learning curves for a page: as many metrics and points of each run as the page has room for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hybrid_trainer.runs.page.history import read_history
from hybrid_trainer.runs.page.island import rounded

DETAILED = 50
"""The best runs: they are shown at first, and share half the room."""

ROOM = 700_000
"""Numbers in all curves of a page: about 7 MB."""

MOST_POINTS = 200
_ENOUGH_POINTS = 50
_ALWAYS = ("valid/loss", "train/loss")


def curves_data(rows: Sequence[Sequence[Path]], wanted: list[str]) -> dict[str, Any]:
    """The curves of rows, best first: {"metrics": names, "runs": {number: {"epoch": [...], "of": {metric: [...]}}}}.

    Args:
        rows: the runs of each row: the curve of several is their mean, as far as the shortest one goes.
        wanted: metrics that every run's curves have, beside the losses.
    """
    first = min(len(rows), DETAILED)
    rest = len(rows) - first
    names: dict[str, int] = {}
    curves = {}
    for number, runs in enumerate(rows):
        room = ROOM // (2 * first) if number < first else ROOM // (2 * rest)
        histories = [history for history in map(read_history, runs) if history]
        if histories:
            curves[number] = _curves(_mean(histories), [*wanted, *_ALWAYS], room, names)
    return {"metrics": list(names), "runs": curves}


def _mean(histories: list[list[dict[str, float | None]]]) -> list[dict[str, float | None]]:
    """The mean of several histories, epoch by epoch, of the numbers that all of them have."""
    if len(histories) == 1:
        return histories[0]
    return [_mean_row(rows) for rows in zip(*histories, strict=False)]


def _mean_row(rows: Sequence[dict[str, float | None]]) -> dict[str, float | None]:
    columns = {name: [row.get(name) for row in rows] for name in rows[0]}
    return {
        name: None if None in values else sum(map(float, values)) / len(values)  # type: ignore[arg-type]
        for name, values in columns.items()
    }


def _curves(
    rows: list[dict[str, float | None]], wanted: list[str], room: int, names: dict[str, int]
) -> dict[str, list[int] | dict[int, list[float | None]]]:
    """One run's curves in at most about `room` numbers; a metric that is new gets the next number in `names`."""
    found = dict.fromkeys(name for row in rows for name in row if name != "epoch")
    first = dict.fromkeys(name for name in wanted if name in found)
    most = max(len(first), room // min(len(rows), _ENOUGH_POINTS))
    shown = list(dict.fromkeys([*first, *found]))[:most]
    kept = [rows[index] for index in thinned(len(rows), min(MOST_POINTS, room // max(len(shown), 1)))]
    return {
        "epoch": [int(row["epoch"] or 0) for row in kept],
        "of": {names.setdefault(name, len(names)): [rounded(row.get(name)) for row in kept] for name in shown},
    }


def thinned(count: int, most: int) -> Sequence[int]:
    """At most `most` (two at least) of the indices 0 ... count - 1, evenly spaced, both ends among them."""
    most = max(most, 2)
    if count <= most:
        return range(count)
    return [round(step * (count - 1) / (most - 1)) for step in range(most)]
