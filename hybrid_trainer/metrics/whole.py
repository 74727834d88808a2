"""Metrics that need all rows of a part at once: by their ranks, their probabilities, their dates.

They are computed for valid and test alone; a training step pays nothing for them. Shape legend: R rows, n of them with
a label, D output of a head, C classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hybrid_trainer.links import to_scaled
from hybrid_trainer.metrics.ranking import area_under_curve, mean_rank_correlation, rank_correlation
from hybrid_trainer.types import MOST_CLASSES, TargetSpec, recall_names, whole_metric_names

_BINS = 15
_INSTRUMENTS = 3  # of two, a rank correlation is 1 or -1


def needs_all_rows(spec: TargetSpec) -> bool:
    """Whether a task has metrics of this sort at all."""
    return bool(whole_metric_names(spec.kind, spec.labels, log_volatility=spec.log_volatility))


def whole_metrics(
    spec: TargetSpec, raw: Tensor, target: Tensor, mask: Tensor, moment: Tensor | None = None
) -> dict[str, float]:
    """The metrics of a part's rows; rows without a label change nothing, and without any label all are NaN.

    Args:
        raw: (R, D) raw outputs. target: (R,) classes or (R, D) scaled labels. mask: (R,), 1 where there is a label.
        moment: (R,) int64, the time of each row; None: not known, and `ic` is not there.
    """
    names = whole_metric_names(spec.kind, spec.labels, log_volatility=spec.log_volatility)
    names = tuple(name for name in names if name != "ic" or moment is not None)
    known = (mask > 0).nonzero().squeeze(1)
    raw, target = raw[known], target[known]
    if not names or not len(known) or not bool(raw.isfinite().all()):
        return dict.fromkeys(names, math.nan)
    if spec.kind == "classification":
        found = _of_classes(spec, raw, target)
    else:
        found = _of_numbers(spec, raw, target, None if moment is None else moment[known])
    return {name: found[name] for name in names}


def _of_classes(spec: TargetSpec, raw: Tensor, target: Tensor) -> dict[str, float]:
    probabilities = raw.double().softmax(dim=1)  # (n, C)
    found = {"auroc": auroc(probabilities, target), "ece": calibration_error(probabilities, target)}
    return found | dict(zip(recall_names(spec.labels), recalls(raw, target), strict=False))


def auroc(probabilities: Tensor, target: Tensor) -> float:
    """Area under the ROC curve of (n, C) probabilities and (n,) classes: of class 1 where there are two.

    Of more, the mean of each class that occurs against the rest; of more than `MOST_CLASSES` NaN.
    """
    classes = probabilities.shape[1]
    if classes > MOST_CLASSES:
        return math.nan
    if classes == 2:
        return area_under_curve(probabilities[:, 1], target == 1)
    own = [(probabilities[:, one], target == one) for one in range(classes)]
    areas = [area_under_curve(*each) for each in own if bool(each[1].any())]
    return sum(areas) / len(areas)


def calibration_error(probabilities: Tensor, target: Tensor) -> float:
    """Expected calibration error (Guo et al., 2017) of (n, C) probabilities and (n,) classes.

    Rows are sorted by the largest probability into 15 bins of the same width, ((b - 1) / 15, b / 15]: the sum of
    |share that was right - mean probability| times the bin's share of the rows.
    """
    surest, said = probabilities.max(dim=1)  # (n,)
    surplus = (said == target).double() - surest
    place = (surest * _BINS).ceil()
    gaps = [torch.where(place == one, surplus, 0.0).sum().abs() for one in range(1, _BINS + 1)]
    return float(torch.stack(gaps).sum()) / len(target)


def recalls(raw: Tensor, target: Tensor) -> list[float]:
    """Of each of the C classes, the share of its rows that (n, C) outputs call so; NaN where it has no row."""
    own = target[:, None] == torch.arange(raw.shape[1], device=raw.device)  # (n, C)
    right = own & (raw.argmax(dim=1) == target)[:, None]
    shares: list[float] = (right.sum(dim=0).double() / own.sum(dim=0).double()).tolist()
    return shares


def _of_numbers(spec: TargetSpec, raw: Tensor, target: Tensor, moment: Tensor | None) -> dict[str, float]:
    """Each is the mean over the D numbers."""
    predicted, label = to_scaled(raw.double(), spec), target.double()  # (n, D)
    pairs = list(zip(predicted.unbind(dim=1), label.unbind(dim=1), strict=True))
    found = {"spearman": sum(rank_correlation(*pair) for pair in pairs) / len(pairs)}
    if moment is not None:
        found["ic"] = sum(mean_rank_correlation(*pair, moment, _INSTRUMENTS) for pair in pairs) / len(pairs)
    if spec.log_volatility:
        scale = torch.tensor(spec.scale, dtype=torch.float64, device=raw.device)
        found["qlike"] = qlike((label - predicted) * scale)
    return found


def qlike(error: Tensor) -> float:
    """QLIKE (Patton, 2011) of errors in log volatility, label minus prediction: the mean of x - log x - 1.

    x = realised variance / predicted variance = exp(2 error); 0 where they are the same, and dear where the
    prediction is too low.
    """
    return float(((2 * error).exp() - 2 * error - 1).mean())
