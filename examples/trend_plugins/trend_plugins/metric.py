"""A metric: one number of all rows of a part that have a label."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.extend import MetricConfig, TargetSpec, check_range, key, metric


@dataclass(kw_only=True)
class SureAccuracyConfig(MetricConfig):
    """How often the model is right where it is surest."""

    share: float = key(0.1, "of the rows: those with the largest probability")

    def __post_init__(self) -> None:
        check_range("share", self.share, above=0, high=1)


@metric("sure_accuracy", SureAccuracyConfig, kinds=("classification",), better="larger")
def sure_accuracy(predicted: NDArray[Any], label: NDArray[Any], spec: TargetSpec, *, share: float) -> float:
    """(n, C) probabilities and (n,) class numbers -> one number; at least one row is looked at."""
    count = max(round(share * len(label)), 1)
    surest = np.argsort(-predicted.max(axis=1), kind="stable")[:count]
    return float(np.mean(predicted[surest].argmax(axis=1) == label[surest]))
