"""Which keys a metric depends on: permutation importance of a random forest (Breiman 2001, Machine Learning 45)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hybrid_trainer.runs.comparison.rows import Row

FEWEST_RUNS = 10
_TREES = 100
_REPEATS = 5
_ROWS = 500  # of them the values are shuffled; with all of 2,000 rows the same bars take ten seconds instead of two
_MISSING = object()


def importance(runs: Sequence[Row], keys: Sequence[str], metric: str) -> dict[str, Any]:
    """How much of a random forest's R² is lost when one key's values are shuffled among the runs.

    Args:
        runs: complete ones. keys: those that differ.

    Returns:
        {"keys": most important first, "mean": of several shuffles, "spread": their standard deviation, "r2": on runs
        that a tree has not seen (out of bag), "runs": how many}; or {"why": ...} where nothing can be said.
    """
    measured = [run for run in runs if math.isfinite(run.metrics.get(metric, math.nan))]
    if len(measured) < FEWEST_RUNS:
        return {"why": f"Too few runs: {len(measured)} complete with {metric}; it takes {FEWEST_RUNS}."}
    y = np.array([run.metrics[metric] for run in measured])
    columns = {key: column([run.config.get(key, _MISSING) for run in measured]) for key in keys}
    varying = {key: values for key, values in columns.items() if np.ptp(values) > 0}
    if not varying:
        return {"why": f"No key differs between the {len(measured)} complete runs."}
    if np.ptp(y) == 0:
        return {"why": f"All {len(measured)} complete runs have the same {metric}."}
    mean, spread, r2 = _forest(np.column_stack(list(varying.values())), y)
    order = np.argsort(-mean, kind="stable")
    return {
        "keys": [list(varying)[index] for index in order],
        "mean": [round(float(mean[index]), 4) for index in order],
        "spread": [round(float(spread[index]), 4) for index in order],
        "r2": round(r2, 4),
        "runs": len(measured),
    }


def column(values: list[object]) -> NDArray[np.float64]:
    """A key's values as numbers a tree can divide: numbers as they are, others by the order of their text.

    What is missing, null or not finite comes before everything else.
    """
    given = [value for value in values if value is not _MISSING and value is not None]
    if all(isinstance(value, int | float) for value in given):  # a bool is an int
        numbers = np.array([_number(value) for value in values])
        lowest = np.nanmin(numbers) if np.isfinite(numbers).any() else 0.0
        return np.where(np.isnan(numbers), lowest - 1.0, numbers)
    places = {text: place for place, text in enumerate(sorted({json.dumps(value) for value in given}))}
    return np.array([float(places.get(json.dumps(value), -1)) if value is not _MISSING else -1.0 for value in values])


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else math.nan


def _forest(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Importances (K,), their spread (K,) and the out-of-bag R² for N runs with K keys: x (N, K), y (N,)."""
    from sklearn.ensemble import RandomForestRegressor  # a second and more of import, for a page alone
    from sklearn.inspection import permutation_importance

    forest = RandomForestRegressor(_TREES, oob_score=True, random_state=0, n_jobs=1).fit(x, y)
    rows = min(_ROWS, len(y))
    found = permutation_importance(forest, x, y, n_repeats=_REPEATS, random_state=0, n_jobs=1, max_samples=rows)
    return found.importances_mean, found.importances_std, float(forest.oob_score_)
