"""Does a feature read later rows, or more rows than it says? Found by computing it again on others. Imports no torch.

Nothing of the feature's code is looked at: a centred mean, a `shift(-1)`, a scaler of the whole sample and a filter
that runs both ways all give themselves away by a value that changes when rows change which it must not read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.data.bars import Bars
from hybrid_trainer.data.feature_registry import Feature
from hybrid_trainer.data.kernels import Values
from hybrid_trainer.errors import LeakError

_TRIED_ROWS = 256  # beside the lookback

Columns = Mapping[str, Values]


def feature_leaks(
    compute: Callable[[dict[str, Values]], Values],
    columns: Columns,
    lookback: int | None,
    generator: np.random.Generator,
    *,
    tries: int = 3,
) -> list[str]:
    """What shows that values read rows which they must not read; an empty list where nothing does.

    Args:
        compute: (N,) or (N, F) values from the columns of one instrument, (N,) each, in the order of time.
        lookback: how many rows a value may read, its own included; None: all rows before it.
        tries: at how many random rows t it is tried.
    """
    rows = len(next(iter(columns.values())))
    if not rows:
        return []
    first = 0 if lookback is None else min(lookback, rows - 1)  # with a row before its lookback, and one after it
    found: dict[str, str] = {}
    with np.errstate(all="ignore"):
        whole = compute(dict(columns))
        for t in generator.integers(first, max(rows - 1, first + 1), tries).tolist():
            faults = _later_rows(compute, columns, whole, t, generator)
            if lookback is not None:
                faults += _earlier_rows(compute, columns, whole, t, lookback, generator)
            for fault in (fault for fault, changed in faults if changed):
                found.setdefault(fault, f"{fault}: the value of row {t} is then another")
    return list(found.values())


def refuse_leaks(selected: Sequence[Feature], columns: Columns, block: tuple[int, int]) -> None:
    """Try features on a stretch of one instrument's rows, [start, stop); one that reads others is a LeakError."""
    for entry in selected:
        start = max(block[0], block[1] - 2 * entry.lookback - _TRIED_ROWS)
        part = {name: np.array(columns[name][start : block[1]], dtype=np.float64) for name in entry.reads}

        def compute(rows: dict[str, Values], entry: Feature = entry) -> Values:
            count = len(next(iter(rows.values())))
            return entry.values(Bars.of(rows, 0, count), count)

        for fault in feature_leaks(compute, part, entry.lookback, np.random.default_rng(0))[:1]:
            raise LeakError(
                f"data.extra_features: '{entry.name}' {fault}; a feature is a function of its row and the "
                f"{entry.lookback - 1} before it (lookback={entry.lookback})"
            )


def _later_rows(
    compute: Callable[[dict[str, Values]], Values],
    columns: Columns,
    whole: Values,
    t: int,
    generator: np.random.Generator,
) -> list[tuple[str, bool]]:
    cut = compute({name: values[: t + 1] for name, values in columns.items()})
    later = np.arange(len(whole)) > t
    changed = compute(perturbed(columns, later, generator))
    return [
        ("reads rows after its own (they were cut off)", not same_bits(cut[t], whole[t])),
        ("reads rows after its own (they were changed)", not same_bits(changed[t], whole[t])),
    ]


def _earlier_rows(
    compute: Callable[[dict[str, Values]], Values],
    columns: Columns,
    whole: Values,
    t: int,
    lookback: int,
    generator: np.random.Generator,
) -> list[tuple[str, bool]]:
    start = t - lookback + 1
    if start < 1:
        return []
    alone = compute({name: values[start:] for name, values in columns.items()})
    earlier = np.arange(len(whole)) < start
    changed = compute(perturbed(columns, earlier, generator))
    return [
        (
            f"reads rows before its lookback of {lookback} (they were cut off)",
            not same_bits(alone[t - start], whole[t]),
        ),
        (f"reads rows before its lookback of {lookback} (they were changed)", not same_bits(changed[t], whole[t])),
    ]


def perturbed(columns: Columns, where: NDArray[np.bool_], generator: np.random.Generator) -> dict[str, Values]:
    """The columns with other rows where `where` is true: whole rows of elsewhere, so low stays below high."""
    picked = np.flatnonzero(where)
    source = generator.integers(0, len(where), len(picked))
    factor = generator.uniform(0.5, 2.0, len(picked))
    found = {}
    for name, values in columns.items():
        found[name] = np.array(values, dtype=np.float64)
        found[name][picked] = values[source] * factor
    return found


def same_bits(a: Values, b: Values) -> bool:
    """Whether two values are the same to the last bit; NaN is NaN."""
    left, right = np.atleast_1d(a).astype(np.float64), np.atleast_1d(b).astype(np.float64)
    both_nan = np.isnan(left) & np.isnan(right)
    return bool(((left.view(np.int64) == right.view(np.int64)) | both_nan).all())
