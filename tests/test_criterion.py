"""Task losses, weights and masks."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from hybrid_trainer.criterion import Criterion, LossParts
from hybrid_trainer.losses import LOSSES, Mse
from hybrid_trainer.types import Batch, Link, TargetSpec

CPU = torch.device("cpu")
SIGNAL = TargetSpec(name="signal", kind="classification", dim=3, horizon=1, labels=("down", "flat", "up"))


def numbers(name: str = "range", dim: int = 2, link: Link = "identity") -> TargetSpec:
    return TargetSpec(
        name=name,
        kind="regression",
        dim=dim,
        horizon=1,
        labels=tuple(f"n{i}" for i in range(dim)),
        link=link,
        shift=(0.0,) * dim,
        scale=(1.0,) * dim,
    )


RANGE = numbers()


def batch(targets: dict[str, Tensor], mask: dict[str, list[float]]) -> Batch:
    rows = len(next(iter(mask.values())))
    return Batch(
        x=torch.zeros(rows, 1, 1),
        context=None,
        ids=torch.zeros(rows, 1, dtype=torch.int64),
        targets=targets,
        mask={task: torch.tensor(values) for task, values in mask.items()},
        row=torch.arange(rows),
    )


def loss_and_gradients(
    criterion: Criterion, outputs: dict[str, Tensor], given: Batch
) -> tuple[LossParts, dict[str, Tensor]]:
    leaves = {task: raw.clone().requires_grad_() for task, raw in outputs.items()}
    parts = criterion(leaves, given)
    parts.total.backward()
    return parts, {task: leaf.grad for task, leaf in leaves.items() if leaf.grad is not None}


def test_the_total_is_the_weighted_sum_of_the_means_over_labelled_rows() -> None:
    criterion = Criterion([SIGNAL, RANGE], {"range": Mse(RANGE)}, {"range": 0.5}, CPU)
    outputs = {"signal": torch.zeros(4, 3), "range": torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [9.0, 9.0]])}
    given = batch(
        {"signal": torch.tensor([0, 1, 2, 0]), "range": torch.zeros(4, 2)},
        {"signal": [1, 1, 0, 0], "range": [1, 1, 1, 0]},
    )
    parts = criterion(outputs, given)
    torch.testing.assert_close(parts.sums, torch.tensor([2 * math.log(3), 1.0 + 4.0 + 9.0]))
    assert parts.counts.tolist() == [2, 3]
    assert parts.total.item() == pytest.approx(math.log(3) + 0.5 * 14 / 3, rel=1e-6)
    assert not parts.sums.requires_grad


def test_the_default_loss_of_numbers_is_huber() -> None:
    criterion = Criterion([RANGE], {}, {}, CPU)
    parts = criterion({"range": torch.tensor([[3.0, 3.0]])}, batch({"range": torch.zeros(1, 2)}, {"range": [1.0]}))
    assert parts.total.item() == 2.5


def test_tasks_are_in_the_order_of_the_heads() -> None:
    assert Criterion([RANGE, SIGNAL], {}, {}, CPU).tasks == ["range", "signal"]


def test_a_weight_multiplies_loss_and_gradient() -> None:
    outputs = {"signal": torch.tensor([[0.3, -0.2, 0.9]]), "range": torch.tensor([[0.4, 2.0]])}
    given = batch({"signal": torch.tensor([1]), "range": torch.tensor([[0.0, 0.0]])}, {"signal": [1.0], "range": [1.0]})
    plain, plain_gradient = loss_and_gradients(Criterion([SIGNAL, RANGE], {}, {}, CPU), outputs, given)
    heavy, heavy_gradient = loss_and_gradients(Criterion([SIGNAL, RANGE], {}, {"range": 4.0}, CPU), outputs, given)
    assert heavy.total.item() - plain.total.item() == pytest.approx(3 * plain.sums[1].item(), rel=1e-5)
    assert torch.equal(heavy_gradient["signal"], plain_gradient["signal"])
    assert torch.equal(heavy_gradient["range"], 4 * plain_gradient["range"])
    assert torch.equal(heavy.sums, plain.sums)  # what is reported per task is not weighted


def test_a_task_of_weight_zero_is_reported_but_not_learned() -> None:
    outputs = {"signal": torch.tensor([[0.3, -0.2, 0.9]]), "range": torch.tensor([[0.4, 2.0]])}
    given = batch({"signal": torch.tensor([1]), "range": torch.tensor([[0.0, 0.0]])}, {"signal": [1.0], "range": [1.0]})
    parts, gradients = loss_and_gradients(Criterion([SIGNAL, RANGE], {}, {"range": 0.0}, CPU), outputs, given)
    assert parts.sums[1] > 0
    assert parts.total == parts.sums[0]
    assert not gradients["range"].any() and gradients["signal"].any()


def test_a_task_without_any_label_contributes_nothing() -> None:
    criterion = Criterion([SIGNAL, RANGE], {}, {}, CPU)
    outputs = {"signal": torch.tensor([[0.3, -0.2, 0.9]]), "range": torch.tensor([[7.0, 7.0]])}
    targets = {"signal": torch.tensor([1]), "range": torch.zeros(1, 2)}
    parts, gradients = loss_and_gradients(criterion, outputs, batch(targets, {"signal": [1.0], "range": [0.0]}))
    alone, _ = loss_and_gradients(
        Criterion([SIGNAL], {}, {}, CPU), {"signal": outputs["signal"]}, batch(targets, {"signal": [1.0]})
    )
    assert parts.total == alone.total
    assert (parts.sums[1], parts.counts[1]) == (0, 0)
    assert not gradients["range"].any()


def test_a_batch_without_any_label_has_loss_zero_and_no_gradient() -> None:
    criterion = Criterion([SIGNAL, RANGE], {}, {}, CPU)
    outputs = {"signal": torch.ones(2, 3), "range": torch.ones(2, 2)}
    targets = {"signal": torch.tensor([1, 0]), "range": torch.zeros(2, 2)}
    parts, gradients = loss_and_gradients(criterion, outputs, batch(targets, {"signal": [0, 0.0], "range": [0, 0.0]}))
    assert parts.total == 0
    assert not gradients["signal"].any() and not gradients["range"].any()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 12), st.data())
def test_masked_rows_change_neither_loss_nor_gradient(seed: int, rows: int, data: st.DataObject) -> None:
    kept = data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows).filter(any))
    generator = torch.Generator().manual_seed(seed)
    outputs = {"signal": torch.randn(rows, 3, generator=generator), "range": torch.randn(rows, 2, generator=generator)}
    targets = {
        "signal": torch.randint(0, 3, (rows,), generator=generator),
        "range": torch.randn(rows, 2, generator=generator),
    }
    index = torch.tensor(kept).nonzero()[:, 0]
    masks = {task: [float(keep) for keep in kept] for task in outputs}
    ones = {task: [1.0] * len(index) for task in outputs}
    criterion = Criterion([SIGNAL, RANGE], {}, {}, CPU)
    parts, gradients = loss_and_gradients(criterion, outputs, batch(targets, masks))
    alone, alone_gradients = loss_and_gradients(
        criterion,
        {task: raw[index] for task, raw in outputs.items()},
        batch({task: label[index] for task, label in targets.items()}, ones),
    )
    torch.testing.assert_close(parts.total, alone.total)
    torch.testing.assert_close(parts.sums, alone.sums)
    assert torch.equal(parts.counts, alone.counts)
    for task, gradient in gradients.items():
        torch.testing.assert_close(gradient[index], alone_gradients[task])
        assert not gradient[torch.tensor([not keep for keep in kept])].any()


@pytest.mark.parametrize("link", ["identity", "softplus"])
@pytest.mark.parametrize(
    ("loss", "label"),
    [
        ("huber", 1e30),
        ("huber", math.inf),
        ("huber", -math.inf),
        ("huber", math.nan),
        ("mse", 1e18),
        ("mse", math.inf),
        ("mse", -math.inf),
        ("mse", math.nan),
    ],
)
def test_a_masked_label_of_any_value_changes_neither_loss_nor_gradient(loss: str, label: float, link: Link) -> None:
    spec = numbers(link=link)
    criterion = Criterion([spec], {"range": LOSSES.get(loss, "")(spec)}, {}, CPU)
    outputs = {"range": torch.tensor([[0.3, -0.4], [0.7, 0.1]])}
    mask = {"range": [1.0, 0.0]}
    plain = batch({"range": torch.tensor([[0.1, 0.2], [0.0, 0.0]])}, mask)
    poisoned = batch({"range": torch.tensor([[0.1, 0.2], [label, label]])}, mask)
    parts, gradients = loss_and_gradients(criterion, outputs, poisoned)
    expected, expected_gradients = loss_and_gradients(criterion, outputs, plain)
    assert torch.equal(parts.total, expected.total)
    assert torch.equal(gradients["range"], expected_gradients["range"])


@pytest.mark.parametrize("label", [0, 1, 2, -1, 3])
def test_a_masked_class_of_any_number_changes_neither_loss_nor_gradient(label: int) -> None:
    criterion = Criterion([SIGNAL], {}, {}, CPU)
    outputs = {"signal": torch.tensor([[0.3, -0.4, 0.1], [0.7, 0.1, 0.0]])}
    mask = {"signal": [1.0, 0.0]}
    parts, gradients = loss_and_gradients(criterion, outputs, batch({"signal": torch.tensor([2, label])}, mask))
    expected, expected_gradients = loss_and_gradients(criterion, outputs, batch({"signal": torch.tensor([2, 0])}, mask))
    assert torch.equal(parts.total, expected.total)
    assert torch.equal(gradients["signal"], expected_gradients["signal"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_loss_of_half_precision_outputs_is_computed_in_float32(dtype: torch.dtype) -> None:
    raw = torch.tensor([[300.0, -2.0]], dtype=dtype)  # 300 squared is beyond float16
    criterion = Criterion([RANGE], {"range": Mse(RANGE)}, {}, CPU)
    parts = criterion({"range": raw}, batch({"range": torch.zeros(1, 2)}, {"range": [1.0]}))
    assert parts.total.dtype == torch.float32
    assert parts.total.item() == pytest.approx((300.0**2 + 4) / 2)


def test_losses_agree_with_torchs_own_means() -> None:
    generator = torch.Generator().manual_seed(3)
    raw = {"signal": torch.randn(9, 3, generator=generator), "range": torch.randn(9, 2, generator=generator)}
    label = {"signal": torch.randint(0, 3, (9,), generator=generator), "range": torch.randn(9, 2, generator=generator)}
    parts = Criterion([SIGNAL, RANGE], {}, {}, CPU)(raw, batch(label, {task: [1.0] * 9 for task in raw}))
    expected = F.cross_entropy(raw["signal"], label["signal"]) + F.huber_loss(raw["range"], label["range"])
    torch.testing.assert_close(parts.total, expected)
