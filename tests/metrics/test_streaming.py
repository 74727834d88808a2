"""Streaming metrics against scikit-learn's."""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from torch import Tensor

from hybrid_trainer.links import to_scaled, to_units
from hybrid_trainer.metrics import streaming
from hybrid_trainer.metrics.streaming import ClassificationMetric, RegressionMetric, metric_for
from hybrid_trainer.types import METRICS, Link, TargetSpec
from tests.specs import classes, numbers, quantiles_of

CPU = torch.device("cpu")


def measure(spec: TargetSpec, raw: Tensor, target: Tensor, mask: Tensor, batch_size: int = 1000) -> dict[str, float]:
    """What our metric says after batches of `batch_size` rows."""
    metric = metric_for(spec, CPU)
    for rows in torch.arange(len(raw)).split(batch_size):
        metric.update(raw[rows], target[rows], mask[rows])
    return metric.compute()


def oracle_classes(spec: TargetSpec, raw: Tensor, target: Tensor, mask: Tensor) -> dict[str, float]:
    """scikit-learn on the labelled rows."""
    kept = mask > 0
    true = target[kept].numpy()
    predicted = raw[kept].argmax(dim=1).numpy()
    probabilities = raw[kept].double().softmax(dim=1).numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of classes that are predicted but absent, and of a single one
        return {
            "accuracy": sk.accuracy_score(true, predicted),
            "balanced_accuracy": sk.balanced_accuracy_score(true, predicted),
            "macro_f1": sk.f1_score(true, predicted, average="macro"),
            "mcc": sk.matthews_corrcoef(true, predicted),
            "log_loss": sk.log_loss(true, probabilities, labels=list(range(spec.dim))),
        }


def oracle_numbers(spec: TargetSpec, raw: Tensor, target: Tensor, mask: Tensor) -> dict[str, float]:
    """scikit-learn on the labelled rows, in units."""
    kept = mask > 0
    scaled = torch.nn.functional.softplus(raw.double()) if spec.link == "softplus" else raw.double()
    true, predicted = to_units(target[kept].double(), spec).numpy(), to_units(scaled[kept], spec).numpy()
    return {
        "mae": sk.mean_absolute_error(true, predicted),
        "rmse": sk.root_mean_squared_error(true, predicted),
        "r2": sk.r2_score(true, predicted),
    }


def random_classes(seed: int, rows: int, count: int, present: int, masked: float) -> tuple[Tensor, Tensor, Tensor]:
    """Logits for all classes, labels of only the first `present` ones, and a mask with at least one label."""
    generator = torch.Generator().manual_seed(seed)
    mask = (torch.rand(rows, generator=generator) >= masked).float()
    mask[0] = 1
    target = torch.randint(0, present, (rows,), generator=generator)
    return 2 * torch.randn(rows, count, generator=generator), target, mask


def random_numbers(seed: int, rows: int, dim: int, masked: float) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mask = (torch.rand(rows, generator=generator) >= masked).float()
    mask[:2] = 1  # scikit-learn has no R2 of a single row
    return torch.randn(rows, dim, generator=generator), torch.randn(rows, dim, generator=generator), mask


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 40),
    shape=st.integers(2, 6).flatmap(lambda count: st.tuples(st.just(count), st.integers(1, count))),
    masked=st.sampled_from([0.0, 0.3, 0.9]),
)
def test_classification_equals_scikit_learn_with_masks_and_absent_classes(
    seed: int, rows: int, shape: tuple[int, int], masked: float
) -> None:
    spec = classes(shape[0])
    given = random_classes(seed, rows, *shape, masked)
    assert measure(spec, *given) == pytest.approx(oracle_classes(spec, *given), rel=1e-6, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(2, 40),
    dim=st.integers(1, 3),
    link=st.sampled_from(["identity", "softplus"]),
    masked=st.sampled_from([0.0, 0.3, 0.9]),
)
def test_regression_equals_scikit_learn_in_units_with_masks_and_several_numbers(
    seed: int, rows: int, dim: int, link: Link, masked: float
) -> None:
    spec = numbers(dim, link)
    given = random_numbers(seed, rows, dim, masked)
    assert measure(spec, *given) == pytest.approx(oracle_numbers(spec, *given), rel=1e-6, abs=1e-6)


def test_classification_by_hand() -> None:
    # true 0 0 1 1, predicted 0 1 1 1; class 2 occurs nowhere
    raw = torch.eye(3)[[0, 1, 1, 1]] * math.log(2)  # probabilities 1/2 for the predicted class, 1/4 for the others
    said = measure(classes(3), raw, torch.tensor([0, 0, 1, 1]), torch.ones(4))
    assert said == pytest.approx(
        {
            "accuracy": 3 / 4,
            "balanced_accuracy": (1 / 2 + 1) / 2,
            "macro_f1": (2 / 3 + 4 / 5) / 2,
            "mcc": 1 / math.sqrt(3),
            "log_loss": (3 * math.log(2) + math.log(4)) / 4,
        },
        rel=1e-6,
    )


def test_regression_by_hand() -> None:
    spec = replace(numbers(1), shift=(100.0,), scale=(10.0,))
    raw, target = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[0.0], [2.0], [4.0]])
    said = measure(spec, raw, target, torch.ones(3))
    assert said == pytest.approx({"mae": 10.0, "rmse": 10 * math.sqrt(5 / 3), "r2": 1 - 5 / 8}, rel=1e-12)


def test_one_class_alone_has_a_correlation_of_zero() -> None:
    raw = torch.tensor([[2.0, 0.0], [2.0, 0.0]])
    said = measure(classes(2), raw, torch.tensor([0, 0]), torch.ones(2))
    assert (said["mcc"], said["accuracy"], said["macro_f1"]) == (0.0, 1.0, 1.0)


def test_mcc_of_a_perfect_and_of_an_inverted_prediction() -> None:
    target = torch.tensor([0, 1, 0, 1, 1])
    raw = torch.eye(2)[target]
    assert measure(classes(2), raw, target, torch.ones(5))["mcc"] == pytest.approx(1, abs=1e-12)
    assert measure(classes(2), raw, 1 - target, torch.ones(5))["mcc"] == pytest.approx(-1, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 31))
def test_classes_streamed_in_batches_equal_one_batch(seed: int, rows: int, batch_size: int) -> None:
    given = random_classes(seed, rows, 4, 3, masked=0.3)
    streamed = measure(classes(4), *given, batch_size=batch_size)
    assert streamed == pytest.approx(measure(classes(4), *given), rel=1e-6, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(1, 31))
def test_numbers_streamed_in_batches_equal_one_batch(seed: int, rows: int, batch_size: int) -> None:
    given = random_numbers(seed, rows, 2, masked=0.3)
    streamed = measure(numbers(2), *given, batch_size=batch_size)
    assert streamed == pytest.approx(measure(numbers(2), *given), rel=1e-9, abs=1e-9)


def test_what_stands_under_the_mask_does_not_matter() -> None:
    raw, target, mask = random_classes(1, 30, 3, 3, masked=0.5)
    other_raw, other = raw.clone(), target.clone()
    other_raw[mask == 0] = torch.tensor([math.inf, 0.0, -math.inf])
    other[mask == 0] = (target[mask == 0] + 1) % 3
    assert measure(classes(3), other_raw, other, mask) == measure(classes(3), raw, target, mask)

    raw, target, mask = random_numbers(1, 30, 2, masked=0.5)
    other_raw, other = raw.clone(), target.clone()
    other_raw[mask == 0], other[mask == 0] = math.inf, math.nan
    assert measure(numbers(2), other_raw, other, mask) == measure(numbers(2), raw, target, mask)


@pytest.mark.parametrize("spec", [classes(3), numbers(2)], ids=["classes", "numbers"])
def test_without_any_label_every_metric_is_nan(spec: TargetSpec) -> None:
    target = torch.zeros(4, dtype=torch.int64) if spec.kind == "classification" else torch.zeros(4, 2)
    said = measure(spec, torch.zeros(4, spec.dim), target, torch.zeros(4))
    assert all(math.isnan(value) for value in said.values())
    assert tuple(said) == METRICS[spec.kind]
    assert all(math.isnan(value) for value in metric_for(spec, CPU).compute().values())


def test_a_batch_without_labels_between_others_changes_nothing() -> None:
    raw, target, mask = random_numbers(2, 8, 2, masked=0.0)
    metric = metric_for(numbers(2), CPU)
    metric.update(raw[:4], target[:4], mask[:4])
    metric.update(raw[:4] * 100, target[:4], torch.zeros(4))
    metric.update(raw[4:], target[4:], mask[4:])
    assert metric.compute() == pytest.approx(measure(numbers(2), raw, target, mask), rel=1e-12)


def test_r2_keeps_its_digits_over_many_rows() -> None:
    generator = np.random.default_rng(0)
    target = torch.from_numpy(generator.normal(0, 1, (200_000, 1)).astype(np.float32))
    raw = target + torch.from_numpy(generator.normal(0, 0.1, (200_000, 1)).astype(np.float32))
    given = raw, target, torch.ones(200_000)
    assert measure(numbers(1), *given, batch_size=50_000) == pytest.approx(oracle_numbers(numbers(1), *given), rel=1e-9)


@pytest.mark.parametrize("raw", [[[0.5], [0.25], [1.0]], [[0.5], [0.5], [0.5]]], ids=["wrong", "perfect"])
def test_r2_of_labels_that_never_change_is_scikit_learns(raw: list[list[float]]) -> None:
    target = torch.full((3, 1), 0.5)
    spec = numbers(1)
    said = measure(spec, torch.tensor(raw), target, torch.ones(3))
    assert said == pytest.approx(oracle_numbers(spec, torch.tensor(raw), target, torch.ones(3)))


def test_r2_of_labels_that_never_change_is_zero_whatever_their_value_and_number() -> None:
    wrong = {}
    for rows in (1, 2, 7, 50, 59):
        for value in torch.linspace(-3, 3, 40).tolist():
            target = torch.full((rows, 1), value)
            r2 = measure(numbers(1), target + 0.5, target, torch.ones(rows))["r2"]
            if r2 != 0:
                wrong[rows, value] = r2
    assert wrong == {}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_outputs_are_measured_as_they_are(dtype: torch.dtype) -> None:
    raw, target, mask = random_classes(4, 20, 3, 3, masked=0.2)
    raw = raw.to(dtype)
    assert measure(classes(3), raw, target, mask) == measure(classes(3), raw.float(), target, mask)
    raw, target, mask = random_numbers(4, 20, 2, masked=0.2)
    raw = raw.to(dtype)
    assert measure(numbers(2), raw, target, mask) == measure(numbers(2), raw.float(), target, mask)


def test_the_kind_of_a_task_picks_its_metric() -> None:
    assert isinstance(metric_for(classes(2), CPU), ClassificationMetric)
    assert isinstance(metric_for(numbers(2), CPU), RegressionMetric)


def forecast_of(dim: int) -> TargetSpec:
    return replace(numbers(dim), kind="forecast")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 41))
def test_quantile_metrics_equal_scikit_learns_in_units(seed: int, rows: int, batch_size: int) -> None:
    spec = quantiles_of(0.1, 0.5, 0.6, 0.95)
    generator = torch.Generator().manual_seed(seed)
    raw, target = torch.randn(rows, 4, generator=generator), 2 * torch.randn(rows, 1, generator=generator)
    mask = (torch.rand(rows, generator=generator) < 0.7).float()
    mask[0] = 1
    kept = mask > 0
    label = to_units(target[kept].double(), spec)[:, 0].numpy()
    predicted = to_units(to_scaled(raw[kept].double(), spec), spec).numpy()
    said = measure(spec, raw, target, mask, batch_size)
    losses = [sk.mean_pinball_loss(label, predicted[:, i], alpha=q) for i, q in enumerate(spec.quantiles)]
    inside = ((predicted[:, 0] <= label) & (label <= predicted[:, 3])).mean()
    assert said == pytest.approx(
        {
            "pinball": np.mean(losses),
            "mae": sk.mean_absolute_error(label, predicted[:, 1]),
            "rmse": sk.root_mean_squared_error(label, predicted[:, 1]),
            "coverage": inside,
            "coverage_error": abs(inside - 0.85),
        },
        rel=1e-6,
        abs=1e-12,
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 31))
def test_forecast_metrics_are_means_over_rows_steps_and_columns_in_scaled_units(
    seed: int, rows: int, batch_size: int
) -> None:
    raw, target, mask = random_numbers(seed, rows, 6, masked=0.3)
    mask[0] = 1
    kept = mask > 0
    said = measure(forecast_of(6), raw, target, mask, batch_size)
    expected = {
        "mse": sk.mean_squared_error(target[kept].numpy(), raw[kept].numpy()),
        "mae": sk.mean_absolute_error(target[kept].numpy(), raw[kept].numpy()),
    }
    assert said == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("spec", [quantiles_of(0.1, 0.5), forecast_of(2)], ids=["quantile", "forecast"])
def test_the_newer_metrics_are_nan_without_labels_and_have_the_names_that_monitors_know(spec: TargetSpec) -> None:
    said = measure(spec, torch.zeros(3, 2), torch.zeros(3, 1 if spec.quantiles else 2), torch.zeros(3))
    assert tuple(said) == METRICS[spec.kind]
    assert all(math.isnan(value) for value in said.values())


QUANTILES = TargetSpec(
    name="vol",
    kind="quantile",
    dim=3,
    horizon=1,
    labels=("q0.1", "q0.5", "q0.9"),
    link="outwards",
    shift=(0.0,),
    scale=(2.0,),
    quantiles=(0.1, 0.5, 0.9),
)
FORECAST = replace(numbers(4), kind="forecast")


def batches_of(spec: TargetSpec, batch_size: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    raw, target, mask = random_numbers(0, 600, spec.dim, 0.3)
    if spec.kind == "classification":
        target = random_classes(0, 600, spec.dim, spec.dim, 0.3)[1]
    if spec.kind == "quantile":
        target = target[:, :1]
    return [(raw[rows], target[rows], mask[rows]) for rows in torch.arange(600).split(batch_size)]


@pytest.mark.parametrize("spec", [classes(3), numbers(2, "softplus"), QUANTILES, FORECAST], ids=lambda spec: spec.kind)
@pytest.mark.parametrize("at_once", [1, 50, 10_000])
def test_a_metric_is_the_same_however_many_batches_wait_and_goes_on_from_its_state(
    spec: TargetSpec, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight, added = metric_for(spec, CPU), metric_for(spec, CPU)
    ((raw, target, mask),) = batches_of(spec, 600)
    monkeypatch.setattr(streaming, "AT_ONCE", 1)
    straight.update(raw, target, mask)
    monkeypatch.setattr(streaming, "AT_ONCE", at_once)
    cut = metric_for(spec, CPU)
    for batch in batches_of(spec, 7):
        added.update(*batch)
        cut.update(*batch)
        content = io.BytesIO()
        torch.save(cut.state_dict(), content)
        content.seek(0)
        cut = metric_for(spec, CPU)
        cut.load_state_dict(torch.load(content, weights_only=True))
    assert added.compute() == pytest.approx(straight.compute(), rel=1e-6)
    assert cut.compute() == added.compute()  # to the bit: the same pieces are summed


def test_what_waits_is_bounded_and_its_state_holds_no_more_than_it() -> None:
    metric = ClassificationMetric(classes(3), CPU)
    wide = torch.zeros(64, 1000)
    most = 0
    for _ in range(200):
        metric.update(wide[:, :3], torch.zeros(64, dtype=torch.int64), torch.ones(64))
        waiting = metric.state_dict()["waiting"]
        most = max(most, sum(raw.numel() for raw, _, _ in waiting))
        assert all(raw.untyped_storage().nbytes() == 64 * 3 * 4 for raw, _, _ in waiting)
    assert streaming.AT_ONCE - 64 * 3 <= most < streaming.AT_ONCE
