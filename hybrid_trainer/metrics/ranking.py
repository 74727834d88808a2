"""What depends on the order of numbers alone: ranks, areas under curves, rank correlations. Exact, ties included.

Shape legend: n rows, G groups.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def ranks(values: Tensor, group: Tensor | None = None) -> Tensor:
    """(n,) numbers -> (n,) float64 ranks from 0; equal numbers share the mean of theirs.

    Args:
        group: (n,) integers that never fall: ranks are given within each group, and go on from one to the next.
    """
    order = values.argsort(stable=True)
    starts = torch.ones(len(values), dtype=torch.bool, device=values.device)  # where another number begins
    if group is None:
        ordered = values[order]
        starts[1:] = ordered[1:] != ordered[:-1]
    else:
        order = order[group[order].argsort(stable=True)]
        ordered, among = values[order], group[order]
        starts[1:] = (ordered[1:] != ordered[:-1]) | (among[1:] != among[:-1])
    first = starts.nonzero().squeeze(1)  # (runs of equal numbers,)
    last = torch.cat([first[1:], first.new_tensor([len(values)])]) - 1
    found = torch.empty(len(values), dtype=torch.float64, device=values.device)
    found[order] = (0.5 * (first + last).double()).repeat_interleave(last - first + 1)
    return found


def area_under_curve(score: Tensor, positive: Tensor) -> float:
    """Area under the ROC curve of (n,) scores: how often a positive has the larger one than a negative, ties half.

    By the sum of ranks (Mann and Whitney, 1947). NaN where one of the two does not occur.

    Args:
        positive: (n,) bool.
    """
    count = int(positive.sum())
    others = len(score) - count
    if not count or not others:
        return math.nan
    above = float(ranks(score)[positive].sum()) - count * (count - 1) / 2
    return above / (count * others)


def rank_correlation(predicted: Tensor, label: Tensor) -> float:
    """Spearman's (1904) correlation of (n,) and (n,) numbers.

    Predictions that are all the same tell nothing: 0. Of labels that are all the same nothing could be told: NaN.
    """
    middle = (len(label) - 1) / 2
    a, b = ranks(predicted) - middle, ranks(label) - middle
    spread = float((b * b).sum()), float((a * a).sum())
    if not spread[0]:
        return math.nan
    return float((a * b).sum()) / math.sqrt(spread[0] * spread[1]) if spread[1] else 0.0


def mean_rank_correlation(predicted: Tensor, label: Tensor, group: Tensor, at_least: int) -> float:
    """The mean over the groups of the rank correlation within each; NaN where no group counts.

    Args:
        group: (n,) integers, in any order. at_least: a group of fewer rows does not count, nor does one whose labels
            are all the same.
    """
    order = group.argsort(stable=True)
    _, number, size = torch.unique_consecutive(group[order], return_inverse=True, return_counts=True)
    middle = size.cumsum(0) - size + 0.5 * (size - 1).double()  # (G,)
    a = ranks(predicted[order], number) - middle[number]
    b = ranks(label[order], number) - middle[number]

    def total(values: Tensor) -> Tensor:  # multiples of 1/4: exact, in whatever order they are added
        return torch.zeros(len(size), dtype=torch.float64, device=values.device).index_add_(0, number, values)

    spread, product = total(b * b), total(a * b)
    scale = (spread * total(a * a)).sqrt()
    counts = (size >= at_least) & (spread > 0)
    each = product / torch.where(scale > 0, scale, 1.0)
    return float(each[counts].mean()) if bool(counts.any()) else math.nan
