"""Whether labels are about the future, the whole of it and nothing else: tried out on a table's own rows.

Imports no torch.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.config.targets import ColumnTarget, TargetConfig
from hybrid_trainer.data.labelling import build_targets
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.targets import TARGET_BUILDERS, Target
from hybrid_trainer.errors import LeakError
from hybrid_trainer.plugins import is_own

_DRAWS = 4
_TRIED = 8  # labels, in every run


def target_leaks(
    table: Table, configs: dict[str, TargetConfig], generator: np.random.Generator, samples: int = 16
) -> dict[str, list[str]]:
    """Build the labels of some rows again from changed tables; {target: what is wrong, in words}, [] where nothing is.

    Of `samples` labelled rows t, drawn at random, each label
    - must be the same when it is built from the rows [t - rows_behind, t + horizon] alone: it reaches no further;
    - must, in some of them, be another when the rows after t are: it is not known at t. A label column is what the user
      says it is: only the first point can be seen of it.
    """
    built = zip(configs.items(), build_targets(table, configs), strict=True)
    return {name: _leaks(table, whole, config, generator, samples) for (name, config), whole in built}


def refuse_own_leaks(table: Table, targets: list[Target], configs: dict[str, TargetConfig]) -> None:
    """Try the labels of plug-ins' builders on a few rows: purging goes by what their configs say.

    Raises:
        LeakError: one reads other rows than (t, t + horizon] and the `rows_behind` before; or is known at t.
    """
    generator = np.random.default_rng(0)
    for target, (name, config) in zip(targets, configs.items(), strict=True):
        if is_own(TARGET_BUILDERS.get(config.builder, "")) and target.labelled.any():
            for fault in _leaks(table, target, config, generator, _TRIED):
                raise LeakError(f"data.targets.{name} (builder '{config.builder}'): {fault}")


def _leaks(
    table: Table, whole: Target, config: TargetConfig, generator: np.random.Generator, samples: int
) -> list[str]:
    name = whole.spec.name
    labelled = np.flatnonzero(whole.labelled)
    if not len(labelled):
        return [f"no row of {table.file} has a label"]
    starts = np.array([start for start, _ in table.blocks])
    stops = np.array([stop for _, stop in table.blocks])
    further: list[int] = []
    follows = isinstance(config, ColumnTarget)
    for row in generator.choice(labelled, min(samples, len(labelled)), replace=False).tolist():
        block = np.searchsorted(starts, row, side="right") - 1
        low = max(row - config.rows_behind, int(starts[block]))
        high = min(row + config.horizon + 1, int(stops[block]))
        part, at = _rows(table, low, high), row - low
        label = _label(build_targets(part, {name: config})[0], at)
        if not np.array_equal(label, _label(whole, row), equal_nan=True):
            further.append(row)
        for _ in range(0 if follows else _DRAWS):
            other = build_targets(_with_other_future(part, at, generator), {name: config})[0]
            follows = follows or not np.array_equal(_label(other, at), label, equal_nan=True)
    found = []
    if further:
        found.append(
            f"the label of row {further[0]} ({len(further)} of {min(samples, len(labelled))} rows tried) is not made "
            f"from the {config.rows_behind} rows before it, itself and the {config.horizon} after it alone"
        )
    if not follows:
        found.append("the label is known at its own row: no change of later rows changed it")
    return found


def _label(target: Target, row: int) -> NDArray[np.float64]:
    """A row's label, or the score that it will be cut from."""
    if target.score is not None:
        return target.score[row : row + 1]
    return np.asarray(target.at(np.array([row])), dtype=np.float64)


def _rows(table: Table, start: int, stop: int) -> Table:
    """The rows [start, stop), which are one instrument's, as a table of its own."""
    part = table.take(np.arange(start, stop))
    return replace(
        part,
        instrument=np.zeros(stop - start, dtype=np.int64),
        instruments=(table.instruments[table.instrument[start]],),
    )


def _with_other_future(table: Table, row: int, generator: np.random.Generator) -> Table:
    """The same, but prices after `row` are moved, each bar as a whole, and so is every number."""
    later = np.arange(len(table)) > row
    factor = np.where(later, np.exp(generator.normal(0, 0.3, len(table))), 1.0)
    noise = np.where(later, generator.normal(0, 1, len(table)), 0.0)
    return replace(
        table,
        prices={name: values * factor for name, values in table.prices.items()},
        numbers={name: values + noise * (1 + np.abs(values)) for name, values in table.numbers.items()},
    )
