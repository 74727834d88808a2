"""Which rows train, which choose, which judge; and the proof that no label of one reaches into the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.data.targets import Target
from hybrid_trainer.data.timestamps import iso
from hybrid_trainer.errors import TableError
from hybrid_trainer.types import SPLITS

Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Decision rows per part ('train', 'valid', 'test'), ascending; `purged` are the rows given up at the borders.

    `begins` is the time of the first decision row of each part; a row belongs to the part in which its label begins,
    and its window may look back across the border.
    """

    rows: dict[str, Rows]
    purged: dict[str, Rows]
    begins: dict[str, int]


def chronological(rows: Rows, timestamps: Rows, label_end: Rows, fractions: list[float]) -> Split:
    """Divide decision rows by fractions of their calendar, all instruments on one clock, and purge at both borders.

    Args:
        rows: (R,) decision rows of the panel.
        timestamps, label_end: (N,) each row's time, and the time at which its longest label interval ends.
        fractions: shares of the calendar for train, valid and test.

    Returns:
        The split; a row whose label interval reaches the first time of the next part, or beyond, is purged
        (Lopez de Prado, 2018, section 7.4.1).

    Raises:
        TableError: the calendar is too short for three parts, or purging leaves one of them empty.
    """
    calendar = np.unique(timestamps[rows])
    cuts = np.round(np.cumsum(fractions)[:2] * len(calendar)).astype(int)
    if not 0 < cuts[0] < cuts[1] < len(calendar):
        raise TableError(
            f"data.split: {len(calendar)} different times with a decidable row are too few to divide as "
            f"{fractions}; bring more rows or lower model.time_window"
        )
    begin = dict(zip(SPLITS, (int(t) for t in calendar[[0, cuts[0], cuts[1]]]), strict=True))
    end = {"train": begin["valid"], "valid": begin["test"], "test": np.iinfo(np.int64).max}
    kept, purged = {}, {}
    for part in SPLITS:
        here = rows[(timestamps[rows] >= begin[part]) & (timestamps[rows] < end[part])]
        reaches = label_end[here] >= end[part] if part != "test" else np.zeros(len(here), dtype=bool)
        kept[part], purged[part] = here[~reaches], here[reaches]
        if not len(kept[part]):
            raise TableError(
                f"data.split: after purging, no row is left in '{part}'; the label reaches further than the "
                "part is long: bring more rows, or shorter horizons"
            )
    split = Split(rows=kept, purged=purged, begins=begin)
    verify(split, timestamps, label_end)
    return split


def verify(split: Split, timestamps: Rows, label_end: Rows) -> None:
    """Raise TableError, naming a row, where a label interval of an earlier part reaches into a later one."""
    for earlier, later in (("train", "valid"), ("valid", "test"), ("train", "test")):
        first = timestamps[split.rows[later]].min()
        for bad in split.rows[earlier][label_end[split.rows[earlier]] >= first][:1]:
            raise TableError(
                f"data.split: the label of row {bad} ({iso(timestamps[bad])}, {earlier}) ends "
                f"{iso(label_end[bad])}, when '{later}' has begun ({iso(first)}): the split would leak"
            )


def report(
    split: Split,
    timestamps: Rows,
    instrument: Rows,
    instruments: tuple[str, ...],
    targets: list[Target],
    unlabelled: int,
) -> dict[str, Any]:
    """State dates, counts, purged rows and class shares, per part and instrument: `split_report.json`."""
    parts = {}
    for part in SPLITS:
        rows, purged = split.rows[part], split.purged[part]
        per_instrument = {
            name: {"rows": int((instrument[rows] == code).sum()), "purged": int((instrument[purged] == code).sum())}
            for code, name in enumerate(instruments)
        }
        parts[part] = {
            "first": iso(timestamps[rows].min()),
            "last": iso(timestamps[rows].max()),
            "rows": len(rows),
            "purged": len(purged),
            "instruments": per_instrument,
            "targets": {target.spec.name: _labels(target, rows) for target in targets},
        }
    return {"parts": parts, "rows_without_any_label": unlabelled}


def _labels(target: Target, rows: Rows) -> dict[str, Any]:
    labelled = rows[target.labelled[rows]]
    said: dict[str, Any] = {"labelled": len(labelled), "masked": len(rows) - len(labelled)}
    if target.spec.kind == "classification" and len(labelled):
        shares = np.bincount(target.values[labelled], minlength=target.spec.dim) / len(labelled)
        said["class_shares"] = {
            name: round(float(share), 6) for name, share in zip(target.spec.labels, shares, strict=True)
        }
    return said
