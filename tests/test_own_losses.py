"""Losses of plug-ins: made, tried once on a few labels, and what goes wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from hybrid_trainer import build, prepare
from hybrid_trainer.config.losses import LOSS_CONFIGS
from hybrid_trainer.criterion import Criterion
from hybrid_trainer.data.sources import load_table
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.extend import LossConfig, loss, metric
from hybrid_trainer.losses import make_losses, tasks_of_plug_ins, try_losses
from tests.conftest import make_config
from tests.engine.helpers import CPU, RANGE, SIGNAL, SPECS, make_panel, whole_batch

LABELS = {"signal": torch.tensor([0, 1, 2, 1]), "range": torch.randn(4, 2, generator=torch.Generator().manual_seed(1))}

pytestmark = pytest.mark.usefixtures("plugging")


def tried(made: Callable[[Tensor, Tensor], Any], task: str = "range") -> str:
    """What is said of a loss."""
    loss("mine", kinds=("regression", "classification"))(lambda spec: made)
    configs = {task: LOSS_CONFIGS.get("mine", "")()}
    assert tasks_of_plug_ins(SPECS, configs) == [task]
    with pytest.raises(ConfigError) as caught:
        try_losses(SPECS, configs, make_losses(SPECS, configs), LABELS)
    return str(caught.value)


def squares(raw: Tensor, target: Tensor) -> Tensor:
    return ((raw - target) ** 2).mean(dim=1)


FAULTS: list[tuple[Callable[[Tensor, Tensor], Any], str]] = [
    (lambda raw, target: 1.0, "it gave a float; it must be a torch.Tensor with a loss per row"),
    (lambda raw, target: squares(raw, target).mean(), "it gave () for 4 rows; it must be (4,), a loss per row"),
    (lambda raw, target: (raw - target) ** 2, "it gave (4, 2) for 4 rows; it must be (4,), a loss per row"),
    (
        lambda raw, target: squares(raw.detach(), target),
        "it does not depend on the outputs by operations of torch: noth",
    ),
    (lambda raw, target: squares(target.requires_grad_(), target), "it does not depend on the outputs: nothing could"),
    (lambda raw, target: squares(raw, target).log() / 0, "it is not finite for 4 of 4 training labels and outputs aro"),
    (lambda raw, target: (squares(raw, target) * 0).sqrt(), "its gradient is not finite for training labels and outp"),
    (lambda raw, target: squares(raw, target) - 9, "it is -"),
]


@pytest.mark.parametrize(("made", "said"), FAULTS)
def test_what_is_no_loss_is_one_line(made: Callable[[Tensor, Tensor], Any], said: str) -> None:
    assert tried(made).startswith(f"loss 'mine' of task 'range': {said}")


def test_one_that_fails_is_one_line_with_its_place() -> None:
    def fails(raw: Tensor, target: Tensor) -> Tensor:
        return raw @ target

    said = tried(fails)
    assert said.startswith("loss 'mine' of task 'range': RuntimeError: mat1 and mat2 shapes cannot be multiplied (4x2")
    assert "test_own_losses.py:" in said
    loss("other", kinds=("regression",))(lambda spec, nothing: squares)
    with pytest.raises(ConfigError, match=r"^loss 'other' of task 'range': TypeError: .*missing 1 .*'nothing' \(in "):
        make_losses(SPECS, {"range": LOSS_CONFIGS.get("other", "")()})


def test_one_that_fails_in_training_alone_is_one_line_as_well() -> None:
    def late(raw: Tensor, target: Tensor) -> Tensor:
        if len(raw) > 4:
            raise ValueError("more\nthan four")
        return squares(raw, target) if len(raw) == 4 else squares(raw, target).mean()

    loss("mine", kinds=("regression",))(lambda spec: late)
    configs = {"range": LOSS_CONFIGS.get("mine", "")()}
    losses = make_losses(SPECS, configs)
    try_losses(SPECS, configs, losses, LABELS)
    criterion = Criterion(SPECS, losses, {}, CPU)
    panel = make_panel()
    for rows, said in (
        (5, r"ValueError: more than four \(.*test_own_losses.py:\d+\)"),
        (3, r"it gave \(\) for 3 rows; .*"),
    ):
        batch = whole_batch(panel, 10, 9 + rows)
        outputs = {"signal": torch.zeros(rows, 3), "range": torch.zeros(rows, 2)}
        with pytest.raises(ConfigError, match=f"^loss 'mine' of task 'range': {said}$"):
            criterion(outputs, batch)


def test_classes_and_a_loss_below_zero_that_says_so_pass() -> None:
    @dataclass(kw_only=True)
    class BelowConfig(LossConfig):
        by: float = 9.0

        @property
        def negative(self) -> bool:
            return True

    below = loss("below", BelowConfig, kinds=("classification",))
    below(lambda spec, by: lambda raw, target: torch.nn.functional.cross_entropy(raw, target, reduction="none") - by)
    configs = {"signal": LOSS_CONFIGS.get("below", "")()}
    assert configs["signal"].negative and configs["signal"].kinds == ("classification",)
    made = make_losses([SIGNAL, RANGE], configs)
    before = torch.get_rng_state()
    try_losses(SPECS, configs, made, LABELS)
    try_losses(SPECS, configs, made, {"signal": LABELS["signal"][:0]})  # no label: nothing to try it with
    assert torch.equal(torch.get_rng_state(), before)


def test_a_built_in_loss_is_not_tried() -> None:
    assert tasks_of_plug_ins(SPECS, {"signal": LOSS_CONFIGS.get("focal", "")()}) == []


def test_a_run_tries_them_before_it_trains() -> None:
    small = ["data=synthetic", "data.rows=200", "model.time_window=4", "model.heads=[signal,volatility]"]
    asked: list[tuple[str, tuple[int, ...]]] = []

    def far(raw: Tensor, target: Tensor) -> Tensor:
        asked.append(("loss", tuple(target.shape)))
        return squares(raw, target)

    def judged(predicted: Any, label: Any, spec: Any) -> float:
        asked.append((spec.name, predicted.shape))
        raise ValueError("no")

    loss("far", kinds=("regression",))(lambda spec: far)
    metric("judged", kinds=("classification",), better="larger")(judged)
    config = make_config(*small, "training.losses.volatility=far", "training.metrics.judged={}")
    data = prepare.dataset(config, load_table(config.data, config.active_targets), CPU)
    with pytest.raises(ConfigError, match=r"^metric 'judged' of task 'signal': ValueError: no \(.*\.py:\d+\)$"):
        build.trainer(config, build.model_spec(config, data), data, build.machine(config), [])
    assert [name for name, _ in asked] == ["loss", "signal"]
    assert asked[0][1] == (256, 1) and asked[1][1][1] == 3
