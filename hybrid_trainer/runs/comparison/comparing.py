"""One comparison, from runs to what is shown of them: filtered, grouped, ordered, judged."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hybrid_trainer.errors import UserError
from hybrid_trainer.runs.comparison.filters import parse_condition
from hybrid_trainer.runs.comparison.groups import grouped, ranked
from hybrid_trainer.runs.comparison.keys import all_keys, differing_keys, incomparable
from hybrid_trainer.runs.comparison.named import union
from hybrid_trainer.runs.comparison.names import resolve
from hybrid_trainer.runs.comparison.ordering import falling, sign, sort_by_key, sort_rows
from hybrid_trainer.runs.comparison.pareto import front
from hybrid_trainer.runs.comparison.rows import Row, row_of
from hybrid_trainer.runs.comparison.run import PREDICTIONS, Run
from hybrid_trainer.runs.comparison.table import best_row, headline_metrics

if TYPE_CHECKING:
    from hybrid_trainer.runs.comparison.intervals import Difference

SHOWN = 50
DEFAULT_METRIC = "valid/loss"


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a user asks for; names may be the ends of keys.

    Attributes:
        metrics: to order by, and with several to make a front of; empty: the validation loss. sort: another order.
        group_by: keys that don't tell configurations apart. shown: how many rows, None: all.
        intervals: whether test rows are read.
    """

    metrics: Sequence[str] = ()
    sort: str | None = None
    where: str | None = None
    group_by: Sequence[str] = ()
    shown: int | None = SHOWN
    intervals: bool = True


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All rows in their order, and what is said of them.

    Attributes:
        rows: all of them; shown: the first ones. keys: those that differ. aside: those that make no configuration.
        objectives: the metrics asked for. metrics: the columns.
        best: the row to mark. front: names of the rows on it; None with one objective.
        reference, differences: which row the shown ones are compared with on their test rows; see `intervals`.
        incomparable: keys by which one run's loss means another thing than the other's.
    """

    runs: Sequence[Run]
    rows: Sequence[Row]
    shown: Sequence[Row]
    keys: Sequence[str]
    aside: Sequence[str]
    objectives: Sequence[str]
    metrics: Sequence[str]
    best: Row | None
    front: Collection[str] | None
    reference: Row | None
    differences: Mapping[str, Mapping[str, Difference]]
    incomparable: Sequence[str]


def compared(found: Sequence[Run], wishes: Wishes) -> Comparison:
    """Compare runs.

    Raises:
        UserError: a name that no run has, or a condition that is none or that no run fulfils.
    """
    runs = _chosen(found, wishes.where)
    names, keys = _names(runs)
    objectives = _objectives(wishes.metrics, names)
    aside = [resolve("--group-by", name, keys) for name in wishes.group_by]
    rows = ranked(grouped(runs, aside), objectives[0], aside) if aside else [row_of(run) for run in runs]
    smaller = falling(runs)
    best_first = sort_rows(rows, objectives[0], smaller)
    ordered = _sorted(best_first, wishes.sort, names, smaller)
    shown = ordered[: wishes.shown]
    reference, differences = _differences(best_first, shown, wishes.metrics) if wishes.intervals else (None, {})
    apart = incomparable(runs, aside)
    return Comparison(
        runs=runs,
        rows=ordered,
        shown=shown,
        keys=[key for key in differing_keys(runs) if key not in aside],
        aside=aside,
        objectives=objectives,
        metrics=headline_metrics(names, objectives),
        best=best_row(best_first, objectives[0]) if not apart else None,
        front=_front(rows, objectives, smaller) if len(objectives) > 1 else None,
        reference=reference,
        differences=differences,
        incomparable=apart,
    )


def _names(runs: Sequence[Run]) -> tuple[dict[str, None], dict[str, None]]:
    """The metrics and the keys that some run has, in the order in which they are met."""
    metrics = union(run.metrics for run in runs)
    return metrics, all_keys(run.config for run in runs)


def _chosen(runs: Sequence[Run], where: str | None) -> Sequence[Run]:
    if where is None:
        return runs
    metrics, keys = _names(runs)
    condition = parse_condition(where, keys, metrics)
    chosen = [run for run in runs if condition(run)]
    if not chosen:
        raise UserError(f"--where: none of {len(runs)} run(s) fulfils '{where}'")
    return chosen


def _objectives(asked: Sequence[str], names: Collection[str]) -> list[str]:
    """The metrics to order by; runs that all failed have none, and are listed whatever was asked for."""
    wanted = list(dict.fromkeys(asked or [DEFAULT_METRIC]))
    return [resolve("--metric", name, names) for name in wanted] if names else wanted


def _sorted(rows: list[Row], by: str | None, metrics: Collection[str], smaller: frozenset[str]) -> list[Row]:
    if by is None:
        return rows
    keys = all_keys(row.config for row in rows)
    name = resolve("--sort", by, dict.fromkeys([*keys, *metrics, "run", "status"]))
    return sort_rows(rows, name, smaller) if name in metrics else sort_by_key(rows, name)


def _front(rows: Sequence[Row], objectives: Sequence[str], smaller: frozenset[str]) -> set[str]:
    """The names of the complete rows that no other one is better than in all objectives together."""
    judged = [row for row in rows if row.complete and all(name in row.metrics for name in objectives)]
    points = [[sign(name, smaller) * row.metrics[name] for name in objectives] for row in judged]
    return {row.name for row, on_it in zip(judged, front(points), strict=True) if on_it}


def _differences(
    best_first: Sequence[Row], shown: Sequence[Row], asked: Sequence[str]
) -> tuple[Row | None, Mapping[str, Mapping[str, Difference]]]:
    """The best row that has kept its test rows, and the shown ones' differences to it."""
    kept = (row for row in best_first if row.complete and any((run.path / PREDICTIONS).exists() for run in row.runs))
    reference = next(kept, None)
    others = [row for row in shown if row.complete and row is not reference]
    if reference is None or not others:
        return None, {}
    from hybrid_trainer.runs.comparison.intervals import differences  # polars takes a while

    return reference, differences(others, reference, asked)
