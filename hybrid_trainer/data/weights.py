"""How much a row counts in the loss: by how unique its label is, or by how rare its class is. Imports no torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.data.targets import Target


def average_uniqueness(held: NDArray[np.int64], blocks: list[tuple[int, int]]) -> NDArray[np.float32]:
    """Average uniqueness of labels that overlap (Lopez de Prado, 2018, section 4.4).

    Args:
        held: (N,) over how many bars (t, t + held] a row's label really reaches; 0: no label.
        blocks: [start, stop) rows of each instrument; labels of different ones share no bar.

    Returns:
        (N,) the mean over the label's bars of 1 / (labels that are about this bar); 0 without a label.
    """
    weights = np.zeros(len(held), dtype=np.float32)
    for start, stop in blocks:
        bars = held[start:stop]
        begin = np.arange(1, stop - start + 1)
        end = begin + bars  # (t, t + held] is [t + 1, t + held + 1)
        edges = np.bincount(begin, minlength=stop - start + 1) - np.bincount(end, minlength=stop - start + 1)
        concurrent = np.cumsum(edges[: stop - start])
        shares = np.zeros(stop - start + 1)
        np.cumsum(1 / np.maximum(concurrent, 1), out=shares[1:])
        weights[start:stop] = (shares[end] - shares[begin]) / np.maximum(bars, 1)
    return weights


def class_weights(labels: NDArray[np.int64], classes: int, cap: float | None = None) -> NDArray[np.float64]:
    """Weights n / (C n_k) of C classes from the labels of training rows, as scikit-learn's 'balanced'.

    Args:
        labels: (R,) classes, each of which occurs. cap: no weight is more than this times the smallest one.
    """
    balanced: NDArray[np.float64] = len(labels) / (classes * np.bincount(labels, minlength=classes))
    return balanced if cap is None else np.minimum(balanced, cap * balanced.min())


def weights_by_task(
    targets: list[Target], train_rows: NDArray[np.int64], cap: float | None
) -> dict[str, NDArray[np.float64]]:
    """The class weights of every target that tells classes, from its labelled training rows."""
    return {
        target.spec.name: class_weights(target.at(train_rows[target.labelled[train_rows]]), target.spec.dim, cap)
        for target in targets
        if target.spec.kind == "classification"
    }
