"""An epoch's losses."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_trainer.criterion import Criterion
from hybrid_trainer.engine.tally import LossTally
from hybrid_trainer.errors import TrainingError
from hybrid_trainer.types import Batch
from tests.engine.helpers import CPU, SPECS, make_loader, make_panel, whole_batch

INF, NAN = math.inf, math.nan


def tallied(criterion: Criterion, batches: list[Batch], outputs: dict[str, torch.Tensor]) -> LossTally:
    """Add the batches' losses; a row's outputs are found by its row number."""
    tally = LossTally(criterion, CPU)
    for batch in batches:
        tally.add(criterion({task: raw[batch.row] for task, raw in outputs.items()}, batch))
    return tally


def random_outputs(rows: int, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {spec.name: torch.randn(rows, spec.dim, generator=generator) for spec in SPECS}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 30), st.sampled_from([0.0, 0.4, 0.9]))
def test_batches_of_unequal_size_give_the_loss_of_the_whole_part(seed: int, batch_size: int, unlabelled: float) -> None:
    panel = make_panel(40, seed=seed, unlabelled=unlabelled)
    criterion = Criterion(SPECS, {}, {"range": 0.3}, CPU)
    outputs = random_outputs(40, seed)
    tally = tallied(criterion, list(make_loader(panel, 9, 38, batch_size=batch_size)), outputs)
    whole = whole_batch(panel, 9, 38)
    expected = criterion({task: raw[whole.row] for task, raw in outputs.items()}, whole)
    assert tally.running_loss() == pytest.approx(expected.total.item(), rel=1e-5, abs=1e-7)
    row = tally.compute("valid")
    assert list(row) == ["valid/loss", "valid/signal/loss", "valid/range/loss"]
    for index, spec in enumerate(SPECS):
        if expected.counts[index]:
            mean = (expected.sums[index] / expected.counts[index]).item()
            assert row[f"valid/{spec.name}/loss"] == pytest.approx(mean, rel=1e-5)


def test_a_mean_of_batch_means_would_be_another_number() -> None:
    """Two batches of 3 and 1 rows: the epoch's loss weighs rows, not batches."""
    criterion = Criterion(SPECS[:1], {}, {}, CPU)
    panel = make_panel()
    raw = torch.zeros(60, 3)
    raw[30, panel.targets["signal"][30]] = 100.0  # loss 0 in that row, log 3 in the others
    tally = tallied(criterion, list(make_loader(panel, 27, 30, batch_size=3)), {"signal": raw})
    assert tally.running_loss() == pytest.approx(3 / 4 * math.log(3), rel=1e-6)


def test_a_task_without_a_label_is_nan_and_leaves_the_total_alone() -> None:
    panel = make_panel()
    panel.mask["range"].zero_()
    criterion = Criterion(SPECS, {}, {}, CPU)
    row = tallied(criterion, list(make_loader(panel, 20, 30)), random_outputs(60)).compute("train")
    assert math.isnan(row["train/range/loss"])
    assert row["train/loss"] == row["train/signal/loss"]


def planted(values: list[tuple[float, float]]) -> LossTally:
    """A tally of steps with these losses of signal and range, one row each."""
    criterion = Criterion(SPECS, {}, {}, CPU)
    tally = LossTally(criterion, CPU)
    panel = make_panel()
    example = criterion({task: raw[[20]] for task, raw in random_outputs(60).items()}, whole_batch(panel, 20, 20))
    for pair in values:
        tally.add(replace(example, sums=torch.tensor(pair)))
    return tally


@pytest.mark.parametrize(
    ("values", "task", "step"),
    [
        ([(INF, 1.0)], "signal", 1),
        ([(1.0, 1.0), (1.0, NAN)], "range", 2),
        ([(1.0, 1.0), (1.0, 1.0), (1.0, INF), (NAN, NAN)], "range", 3),
        ([(1.0, 1.0), (NAN, 1.0), (NAN, NAN), (1.0, 1.0)], "signal", 2),
        ([(1.0, 1.0), (-INF, INF)], "signal", 2),
    ],
)
def test_the_task_that_went_bad_first_is_named_with_its_step(
    values: list[tuple[float, float]], task: str, step: int
) -> None:
    message = rf"^epoch 7: the training loss of task '{task}' is not finite from step {step} on"
    with pytest.raises(TrainingError, match=message):
        planted(values).raise_if_not_finite(7, "training")


def test_finite_losses_raise_nothing() -> None:
    tally = planted([(1.0, 2.0), (3.0, 1e30)])
    tally.raise_if_not_finite(1, "training")
    assert tally.compute("train")["train/signal/loss"] == 2.0
