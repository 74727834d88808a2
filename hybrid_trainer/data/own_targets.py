"""What a plug-in's builder of labels must have made. Imports no torch."""

from __future__ import annotations

import numpy as np

from hybrid_trainer.config.targets import TargetConfig
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.targets import NO_CLASS, Target


def own_target_fault(target: object, name: str, table: Table, config: TargetConfig) -> str | None:
    """What is wrong with the labels of a user's own builder, in words; None where nothing is."""
    if not isinstance(target, Target):
        return f"it made a {type(target).__name__}, not a Target"
    spec = target.spec
    said = {"name": (spec.name, name), "kind": (spec.kind, config.head_kind), "horizon": (spec.horizon, config.horizon)}
    for what, (made, told) in said.items():
        if made != told:
            return f"its spec says {what} {made!r}, its config {told!r}; they must be the same"
    if len(spec.labels) != spec.dim:
        return f"its spec has {len(spec.labels)} labels for dim={spec.dim}"
    if spec.kind == "classification":
        return _classes_fault(target, len(table))
    width = 1 if spec.kind == "quantile" else spec.dim
    if target.values.shape != (len(table), width) or target.values.dtype != np.float64:
        return f"its values are {_shown(target)}, not {len(table)} x {width} of float64, NaN where there is no label"
    if np.isinf(target.values).any():
        return "some of its values are infinite; write NaN where there is no label"
    return None


def _classes_fault(target: Target, rows: int) -> str | None:
    values = target.values
    if values.shape != (rows,) or values.dtype.kind != "i":
        return f"its values are {_shown(target)}, not {rows} integers, -1 where there is no label"
    if rows and not NO_CLASS <= int(values.min()) <= int(values.max()) < target.spec.dim:
        return f"its classes reach from {values.min()} to {values.max()}; they must be -1 to {target.spec.dim - 1}"
    return None


def _shown(target: Target) -> str:
    return f"{' x '.join(map(str, target.values.shape)) or 'one'} of {target.values.dtype}"
