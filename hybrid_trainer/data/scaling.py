"""Feature scaling, fitted on the rows that training windows cover and on no others.

Everything is done piece by piece, so that neither the features nor what is made of them need fit into memory twice.
Shape legend: N rows, F features, R some rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import FunctionTransformer, RobustScaler, StandardScaler

from hybrid_trainer.data.room import IN_MEMORY, PIECE, Room


@dataclass(frozen=True)
class Scaler:
    """A fitted scikit-learn transformer, then a cut-off.

    Args:
        transformer: maps (n, F) features to scaled ones.
        clip: scaled values are cut off at plus and minus this; None: not at all.
    """

    transformer: Any
    clip: float | None

    def __call__(self, features: NDArray[np.float32], room: Room = IN_MEMORY) -> NDArray[np.float32]:
        """Scale (N, F) features; rows that hold NaN stay NaN there. `room` makes the result's array."""
        out = room.empty(features.shape, np.float32)
        for start in range(0, len(features), PIECE):
            scaled = self.transformer.transform(features[start : start + PIECE].astype(np.float64))
            if self.clip is not None:
                scaled = np.clip(scaled, -self.clip, self.clip)
            out[start : start + PIECE] = scaled
        return out


def fit_scaler(kind: str, clip: float | None, features: NDArray[np.float32], rows: NDArray[np.int64]) -> Scaler:
    """Fit a scaler of `kind` (standard, robust or none) on (R,) `rows` of the (N, F) features alone."""
    if kind == "standard":
        standard = StandardScaler()
        for start in range(0, len(rows), PIECE):  # Chan, Golub and LeVeque (1979): pieces give the whole's moments
            standard.partial_fit(features[rows[start : start + PIECE]].astype(np.float64))
        return Scaler(standard, clip)
    if kind == "robust":
        return Scaler(_robust(features, rows), clip)
    return Scaler(FunctionTransformer().fit(features[rows[:1]].astype(np.float64)), clip)


def _robust(features: NDArray[np.float32], rows: NDArray[np.int64]) -> RobustScaler:
    """Column by column: the quartiles of a column need all its values at once."""
    columns = [RobustScaler().fit(_column(features, rows, index)) for index in range(features.shape[1])]
    whole = columns[0]
    whole.center_ = np.concatenate([column.center_ for column in columns])
    whole.scale_ = np.concatenate([column.scale_ for column in columns])
    whole.n_features_in_ = len(columns)
    return whole


def _column(features: NDArray[np.float32], rows: NDArray[np.int64], index: int) -> NDArray[np.float64]:
    out = np.empty((len(rows), 1))
    for start in range(0, len(rows), PIECE):
        out[start : start + PIECE, 0] = features[rows[start : start + PIECE], index]
    return out


def covered_rows(decision_rows: NDArray[np.int64], time_window: int, total: int) -> NDArray[np.int64]:
    """The rows that the windows of `decision_rows`, ascending, read, each once, ascending."""
    open_ = np.zeros(total + 1, dtype=np.int32)  # how many more windows are open from each row on
    for start in range(0, len(decision_rows), PIECE):
        rows = decision_rows[start : start + PIECE]  # each once: no index comes twice
        open_[rows - time_window + 1] += 1
        open_[rows + 1] -= 1
    np.cumsum(open_, out=open_)
    return np.flatnonzero(open_[:-1] > 0)
