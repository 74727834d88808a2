"""What a target is: a task's description and its label for every row; and where the label intervals end.

Labels are about the bars (t, t + horizon], never about the decision row itself. Each family of builders has a file of
its own, `labelling.py` runs them. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.data.features import Values
from hybrid_trainer.data.table import Table
from hybrid_trainer.registry import Registry
from hybrid_trainer.types import TargetSpec

NO_CLASS = -1


@dataclass(frozen=True, kw_only=True)
class Target:
    """A task's description and its label for every row of the panel.

    Attributes:
        values: (N,) int64 with -1 for 'no label' (classification), or (N, D) float64 with NaN in a row without one.
        weights: (N,) float32, how much a row counts in the loss; None where all count the same.
        score: (N,) float64, NaN for 'no label': what classes are cut from once their borders are fitted. Until then
            `values` is 0 or -1.
        threshold_quantiles: which quantiles of the training rows' scores these borders are.
    """

    spec: TargetSpec
    values: NDArray[Any]
    weights: NDArray[np.float32] | None = None
    score: Values | None = None
    threshold_quantiles: tuple[float, ...] = ()

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """(N,) bool: the rows that have a label."""
        if self.spec.kind == "classification":
            return np.asarray(self.values != NO_CLASS)
        return np.asarray(np.isfinite(self.values).all(axis=1))

    def at(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """The labels of (R,) rows in units: (R,) classes, or (R, D) numbers."""
        labels: NDArray[Any] = self.values[rows]
        return labels

    def shuffled(self, generator: np.random.Generator) -> Self:
        """Give every labelled row the label of another one; rows without a label stay so."""
        rows = np.flatnonzero(self.labelled)
        moved = generator.permutation(rows)
        values = self.values.copy()
        values[rows] = self.values[moved]
        score = None if self.score is None else self.score.copy()
        if score is not None and self.score is not None:
            score[rows] = self.score[moved]
        return replace(self, values=values, score=score)


Builder = Callable[[str, Table, Any], Target]
TARGET_BUILDERS: Registry[Builder] = Registry("target builder")
