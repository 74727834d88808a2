"""The tables on the terminal: a row per run or configuration, and which differences are noise."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from hybrid_trainer.runs.comparison.keys import text
from hybrid_trainer.runs.comparison.rows import Row
from hybrid_trainer.runs.comparison.run import COMPLETE

if TYPE_CHECKING:
    from hybrid_trainer.runs.comparison.intervals import Difference

_HEADLINES = ("macro_f1", "r2", "pinball", "mse")  # one of them for each kind of task
_LEAST, _LONGEST = 12, 24  # letters of the column of runs, and of a key's, where there is no room
_TESTS = ("test/", "baseline/")


def headline_metrics(names: Iterable[str], asked: Sequence[str]) -> list[str]:
    """The columns: the metrics that were asked for, then one telling test metric per task.

    Args:
        names: the metrics that the runs have.
    """
    tests = [name for name in names if name.startswith("test/") and name.rpartition("/")[2] in _HEADLINES]
    return list(dict.fromkeys([*asked, *tests]))


def best_row(ordered: Sequence[Row], metric: str) -> Row | None:
    """The best complete row; None by a test metric, which is there to report and not to choose by.

    Args:
        ordered: best first. Of configurations, one without a rank was not tried on the same seeds and folds.
    """
    if metric.startswith(_TESTS):
        return None
    ranked = any(row.rank is not None for row in ordered)
    fit = (row for row in ordered if row.complete and metric in row.metrics and (row.rank is not None or not ranked))
    return next(fit, None)


def render(
    rows: Sequence[Row],
    *,
    title: str,
    keys: Sequence[str],
    metrics: Sequence[str],
    best: Row | None,
    front: Collection[str] | None,
    root: str = "",
) -> Table:
    """The table of runs.

    Args:
        metrics: its columns; the first one is what `best`, marked *, is the best by.
        root: a folder that all rows lie in: names are told from there.
        front: names of the rows that no other is better than in all objectives; None where there is one objective.
    """
    table = Table(title=escape(title), title_justify="left")
    ranks, whys = any(row.rank is not None for row in rows), any(row.status != COMPLETE and row.reason for row in rows)
    whys = whys or any(not row.complete for row in rows)
    table.add_column("run", overflow="fold", min_width=_LEAST)
    table.add_column("status", no_wrap=True)
    for key in keys:
        table.add_column(escape(key), overflow="fold", min_width=key_width(rows, key))
    for name in metrics:
        table.add_column(escape(name), justify="right", overflow="fold", min_width=metric_width(rows, name))
    if ranks:
        table.add_column("rank", justify="right", no_wrap=True)
    for name in [*(["front"] if front is not None else []), *(["why"] if whys else [])]:
        table.add_column(name, overflow="fold")
    for row in rows:
        cells = [
            told_from(root, row.name),
            row.status,
            *(short(row.config[key]) if key in row.config else "" for key in keys),
        ]
        cells += [_number(row, name, starred=row is best and name == metrics[0]) for name in metrics]
        cells += [_rank(row)] if ranks else []
        cells += ["yes" if row.name in front else ""] if front is not None else []
        cells += [_why(row)] if whys else []
        table.add_row(*map(escape, cells))  # [16] is no markup
    return table


def short(value: Any) -> str:
    """A key's value in few letters; files have all digits."""
    return f"{value:.6g}" if isinstance(value, float) else text(value)


def key_width(rows: Sequence[Row], key: str) -> int:
    """Letters that a key's column takes at least: no number is broken in two."""
    return min(max((len(short(row.config[key])) for row in rows if key in row.config), default=1), _LONGEST)


def metric_width(rows: Sequence[Row], name: str) -> int:
    """The same of a metric."""
    return max((len(_number(row, name, starred=False)) + 1 for row in rows), default=1)


def told_from(root: str, name: str) -> str:
    """A row's name as it is told below a folder."""
    return name.removeprefix(f"{root}/") if root else name


def _number(row: Row, name: str, *, starred: bool) -> str:
    if name not in row.metrics:
        return "-"
    number = f"{row.metrics[name]:.4f}{'*' if starred else ''}"
    if name in row.spread:
        return f"{number} ± {row.spread[name]:.4f} ({row.count[name]})"
    return f"{number} ({row.count[name]})" if name in row.count else number


def _rank(row: Row) -> str:
    return "-" if row.rank is None else f"{row.rank:.2f}"


def _why(row: Row) -> str:
    return "" if row.status == COMPLETE or not row.reason else row.reason.splitlines()[0]


def render_differences(found: Mapping[str, Mapping[str, Difference]], reference: Row, root: str = "") -> Table:
    """The differences to the best one; ≈ where the interval holds zero."""
    title = f"difference to {told_from(root, reference.name)} on the same test rows, 95 % interval; ≈ may be noise"
    table = Table(title=escape(title), title_justify="left")
    columns = dict.fromkeys(one.metric for tasks in found.values() for one in tasks.values() if one.metric)
    table.add_column("run", overflow="fold", min_width=_LEAST)
    for metric in columns:
        table.add_column(escape(metric), overflow="fold")
    unread = any("" in tasks for tasks in found.values())
    if unread:
        table.add_column("why not", overflow="fold")
    for name, tasks in found.items():
        by_metric = {one.metric: one for one in tasks.values()}
        cells = [_difference(by_metric[metric]) if metric in by_metric else "" for metric in columns]
        table.add_row(
            *map(
                escape,
                [
                    told_from(root, name),
                    *cells,
                    *([by_metric[""].why_not if "" in by_metric else ""] if unread else []),
                ],
            )
        )
    return table


def _difference(one: Difference) -> str:
    if one.why_not:
        return one.why_not
    return f"{one.value:+.4f} [{one.low:+.4f}, {one.high:+.4f}]{' ≈' if one.noise else ''}"
