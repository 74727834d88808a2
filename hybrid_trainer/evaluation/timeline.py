"""The picture of a split, `report/split.png`: which rows train, validate, test, and which were given up, along time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.data.calendar import CHUNK, common_calendar, is_plain
from hybrid_trainer.data.splits import Split
from hybrid_trainer.data.table import Table
from hybrid_trainer.runs.atomic import replacing
from hybrid_trainer.types import SPLITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STATES = {
    "train": "#4477aa",
    "valid": "#e6a532",
    "test": "#228833",
    "purged": "#cc3311",
    "embargoed": "#aa4499",
    "looked back on only": "#cfcfcf",
}
_PURGED, _EMBARGOED, _OTHER = 3, 4, 5
_MOST_LINES = 40  # instruments that have a line of their own; more of them are counted together
_PIXELS, _BINS = 1200, 240
_DAY = 86_400 * 10**9


def write_picture(path: Path, table: Table, split: Split, *, independent: bool) -> None:
    """Write the picture of a table's split as PNG; no display is needed."""
    with replacing(path) as temporary:
        draw(table, split, independent=independent).savefig(temporary, format="png")


def draw(table: Table, split: Split, *, independent: bool) -> Figure:
    """One line per instrument; where they are too many, rows counted along time, or for sequences in all."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    states = row_states(len(table), split)
    many = len(table.instruments) > _MOST_LINES
    lines = 4 if many and independent else 12 if many else len(table.instruments)
    figure = Figure(figsize=(11, 1.9 + 0.28 * lines), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    if not many:
        _draw_lines(axes, table, states)
    elif independent:
        _draw_totals(axes, table, states)
    else:
        _draw_counts(axes, table, states)
    kind = str(split.details.get("kind", ""))
    fold = f", fold {split.details['fold']} of 0 to {split.details['folds'] - 1}" if "fold" in split.details else ""
    axes.set_title(f"{Path(table.file).name}: {kind} split{fold}", loc="left", fontsize=11)
    there = np.unique(states).tolist()
    patches = [Patch(color=color, label=name) for code, (name, color) in enumerate(STATES.items()) if code in there]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False, fontsize=9)
    return figure


def row_states(rows: int, split: Split) -> NDArray[np.int8]:
    """(N,) int8: a number into STATES for each row of the table."""
    states = np.full(rows, _OTHER, dtype=np.int8)
    for code, part in enumerate(SPLITS):
        states[split.rows[part]] = code
        states[split.purged[part]] = _PURGED
        states[split.embargoed[part]] = _EMBARGOED
    return states


def pixels_of(table: Table, states: NDArray[np.int8], first: int, last: int, width: int) -> NDArray[np.int8]:
    """(I, width) int8: the state of each instrument in each of the moments from first to last; -1 where it has no rows.

    A row lasts until the next one of its stretch, the last one as long as the one before it. A row that was given up is
    seen however short it is.
    """
    moments = np.linspace(first, last, width).astype(np.int64)
    picture = np.full((len(table.instruments), width), -1, dtype=np.int8)
    for start, stop in table.blocks:
        times, line = table.timestamp[start:stop], picture[int(table.instrument[start])]
        step = int(times[-1] - times[-2]) if stop - start > 1 else 0
        row = np.searchsorted(times, moments, side="right") - 1
        inside = (row >= 0) & (moments <= times[-1] + step)
        line[inside] = states[start:stop][row[inside]]
        for code in (_PURGED, _EMBARGOED):
            given_up = times[np.flatnonzero(states[start:stop] == code)]
            line[((given_up - first) / max(last - first, 1) * (width - 1)).astype(np.int64)] = code
    return picture


def _draw_lines(axes: Axes, table: Table, states: NDArray[np.int8]) -> None:
    from matplotlib.colors import ListedColormap

    first, last = int(table.timestamp.min()), int(table.timestamp.max())
    picture = pixels_of(table, states, first, last, _PIXELS)
    left, right = _on_axis(axes, table, first), _on_axis(axes, table, max(last, first + 1))
    count = len(table.instruments)
    axes.imshow(
        np.repeat(np.ma.masked_less(picture, 0), 8, axis=0),
        cmap=ListedColormap(list(STATES.values())),
        vmin=-0.5,
        vmax=len(STATES) - 0.5,
        aspect="auto",
        interpolation="none",
        extent=(left, right, count, 0),
    )
    for line in range(1, count):
        axes.axhline(line, color="white", linewidth=3)
    axes.set_yticks(np.arange(count) + 0.5, table.instruments, fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _draw_counts(axes: Axes, table: Table, states: NDArray[np.int8]) -> None:
    """How many rows of each state there are per time, along time."""
    first, last = int(table.timestamp.min()), int(table.timestamp.max())
    edges = np.linspace(first, max(last, first + 1), _BINS + 1)
    counts = np.zeros((len(STATES), _BINS), dtype=np.int64)
    for start in range(0, len(table), CHUNK):
        part = slice(start, start + CHUNK)
        bins = np.searchsorted(edges[1:-1], table.timestamp[part], side="right")
        counts += np.bincount(states[part].astype(np.int64) * _BINS + bins, minlength=counts.size).reshape(counts.shape)
    places = [_on_axis(axes, table, edge) for edge in edges.tolist()]
    calendar = common_calendar(table.timestamp, table.instrument_blocks)
    times = np.histogram(calendar, edges)[0]
    below = np.zeros(_BINS)
    for count, color in zip(counts / np.maximum(times, 1), STATES.values(), strict=True):
        axes.stairs(below + count, places, baseline=below, fill=True, color=color)
        below = below + count
    axes.set_ylabel(f"rows per time, of {len(table.instruments)} instruments", fontsize=9)
    axes.set_xlim(places[0], places[-1])
    axes.spines[["top", "right"]].set_visible(False)


def _draw_totals(axes: Axes, table: Table, states: NDArray[np.int8]) -> None:
    """How many rows, and of how many sequences, are in each state: sequences have no time in common."""
    labels: list[str] = []
    for code, (name, color) in enumerate(STATES.items()):
        rows = np.flatnonzero(states == code)
        if len(rows):
            sequences = len(np.unique(table.instrument[rows]))
            axes.barh(len(labels), len(rows), color=color)
            labels.append(f"{name}: {len(rows):,} rows of {sequences:,} sequences")
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)


def _on_axis(axes: Axes, table: Table, time: float) -> float:
    """A time as matplotlib counts dates, in days since 1970; integers of a plain clock as they are."""
    if is_plain(table.timestamp):
        return time
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    if not isinstance(axes.xaxis.get_major_locator(), AutoDateLocator):
        locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    return time / _DAY
