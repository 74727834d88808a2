"""Metrics that need all rows, against scikit-learn, scipy and formulas written down once more."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from hybrid_trainer.links import to_units
from hybrid_trainer.metrics import needs_all_rows, whole_metrics
from hybrid_trainer.types import TargetSpec, recall_names
from tests.metrics.test_streaming import QUANTILES, classes, forecast_of, numbers, random_classes, random_numbers

VOLATILITY = replace(numbers(1), log_volatility=True)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(2, 6), st.sampled_from([0.0, 0.4]))
def test_the_area_under_the_curve_is_scikit_learns(seed: int, rows: int, count: int, masked: float) -> None:
    raw, target, mask = random_classes(seed, rows, count, count, masked)
    kept = mask > 0
    true, scores = target[kept].numpy(), raw[kept].double().softmax(dim=1).numpy()
    said = whole_metrics(classes(count), raw, target, mask)["auroc"]
    present = np.unique(true)
    if len(present) == 1:
        assert math.isnan(said)
    elif count == 2:
        assert said == pytest.approx(sk.roc_auc_score(true, scores[:, 1]), abs=1e-6)
    elif len(present) == count:
        assert said == pytest.approx(sk.roc_auc_score(true, scores, multi_class="ovr"), abs=1e-6)
    else:
        each = [sk.roc_auc_score(true == one, scores[:, one]) for one in present]
        assert said == pytest.approx(np.mean(each), abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(2, 6), st.sampled_from([0.0, 0.4]))
def test_recall_and_calibration(seed: int, rows: int, count: int, masked: float) -> None:
    raw, target, mask = random_classes(seed, rows, count, count, masked)
    kept = mask > 0
    true, scores = target[kept].numpy(), raw[kept].double().softmax(dim=1).numpy()
    said = whole_metrics(classes(count), raw, target, mask)
    recall = sk.recall_score(true, scores.argmax(1), labels=range(count), average=None, zero_division=np.nan)
    assert [said[f"recall_c{one}"] for one in range(count)] == pytest.approx(recall, abs=1e-12, nan_ok=True)
    surest, right = scores.max(axis=1), scores.argmax(axis=1) == true
    expected = 0.0
    for low, high in zip(np.arange(15) / 15, np.arange(1, 16) / 15, strict=True):
        inside = (low < surest) & (surest <= high)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - surest[inside].mean())
    assert said["ece"] == pytest.approx(expected, abs=1e-9)


def test_calibration_by_hand() -> None:
    """Four rows said 0.9 of which three are right, one said 0.5 and is wrong."""
    sure = [math.log(0.9), math.log(0.1)]
    raw = torch.tensor([sure, sure, sure, sure, [0.5, 0.5]])
    target = torch.tensor([0, 0, 0, 1, 1])
    said = whole_metrics(classes(2), raw, target, torch.ones(5))["ece"]
    assert said == pytest.approx(4 / 5 * abs(0.75 - 0.9) + 1 / 5 * 0.5, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(1, 3), st.sampled_from([0.0, 0.4]))
def test_rank_correlations_are_the_mean_over_the_numbers(seed: int, rows: int, dim: int, masked: float) -> None:
    raw, target, mask = random_numbers(seed, rows, dim, masked)
    moment = torch.arange(rows) % 5 * 1_000_000_007
    kept = mask > 0
    x, y, day = raw[kept].numpy(), target[kept].numpy(), moment[kept].numpy()
    said = whole_metrics(numbers(dim, "softplus"), raw, target, mask, moment)
    each = [stats.spearmanr(x[:, d], y[:, d]).statistic for d in range(dim)]
    assert said["spearman"] == pytest.approx(np.mean(each), abs=1e-6)
    days = [one for one in np.unique(day) if (day == one).sum() >= 3]
    ic = [stats.spearmanr(x[day == one, d], y[day == one, d]).statistic for one in days for d in range(dim)]
    assert said["ic"] == pytest.approx(np.mean(ic) if ic else math.nan, abs=1e-6, nan_ok=True)


def test_without_dates_and_with_one_instrument_there_is_no_information_coefficient() -> None:
    raw, target, mask = random_numbers(0, 20, 1, 0.0)
    assert "ic" not in whole_metrics(numbers(1), raw, target, mask)
    said = whole_metrics(numbers(1), raw, target, mask, torch.arange(20))
    assert math.isnan(said["ic"]) and not math.isnan(said["spearman"])


def test_qlike_is_pattons_of_the_variances() -> None:
    raw, target, mask = random_numbers(1, 30, 1, 0.3)
    kept = mask > 0
    realised, forecast = (torch.exp(to_units(value[kept].double(), VOLATILITY)) ** 2 for value in (target, raw))
    ratio = realised / forecast
    said = whole_metrics(VOLATILITY, raw, target, mask, torch.arange(30))
    assert list(said) == ["spearman", "ic", "qlike"]
    assert said["qlike"] == pytest.approx((ratio - ratio.log() - 1).mean().item(), rel=1e-6)
    assert whole_metrics(VOLATILITY, target, target, mask)["qlike"] == 0.0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["classes", "numbers", "volatility"]))
def test_masked_rows_change_nothing(seed: int, which: str) -> None:
    spec = {"classes": classes(3), "numbers": numbers(2), "volatility": VOLATILITY}[which]
    raw, target, mask = random_numbers(seed, 30, spec.dim, 0.5)
    if which == "classes":
        target = random_classes(seed, 30, 3, 3, 0.5)[1]
    moment = torch.arange(30) % 7
    said = whole_metrics(spec, raw, target, mask, moment)
    kept = mask > 0
    alone = whole_metrics(spec, raw[kept], target[kept], mask[kept], moment[kept])
    assert said == pytest.approx(alone, nan_ok=True, abs=0)
    raw[~kept] = math.nan
    target[~kept] = 0 if which == "classes" else math.inf
    assert whole_metrics(spec, raw, target, mask, moment) == pytest.approx(said, nan_ok=True, abs=0)


@pytest.mark.parametrize("spec", [classes(3), numbers(2), VOLATILITY], ids=["classes", "numbers", "volatility"])
def test_without_a_label_or_with_an_output_that_is_no_number_all_are_nan(spec: TargetSpec) -> None:
    raw, target, _ = random_numbers(0, 9, spec.dim, 0.0)
    target = torch.zeros(9, dtype=torch.int64) if spec.kind == "classification" else target
    none = whole_metrics(spec, raw, target, torch.zeros(9), torch.arange(9))
    raw[4, 0] = math.nan
    bad = whole_metrics(spec, raw, target, torch.ones(9), torch.arange(9))
    assert list(none) == list(bad) and all(map(math.isnan, [*none.values(), *bad.values()]))


def test_only_classes_and_numbers_need_all_rows() -> None:
    assert needs_all_rows(classes(3)) and needs_all_rows(numbers(1))
    assert not needs_all_rows(QUANTILES) and not needs_all_rows(forecast_of(4))
    assert whole_metrics(QUANTILES, torch.zeros(3, 3), torch.zeros(3, 1), torch.ones(3)) == {}


def test_very_many_classes_have_no_recalls_and_no_area() -> None:
    raw = torch.zeros(60, 60)
    said = whole_metrics(classes(60), raw, torch.arange(60), torch.ones(60))
    assert list(said) == ["auroc", "ece"] and math.isnan(said["auroc"]) and not math.isnan(said["ece"])


def test_a_class_name_of_any_letters_makes_a_name_that_a_command_line_can_hold() -> None:
    assert recall_names(("up", "-1", "a b/loss")) == ("recall_up", "recall__1", "recall_a_b_loss")
    assert recall_names(("a b", "a/b")) == ("recall_0", "recall_1")


def test_the_order_of_the_rows_does_not_matter() -> None:
    raw, target, mask = random_numbers(4, 50, 2, 0.2)
    order = torch.from_numpy(np.random.default_rng(0).permutation(50))
    moment = torch.arange(50) % 9
    straight = whole_metrics(numbers(2), raw, target, mask, moment)
    other = whole_metrics(numbers(2), *(value[order] for value in (raw, target, mask, moment)))
    assert other == pytest.approx(straight, abs=1e-12)
