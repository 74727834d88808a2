"""Labels that the user's table brings along, in a column. Imports no torch."""

from __future__ import annotations

import numpy as np

from hybrid_trainer.config.targets import ColumnTarget
from hybrid_trainer.data.price_targets import number_spec
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.targets import NO_CLASS, TARGET_BUILDERS, Target
from hybrid_trainer.errors import ConfigError, TableError
from hybrid_trainer.types import TargetSpec


@TARGET_BUILDERS.register("column")
def build_column(name: str, table: Table, config: ColumnTarget) -> Target:
    """The label that stands in the row itself; an empty cell is 'no label'."""
    if config.kind == "regression":
        spec = number_spec(name, config.horizon, config.column, config.quantiles)
        numbers = table.numbers[config.column][:, None].view()
        numbers.flags.writeable = False
        return Target(spec=spec, values=numbers)
    column = table.labels[config.column]
    order = sorted(range(len(column.names)), key=lambda code: _natural(column.names[code]))
    classes = [column.names[code] for code in order]
    if len(classes) < 2:
        raise TableError(
            f"{table.file}: column '{config.column}' (data.targets.{name}) holds "
            f"{len(classes)} class; a classification needs two or more"
        )
    if len(classes) > 1000:
        raise ConfigError(
            f"data.targets.{name}.kind: column '{config.column}' holds {len(classes)} different values; "
            "use kind=regression for numbers"
        )
    spec = TargetSpec(name=name, kind="classification", dim=len(classes), horizon=config.horizon, labels=tuple(classes))
    values = np.append(np.argsort(order), NO_CLASS).astype(np.int32)[column.codes]  # code -1 takes the last entry
    return Target(spec=spec, values=values)


def _natural(text: str) -> tuple[int, float, str]:
    """Sort numbers by value, before other texts."""
    try:
        return 0, float(text), text
    except ValueError:
        return 1, 0.0, text
