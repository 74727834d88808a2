"""Rows that count more than others: weights of rows, weights of classes, and the losses of quantiles and forecasts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from hybrid_trainer.criterion import Criterion, LossParts
from hybrid_trainer.losses import Pinball
from hybrid_trainer.types import TargetSpec
from tests.specs import quantiles_of
from tests.test_criterion import CPU, RANGE, SIGNAL, batch, loss_and_gradients

QUANTILE = quantiles_of(0.1, 0.5, 0.9, name="vol", shift=0.0, scale=1.0)
FORECAST = TargetSpec(
    name="load",
    kind="forecast",
    dim=4,
    horizon=2,
    labels=("a_1", "b_1", "a_2", "b_2"),
    shift=(0.0,) * 4,
    scale=(1.0,) * 4,
)
WEIGHTS = torch.tensor([0.5, 2.0, 1.25])


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_class_weights_are_those_of_torchs_cross_entropy() -> None:
    raw, label = random(0, 9, 3), torch.tensor([0, 1, 2, 0, 0, 1, 2, 0, 0])
    mask = torch.tensor([1, 1, 1, 0, 1, 1, 0, 1, 1.0])
    criterion = Criterion([SIGNAL], {}, {}, CPU, {"signal": WEIGHTS})
    parts = criterion({"signal": raw}, batch({"signal": label}, {"signal": mask.tolist()}))
    kept = mask > 0
    torch.testing.assert_close(parts.total, F.cross_entropy(raw[kept], label[kept], weight=WEIGHTS))
    torch.testing.assert_close(parts.counts, WEIGHTS[label[kept]].sum()[None])


def test_balanced_weights_make_every_class_count_the_same() -> None:
    label = torch.tensor([0, 0, 0, 0, 1, 1, 2, 0])
    weights = torch.from_numpy(compute_class_weight("balanced", classes=np.arange(3), y=label.numpy())).float()
    given_batch = batch({"signal": label}, {"signal": [1.0] * 8})
    raw = random(1, 8, 3)
    total = Criterion([SIGNAL], {}, {}, CPU, {"signal": weights})({"signal": raw}, given_batch).total
    per_row = F.cross_entropy(raw, label, reduction="none")
    torch.testing.assert_close(total, torch.stack([per_row[label == code].mean() for code in range(3)]).mean())


def test_row_weights_make_a_weighted_mean_and_only_for_their_task() -> None:
    outputs = {"signal": random(2, 4, 3), "range": random(3, 4, 2)}
    targets = {"signal": torch.tensor([0, 1, 2, 0]), "range": torch.zeros(4, 2)}
    given_batch = batch(targets, {"signal": [1, 1, 0, 1.0], "range": [1, 1, 1, 1.0]})
    weight = torch.tensor([0.1, 0.3, 5.0, 0.2])
    weighted = Criterion([SIGNAL, RANGE], {}, {}, CPU)(outputs, replace(given_batch, weight={"signal": weight}))
    plain = Criterion([SIGNAL, RANGE], {}, {}, CPU)(outputs, given_batch)
    nll = F.cross_entropy(outputs["signal"], targets["signal"], reduction="none")
    expected = (0.1 * nll[0] + 0.3 * nll[1] + 0.2 * nll[3]) / 0.6
    torch.testing.assert_close(weighted.sums[0] / weighted.counts[0], expected)
    torch.testing.assert_close(weighted.total, expected + plain.sums[1] / 4)


def test_weights_of_rows_and_classes_multiply() -> None:
    raw, label, weight = random(4, 3, 3), torch.tensor([0, 1, 2]), torch.tensor([1.0, 0.5, 0.25])
    criterion = Criterion([SIGNAL], {}, {}, CPU, {"signal": WEIGHTS})
    given_batch = replace(batch({"signal": label}, {"signal": [1.0] * 3}), weight={"signal": weight})
    both = weight * WEIGHTS[label]
    nll = F.cross_entropy(raw, label, reduction="none")
    torch.testing.assert_close(criterion({"signal": raw}, given_batch).total, (both * nll).sum() / both.sum())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 12), st.data())
def test_masked_rows_change_nothing_whatever_their_weight(seed: int, rows: int, data: st.DataObject) -> None:
    kept = torch.tensor(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows).filter(any)))
    generator = torch.Generator().manual_seed(seed)
    specs = [SIGNAL, QUANTILE, FORECAST]
    outputs = {spec.name: torch.randn(rows, spec.dim, generator=generator) for spec in specs}
    targets = {
        "signal": torch.randint(0, 3, (rows,), generator=generator),
        "vol": torch.randn(rows, 1, generator=generator),
        "load": torch.randn(rows, 4, generator=generator),
    }
    weight = {"signal": torch.rand(rows, generator=generator), "load": torch.rand(rows, generator=generator)}
    criterion = Criterion(specs, {}, {}, CPU, {"signal": WEIGHTS})
    whole = replace(batch(targets, {task: kept.float().tolist() for task in outputs}), weight=weight)
    parts, gradients = loss_and_gradients(criterion, outputs, whole)
    fewer = {task: label[kept] for task, label in targets.items()}
    alone = replace(
        batch(fewer, {task: [1.0] * int(kept.sum()) for task in outputs}),
        weight={task: each[kept] for task, each in weight.items()},
    )
    expected, expected_gradients = loss_and_gradients(criterion, {t: raw[kept] for t, raw in outputs.items()}, alone)
    torch.testing.assert_close(parts.total, expected.total)
    for task, gradient in gradients.items():
        torch.testing.assert_close(gradient[kept], expected_gradients[task])
        assert not gradient[~kept].any()


def test_two_halves_of_a_group_are_one_batch_by_their_weights() -> None:
    criterion = Criterion([SIGNAL], {}, {}, CPU, {"signal": WEIGHTS})
    raw, label, weight = random(5, 7, 3), torch.tensor([0, 1, 2, 0, 0, 2, 1]), random(6, 7).abs()

    def part(rows: slice) -> LossParts:
        some = replace(
            batch({"signal": label[rows]}, {"signal": [1.0] * len(label[rows])}), weight={"signal": weight[rows]}
        )
        halves.append(some)
        return criterion({"signal": raw[rows]}, some, group)

    halves: list = []
    group = None
    whole = part(slice(0, 7))
    halves.clear()
    part(slice(0, 3)), part(slice(3, 7))
    group = criterion.counts(halves)
    torch.testing.assert_close(group, whole.counts)
    torch.testing.assert_close(part(slice(0, 3)).total + part(slice(3, 7)).total, whole.total)


def test_weights_that_sum_to_less_than_one_still_make_a_mean() -> None:
    raw = torch.tensor([[0.3, -0.2, 0.9]])
    given_batch = batch({"signal": torch.tensor([1])}, {"signal": [1.0]})
    light = replace(given_batch, weight={"signal": torch.tensor([0.01])})
    criterion = Criterion([SIGNAL], {}, {}, CPU)
    torch.testing.assert_close(criterion({"signal": raw}, light).total, criterion({"signal": raw}, given_batch).total)
    nothing = replace(given_batch, weight={"signal": torch.tensor([0.0])})
    assert criterion({"signal": raw}, nothing).total == 0


@pytest.mark.parametrize("link", ["outwards", "identity"])
def test_gradients_of_the_pinball_loss_are_right(link: str) -> None:
    spec = replace(QUANTILE, link=link)  # type: ignore[arg-type]
    raw = random(6, 6, 3).double().requires_grad_()
    label = 2 * random(7, 6, 1).double()
    loss = Pinball(spec)
    assert torch.autograd.gradcheck(lambda x: loss(x, label), raw)


def test_the_quantiles_of_a_sample_minimise_the_pinball_loss() -> None:
    label = random(8, 1001, 1).double()
    loss = Pinball(replace(QUANTILE, link="identity"))
    best = torch.quantile(label[:, 0], torch.tensor(QUANTILE.quantiles, dtype=torch.float64))

    def of(levels: torch.Tensor) -> float:
        return loss(levels.expand(1001, 3), label).mean().item()

    for quantile in range(3):
        for step in (-0.1, 0.1):
            moved = best.clone()
            moved[quantile] += step
            assert of(moved) > of(best)


def test_quantiles_and_forecasts_have_their_own_default_losses() -> None:
    outputs = {"vol": torch.zeros(1, 3), "load": torch.zeros(1, 4)}
    targets = {"vol": torch.tensor([[1.0]]), "load": torch.tensor([[1.0, 2.0, 3.0, 0.0]])}
    parts = Criterion([QUANTILE, FORECAST], {}, {}, CPU)(outputs, batch(targets, {"vol": [1.0], "load": [1.0]}))
    ln_2 = float(np.log(2))
    pinball = (0.1 * (1 + ln_2) + 0.5 + 0.9 * (1 - ln_2)) / 3
    assert parts.sums.tolist() == pytest.approx([pinball, 14 / 4])
