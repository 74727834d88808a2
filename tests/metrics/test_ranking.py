"""Ranks, areas and rank correlations against scipy's and scikit-learn's."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk
from torch import Tensor

from hybrid_trainer.metrics.ranking import area_under_curve, mean_rank_correlation, rank_correlation, ranks

MANY_TIES = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=40)


def numbers(seed: int, rows: int, levels: int) -> tuple[Tensor, Tensor]:
    """Two columns that hang together; the fewer levels, the more ties."""
    generator = np.random.default_rng(seed)
    x = generator.integers(0, levels, rows)
    return torch.from_numpy(x * 0.1), torch.from_numpy((x + generator.integers(0, levels, rows)) * 0.3)


@settings(max_examples=60, deadline=None)
@given(MANY_TIES)
def test_ranks_are_scipys(values: list[float]) -> None:
    assert (ranks(torch.tensor(values)) + 1).tolist() == stats.rankdata(values).tolist()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40))
def test_ranks_within_groups_go_on_from_one_group_to_the_next(seed: int, rows: int) -> None:
    generator = np.random.default_rng(seed)
    values, group = generator.integers(0, 4, rows), np.sort(generator.integers(0, 5, rows))
    expected = np.concatenate(
        [stats.rankdata(values[group == one]) - 1 + (group < one).sum() for one in np.unique(group)]
    )
    assert ranks(torch.from_numpy(values), torch.from_numpy(group)).tolist() == expected.tolist()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), st.sampled_from([2, 5, 1000]))
def test_the_area_is_scikit_learns(seed: int, rows: int, levels: int) -> None:
    score, other = numbers(seed, rows, levels)
    positive = other > other.median()
    said = area_under_curve(score, positive)
    if positive.all() or not positive.any():
        assert math.isnan(said)
    else:
        assert said == pytest.approx(sk.roc_auc_score(positive.numpy(), score.numpy()), abs=1e-12)


def test_the_area_by_hand() -> None:
    # three pairs: 0.9 beats both negatives, 0.4 ties with one and loses to none of the rest
    score, positive = torch.tensor([0.9, 0.4, 0.4, 0.1]), torch.tensor([True, True, False, False])
    assert area_under_curve(score, positive) == (1 + 1 + 0.5 + 1) / 4


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), st.sampled_from([1, 2, 5, 1000]))
def test_the_rank_correlation_is_scipys(seed: int, rows: int, levels: int) -> None:
    x, y = numbers(seed, rows, levels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        expected = stats.spearmanr(x.numpy(), y.numpy()).statistic
    if len(y.unique()) == 1:
        assert math.isnan(rank_correlation(x, y))
    elif len(x.unique()) == 1:
        assert rank_correlation(x, y) == 0 and math.isnan(expected)  # predictions that tell nothing
    else:
        assert rank_correlation(x, y) == pytest.approx(expected, abs=1e-9)


def by_hand(x: Tensor, y: Tensor, group: Tensor, at_least: int) -> float:
    found = []
    for one in group.unique():
        some = group == one
        if some.sum() >= at_least and not math.isnan(value := rank_correlation(x[some], y[some])):
            found.append(value)
    return float(np.mean(found)) if found else math.nan


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 9), st.sampled_from([2, 5, 1000]))
def test_the_mean_rank_correlation_is_that_of_the_groups_that_are_large_enough(
    seed: int, rows: int, groups: int, levels: int
) -> None:
    x, y = numbers(seed, rows, levels)
    group = torch.from_numpy(np.random.default_rng(seed + 1).integers(0, groups, rows)) * 86_400_000_000_000
    said, expected = mean_rank_correlation(x, y, group, 3), by_hand(x, y, group, 3)
    assert said == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_a_group_too_small_or_whose_labels_never_change_does_not_count() -> None:
    group = torch.tensor([1, 1, 1, 2, 2, 3, 3, 3])
    x = torch.tensor([1.0, 2.0, 3.0, 9.0, 8.0, 1.0, 2.0, 3.0])
    y = torch.tensor([1.0, 3.0, 2.0, 1.0, 2.0, 5.0, 5.0, 5.0])
    assert mean_rank_correlation(x, y, group, 3) == pytest.approx(0.5)
    assert math.isnan(mean_rank_correlation(x[3:], y[3:], group[3:], 3))
    x[:3] = 7.0  # the same prediction for all tells nothing, but its date counts
    assert mean_rank_correlation(x, y, group, 3) == 0.0


def test_the_order_of_the_rows_changes_no_bit() -> None:
    x, y = numbers(3, 300, 50)
    group = torch.arange(300) % 23
    order = torch.from_numpy(np.random.default_rng(0).permutation(300))
    assert mean_rank_correlation(x, y, group, 3) == mean_rank_correlation(x[order], y[order], group[order], 3)
    assert rank_correlation(x, y) == pytest.approx(rank_correlation(x[order], y[order]), abs=1e-15)
