"""What the tasks' gradients say of each other, and that looking changes nothing."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from hybrid_trainer.balancing.task_gradients import shared_parameters
from tests.engine.helpers import make_loader, make_panel, make_stepper, make_trainer, same, weights, whole_batch

PANEL = make_panel(unlabelled=0.2)
KINDS = ["fixed", "uncertainty", "dwa", "gradnorm", "pcgrad"]


def gradients(batch: Any, **options: Any) -> torch.Tensor:
    """(K, P) by torch alone."""
    stepper = make_stepper(**options)
    parts, _ = stepper.forward(batch)
    rows = [torch.autograd.grad(mean, shared_parameters(stepper.model), retain_graph=True) for mean in parts.means]
    return torch.stack([torch.cat([value.flatten() for value in row]) for row in rows])


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_norms_and_cosine_are_those_of_the_tasks_gradients_before_weights(precision: str) -> None:
    batch = whole_batch(PANEL, 10, 25)
    stepper = make_stepper(look_every=1, precision=precision, loss_weights={"range": 7.0})
    stepper.train([batch], look=True)
    assert stepper.probe is not None
    row, rows = stepper.probe.row(), gradients(batch)
    exact = 1e-5 if precision == "fp32" else 5e-2
    assert row["train/signal/gradient_norm"] == pytest.approx(rows[0].norm().item(), rel=exact)
    assert row["train/range/gradient_norm"] == pytest.approx(rows[1].norm().item(), rel=exact)
    cosine = torch.cosine_similarity(rows[0], rows[1], dim=0).item()
    assert row["train/gradient_cosine/signal/range"] == pytest.approx(cosine, rel=exact, abs=exact)
    assert set(row) == {"train/signal/gradient_norm", "train/range/gradient_norm", "train/gradient_cosine/signal/range"}


def test_of_a_group_it_looks_at_the_last_batch_as_if_that_were_all() -> None:
    first, last = whole_batch(PANEL, 10, 18), whole_batch(PANEL, 19, 25)
    stepper = make_stepper(look_every=1)
    stepper.train([first, last], look=True)
    assert stepper.probe is not None
    row, rows = stepper.probe.row(), gradients(last)
    assert row["train/signal/gradient_norm"] == pytest.approx(rows[0].norm().item(), rel=1e-4)
    assert row["train/range/gradient_norm"] == pytest.approx(rows[1].norm().item(), rel=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_the_same_bits_with_and_without_it(kind: str, precision: str) -> None:
    trained = []
    for every in (None, 2):
        trainer = make_trainer(balancing=kind, look_every=every, precision=precision, dropout=0.3, ema_decay=0.9)
        trainer.accumulate = 2
        history = trainer.fit(make_loader(PANEL, 10, 44, shuffle_seed=3), make_loader(PANEL, 48, 59))
        shown = [{key: value for key, value in row.items() if "gradient" not in key} for row in history]
        trained.append((weights(trainer.model), shown, torch.get_rng_state()))
        assert ("train/gradient_cosine/signal/range" in history[0]) == (every is not None)
    assert same(*trained)


def test_a_row_is_the_mean_over_the_epochs_looks() -> None:
    trainer = make_trainer(look_every=2, epochs=2)
    seen: list[dict[str, float]] = []
    probe = trainer.stepper.probe
    assert probe is not None
    add = probe._add

    def watched(rows: torch.Tensor) -> None:
        seen.append({"norm": rows[0].norm().item(), "cosine": torch.cosine_similarity(*rows, dim=0).item()})
        add(rows)

    probe._add = watched  # type: ignore[method-assign]
    history = trainer.fit(make_loader(PANEL, 10, 44, shuffle_seed=3), make_loader(PANEL, 48, 59))
    assert len(seen) == 2 * 3  # of five steps the first, third and fifth
    for epoch, row in enumerate(history):
        own = seen[3 * epoch : 3 * epoch + 3]
        assert row["train/signal/gradient_norm"] == pytest.approx(sum(look["norm"] for look in own) / 3)
        assert row["train/gradient_cosine/signal/range"] == pytest.approx(
            sum(look["cosine"] for look in own) / 3, abs=1e-6
        )


def test_a_task_without_a_label_or_with_a_bad_gradient_is_left_out_of_the_mean() -> None:
    batch, empty, bad = (whole_batch(PANEL, 10, 25) for _ in range(3))
    empty.mask["range"] = torch.zeros(16)
    bad.targets["range"] = torch.full((16, 2), math.inf)
    stepper = make_stepper(look_every=1, learning_rate=0.0, skip_bad=True, losses={"range": "mse"})
    once = make_stepper(look_every=1, learning_rate=0.0, losses={"range": "mse"})
    for each in (empty, bad, batch):
        stepper.train([each], look=True)
    once.train([batch], look=True)
    assert stepper.probe is not None and once.probe is not None
    assert stepper.probe.norm_counts.tolist() == [2.0, 1.0]  # an infinite label spoils every task's pass
    for name in ("train/range/gradient_norm", "train/gradient_cosine/signal/range"):
        assert stepper.probe.row()[name] == pytest.approx(once.probe.row()[name], rel=1e-6)
    once.probe.reset()
    assert all(math.isnan(value) for value in once.probe.row().values())
