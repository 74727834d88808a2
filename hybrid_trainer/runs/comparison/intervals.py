"""Which differences to the best configuration are noise: paired bootstrap intervals on the same test rows.

For each task and each configuration, the rows (instrument and time) that both it and the reference were tested on are
resampled in blocks of time, the same draw for both; the seeds of a configuration are resampled jointly: its value in a
resample is the mean of its runs' metrics on those rows. With several folds each is resampled by itself, and the mean is
over the folds that both have. An interval that holds zero says that other test rows might have turned the difference
around; it says nothing of other seeds, which is what the spread is for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hybrid_trainer.errors import RunDirError
from hybrid_trainer.runs.comparison.bootstrap import Draws, block_length, draw, interval
from hybrid_trainer.runs.comparison.rows import Row
from hybrid_trainer.runs.comparison.run import COMPLETE
from hybrid_trainer.runs.comparison.scores import MAIN, SUMMED, metric_of
from hybrid_trainer.runs.comparison.tested_rows import TaskRows, read_test_rows

Array = NDArray[np.float64]
Fold = str
Tested = dict[Fold, list[dict[str, TaskRows]]]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One configuration's metric minus the reference's, on the rows of both; or why there is none.

    Attributes:
        metric: its full name. low, high: the 95 % interval. length: of a block, in times. times: of all folds together.
    """

    metric: str
    value: float = 0.0
    low: float = 0.0
    high: float = 0.0
    length: int = 0
    times: int = 0
    why_not: str = ""

    @property
    def noise(self) -> bool:
        """Whether the interval holds zero."""
        return self.low <= 0 <= self.high


def differences(rows: Sequence[Row], reference: Row, asked: Sequence[str] = ()) -> dict[str, dict[str, Difference]]:
    """The differences to a reference, by row and task; of a row whose files can't be read, by no task but "".

    Args:
        asked: metrics such as test/signal/mcc, which take the place of their tasks' main ones.
    """
    found: dict[str, dict[str, Difference]] = {}
    try:
        known = _tested(reference)
    except RunDirError as error:
        return {row.name: {"": Difference(metric="", why_not=str(error))} for row in rows if row is not reference}
    draws: dict[tuple[int, int], Draws] = {}
    for row in rows:
        if row is reference or not row.complete:
            continue
        try:
            tested = _tested(row)
        except RunDirError as error:
            found[row.name] = {"": Difference(metric="", why_not=str(error))}
            continue
        found[row.name] = {task: _difference(task, tested, known, asked, draws) for task in _tasks(known)}
    return found


def _tested(row: Row) -> Tested:
    """The test rows of a row's complete runs, by fold."""
    found: Tested = {}
    for run in row.runs:
        if run.status == COMPLETE:
            found.setdefault(str(run.config.get("data.split.fold")), []).append(read_test_rows(run.path))
    return found


def _tasks(tested: Tested) -> list[str]:
    return list(dict.fromkeys(task for runs in tested.values() for run in runs for task in run))


def _difference(
    task: str, tested: Tested, known: Tested, asked: Sequence[str], draws: dict[tuple[int, int], Draws]
) -> Difference:
    folds = [fold for fold in known if fold in tested]
    metric = ""
    parts: list[tuple[Array, int, int]] = []
    for fold in folds:
        ours, theirs = ([run[task] for run in runs[fold] if task in run] for runs in (tested, known))
        if not ours or not theirs:
            continue
        kind = theirs[0].spec.kind
        metric = next((name for name in SUMMED[kind] if f"test/{task}/{name}" in asked), MAIN[kind])
        try:
            parts.append(_fold(metric, ours, theirs, draws))
        except RunDirError as error:
            return Difference(metric=f"test/{task}/{metric}", why_not=str(error))
    if not parts:
        return Difference(metric=f"test/{task}/{metric}", why_not="no fold in common" if not folds else "another task")
    values = np.mean([part[0] for part in parts], axis=0)  # (1 + B,): of all rows, then of each resample
    low, high = interval(values[1:])
    return Difference(
        metric=f"test/{task}/{metric}",
        value=float(values[0]),
        low=low,
        high=high,
        length=max(part[1] for part in parts),
        times=sum(part[2] for part in parts),
    )


def _fold(
    metric: str, ours: Sequence[TaskRows], theirs: Sequence[TaskRows], draws: dict[tuple[int, int], Draws]
) -> tuple[Array, int, int]:
    """One fold's differences (1 + B,), of all rows and of each resample; the blocks' length; the number of times.

    Raises:
        RunDirError: the two weren't tested on the same.
    """
    runs = [*ours, *theirs]
    places = _common(runs)
    if not len(places[0]):
        raise RunDirError("no test row in common")
    labels = [run.label[place] for run, place in zip(runs, places, strict=True)]
    first = runs[0].spec
    if any(run.spec.kind != first.kind or run.spec.labels != first.labels for run in runs) or any(
        label.shape != labels[0].shape or not np.allclose(label, labels[0], equal_nan=True) for label in labels
    ):
        raise RunDirError("the labels differ: another task under the same name")
    moments, position = np.unique(runs[0].time[places[0]], return_inverse=True)
    length = block_length(len(moments), max(run.reach for run in runs))
    if (len(moments), length) not in draws:
        draws[len(moments), length] = draw(len(moments), length)
    drawn = draws[len(moments), length]
    sums = [_per_time(run.sums[place], position, len(moments)) for run, place in zip(runs, places, strict=True)]
    joined = np.concatenate(sums, axis=1)  # (T, runs * K)
    both = np.concatenate([joined.sum(axis=0, keepdims=True), drawn.sums(joined)])  # (1 + B, runs * K)
    scores = [metric_of(first.kind, metric, part) for part in np.split(both, len(runs), axis=1)]
    difference = np.mean(scores[: len(ours)], axis=0) - np.mean(scores[len(ours) :], axis=0)
    return difference, length, len(moments)


def _common(runs: Sequence[TaskRows]) -> list[NDArray[np.int64]]:
    """Where in each run the rows are that all of them have: (R,) each, in one order."""
    if any(run.keys.schema != runs[0].keys.schema for run in runs[1:]):
        raise RunDirError("the clocks differ: times of one kind and of another")
    if all(run.keys.equals(runs[0].keys) for run in runs[1:]):
        return [np.arange(len(runs[0].keys))] * len(runs)
    shared = runs[0].keys.with_row_index("0")
    for number, run in enumerate(runs[1:], start=1):
        shared = shared.join(run.keys.with_row_index(str(number)), on=run.keys.columns, maintain_order="left")
    return [shared[str(number)].cast(pl.Int64).to_numpy() for number in range(len(runs))]


def _per_time(sums: Array, position: NDArray[np.int64], times: int) -> Array:
    """Rows' sums (R, K) added up per time: (T, K)."""
    columns = [np.bincount(position, weights=column, minlength=times) for column in sums.T]
    return np.stack(columns, axis=1)


def told(found: Mapping[str, Mapping[str, Difference]]) -> str:
    """How long the blocks are, per task."""
    lengths: dict[str, set[int]] = {}
    for one in found.values():
        for task, difference in one.items():
            if task and not difference.why_not:
                lengths.setdefault(task, set()).add(difference.length)
    return ", ".join(f"{task} {'/'.join(map(str, sorted(some)))}" for task, some in lengths.items())
