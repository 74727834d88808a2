"""What `split_report.json` states: dates, counts, rows given up and class shares, per part and instrument."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.data.calendar import CHUNK, extreme
from hybrid_trainer.data.purging import Rows
from hybrid_trainer.data.splits import Split
from hybrid_trainer.data.targets import Target
from hybrid_trainer.data.timestamps import iso
from hybrid_trainer.types import SPLITS

Counts = NDArray[np.int64]


def report(
    split: Split,
    timestamps: Rows,
    instrument: NDArray[np.integer[Any]],
    instruments: tuple[str, ...],
    targets: list[Target],
    *,
    unlabelled: int,
    segments: dict[str, int],
    independent: bool = False,
) -> dict[str, Any]:
    """State what a split did.

    Args:
        timestamps, instrument: (N,) of each row of the panel. unlabelled: decidable rows without a label for any head.
        segments: from `segments_report`. independent: whether labels were purged within sequences.
    """
    purging = (
        "within each sequence: the instruments are independent sequences without a shared calendar"
        if independent
        else "on one calendar for all instruments"
    )
    return {
        **split.details,
        "independent_sequences": independent,
        "purging": purging,
        "parts": {part: _part(split, part, timestamps, instrument, instruments, targets) for part in SPLITS},
        "rows_without_any_label": unlabelled,
        "rows_in_no_part": len(split.unused),
        "segments": segments,
    }


def _part(
    split: Split,
    part: str,
    timestamps: Rows,
    instrument: NDArray[np.integer[Any]],
    instruments: tuple[str, ...],
    targets: list[Target],
) -> dict[str, Any]:
    rows = split.rows[part]
    given_up = {"purged": split.purged[part], "embargoed": split.embargoed[part]}
    counts = {name: _per(instrument, some, len(instruments)) for name, some in {"rows": rows, **given_up}.items()}
    concerned = np.flatnonzero(np.sum(list(counts.values()), axis=0)).tolist()  # of 50,000 sequences not all are here
    each: dict[str, dict[str, Any]] = {
        instruments[code]: {what: int(count[code]) for what, count in counts.items()} for code in concerned
    }
    ends = np.cumsum(counts["rows"])  # rows are sorted by instrument
    for code in np.flatnonzero(counts["rows"]).tolist():
        first, last = rows[ends[code] - counts["rows"][code]], rows[ends[code] - 1]
        each[instruments[code]] |= {"first": iso(timestamps[first]), "last": iso(timestamps[last])}
    labels: dict[str, Any] = {}
    for target in targets:
        table = _label_counts(target, rows, instrument, len(instruments))
        labels[target.spec.name] = _labels(target, table.sum(axis=0), len(rows))
        for code in np.flatnonzero(counts["rows"]).tolist():
            said = _labels(target, table[code], each[instruments[code]]["rows"])
            each[instruments[code]].setdefault("targets", {})[target.spec.name] = said
    return {
        "first": iso(extreme(timestamps, rows, np.minimum)),
        "last": iso(extreme(timestamps, rows, np.maximum)),
        "rows": len(rows),
        **{what: len(some) for what, some in given_up.items()},
        "instruments": each,
        "targets": labels,
    }


def _per(instrument: NDArray[np.integer[Any]], rows: Rows, instruments: int) -> Counts:
    """(instruments,) how many of the rows each has."""
    total = np.zeros(instruments, dtype=np.int64)
    for start in range(0, len(rows), CHUNK):
        total += np.bincount(instrument[rows[start : start + CHUNK]], minlength=instruments)
    return total


def _label_counts(target: Target, rows: Rows, instrument: NDArray[np.integer[Any]], instruments: int) -> Counts:
    """(instruments, classes): how many labels of each class; for numbers one column."""
    classes = target.spec.dim if target.spec.kind == "classification" else 1
    total = np.zeros(instruments * classes, dtype=np.int64)
    labelled = target.labelled
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        part = part[labelled[part]]
        which = instrument[part].astype(np.int64) * classes
        if target.spec.kind == "classification":
            which += target.values[part]
        total += np.bincount(which, minlength=len(total))
    return total.reshape(instruments, classes)


def _labels(target: Target, counts: Counts, rows: int) -> dict[str, Any]:
    labelled = int(counts.sum())
    said: dict[str, Any] = {"labelled": labelled, "masked": rows - labelled}
    if target.spec.kind == "classification" and labelled:
        said["class_shares"] = {
            name: round(count / labelled, 6) for name, count in zip(target.spec.labels, counts.tolist(), strict=True)
        }
    return said
