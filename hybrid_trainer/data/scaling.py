"""Feature scaling, fitted on the rows that training windows cover and on no others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import FunctionTransformer, RobustScaler, StandardScaler


@dataclass(frozen=True)
class Scaler:
    """A fitted scikit-learn transformer, then a cut-off.

    Args:
        transformer: maps (n, F) features to scaled ones.
        clip: scaled values are cut off at plus and minus this; None: not at all.
    """

    transformer: Any
    clip: float | None

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale (N, F) features; rows that hold NaN stay NaN there."""
        scaled = self.transformer.transform(features.astype(np.float64))
        if self.clip is not None:
            scaled = np.clip(scaled, -self.clip, self.clip)
        return np.ascontiguousarray(scaled, dtype=np.float32)


def fit_scaler(kind: str, clip: float | None, features: NDArray[np.float32], rows: NDArray[np.int64]) -> Scaler:
    """Fit a scaler of `kind` (standard, robust or none) on `rows` of the (N, F) features alone."""
    makers = {"standard": StandardScaler, "robust": RobustScaler, "none": FunctionTransformer}
    return Scaler(makers[kind]().fit(features[rows].astype(np.float64)), clip)


def covered_rows(decision_rows: NDArray[np.int64], time_window: int, total: int) -> NDArray[np.int64]:
    """The rows that the windows of `decision_rows` read, each once, ascending."""
    edges = np.zeros(total + 1, dtype=np.int64)
    np.add.at(edges, decision_rows - time_window + 1, 1)
    np.add.at(edges, decision_rows + 1, -1)
    return np.flatnonzero(np.cumsum(edges[:-1]) > 0)
