"""The rows that a run was tested on: what report/predictions.parquet and the saved model's schema say of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hybrid_trainer.errors import RunDirError
from hybrid_trainer.runs.comparison.run import PREDICTIONS
from hybrid_trainer.runs.comparison.scores import row_sums
from hybrid_trainer.types import TargetSpec

_SCHEMA = Path("model", "schema.json")
_KEYS = ("timestamp", "instrument")


@dataclass(frozen=True, kw_only=True)
class TaskRows:
    """One task's labelled test rows.

    Attributes:
        keys: a frame of R rows: timestamp and instrument. time: (R,) the timestamps as whole numbers.
        label: (R, D), to see whether two runs speak of the same thing. sums: (R, K), see `row_sums`.
        reach: the longer of window and label horizon, in rows.
    """

    spec: TargetSpec
    keys: pl.DataFrame
    time: NDArray[np.int64]
    label: NDArray[np.float64]
    sums: NDArray[np.float64]
    reach: int


def read_test_rows(folder: Path) -> dict[str, TaskRows]:
    """Read a run's test rows, by task.

    Raises:
        RunDirError: a file is missing, damaged, or says something else than this version writes.
    """
    try:
        specs, window = _schema(folder / _SCHEMA)
        frame = pl.read_parquet(folder / PREDICTIONS)
        return {spec.name: _task(frame, spec, window) for spec in specs if f"{spec.name}_label" in frame.columns}
    except OSError as error:
        raise RunDirError(f"{error.filename or folder}: {error.strerror or error}") from error
    except (pl.exceptions.PolarsError, KeyError, TypeError, ValueError, AttributeError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunDirError(f"{folder / PREDICTIONS}: {said}") from error


def _schema(path: Path) -> tuple[list[TargetSpec], int]:
    said = json.loads(path.read_text(encoding="utf-8"))
    return [TargetSpec(**_tuples(spec)) for spec in said["specs"]], int(said["time_window"])


def _tuples(entries: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in entries.items()}


def _task(frame: pl.DataFrame, spec: TargetSpec, window: int) -> TaskRows:
    label_name = f"{spec.name}_label"
    known = frame.select(*_KEYS, spec.output_name, label_name).filter(pl.col(label_name).is_not_null())
    predicted = _numbers(known[spec.output_name])
    if spec.kind == "classification":
        classes = {name: number for number, name in enumerate(spec.labels)}
        label = known[label_name].replace_strict(classes, return_dtype=pl.Float64).to_numpy()[:, None]
    else:
        label = _numbers(known[label_name])
    return TaskRows(
        spec=spec,
        keys=known.select(_KEYS),
        time=known["timestamp"].to_physical().cast(pl.Int64).to_numpy(),
        label=label.mean(axis=1, keepdims=True) if spec.kind == "forecast" else label,  # there are hundreds of numbers
        sums=row_sums(spec, predicted, label),
        reach=max(spec.horizon, window),
    )


def _numbers(lists: pl.Series) -> NDArray[np.float64]:
    """A column of lists as (R, D)."""
    if lists.is_empty():
        return np.zeros((0, 1))
    width = int(lists.list.len().max())  # type: ignore[arg-type]  # of numbers it is one
    return lists.list.to_array(width).to_numpy().astype(np.float64)
