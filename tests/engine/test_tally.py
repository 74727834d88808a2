"""An epoch's losses."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_trainer.criterion import Criterion
from hybrid_trainer.engine.tally import EpochTally, LossTally
from hybrid_trainer.types import Batch
from tests.engine.helpers import CPU, SPECS, make_loader, make_panel, same, whole_batch


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


def test_a_batch_that_counts_for_nothing_leaves_every_sum_as_it_was() -> None:
    criterion, panel = Criterion(SPECS, {}, {}, CPU), make_panel()
    good, bad = whole_batch(panel, 20, 29), whole_batch(panel, 30, 39)
    bad.targets["range"][3] = math.nan
    outputs = {task: raw[20:30] for task, raw in random_outputs(60).items()}
    broken = {task: torch.full_like(raw, math.nan) for task, raw in outputs.items()}
    once, both = EpochTally(criterion, CPU), EpochTally(criterion, CPU)
    once.add(good, criterion(outputs, good), outputs)
    both.add(bad, criterion(broken, bad), broken, keep=torch.tensor(0.0))
    both.add(good, criterion(outputs, good), outputs, keep=torch.tensor(1.0))
    # Zeros among the rows that are summed in one piece may move a last bit, and nothing else.
    assert both.compute("train") == pytest.approx(once.compute("train"), rel=1e-14)


def test_a_tally_goes_on_from_its_state_and_begins_anew_in_the_same_memory() -> None:
    criterion, panel = Criterion(SPECS, {}, {}, CPU), make_panel()
    batches = list(make_loader(panel, 20, 39))
    outputs = [{task: raw[batch.row] for task, raw in random_outputs(60).items()} for batch in batches]
    straight, first, second = (EpochTally(criterion, CPU) for _ in range(3))
    for place, (batch, raw) in enumerate(zip(batches, outputs, strict=True)):
        parts = criterion(raw, batch)
        straight.add(batch, parts, raw)
        (first if place == 0 else second).add(batch, parts, raw)
        if place == 0:
            second.load_state_dict(first.state_dict())
    assert second.compute("valid") == straight.compute("valid")
    address = straight.losses.sums.data_ptr()
    straight.reset()
    assert straight.losses.sums.data_ptr() == address
    assert same(straight.state_dict(), EpochTally(criterion, CPU).state_dict())


def test_the_sum_of_several_states_is_the_state_of_all_their_batches() -> None:
    """Exact: in float64, with the batches that still wait to be added."""
    panel, criterion, outputs = make_panel(40, unlabelled=0.3), Criterion(SPECS, {}, {}, CPU), random_outputs(40)
    whole, parts = EpochTally(criterion, CPU), [EpochTally(criterion, CPU) for _ in range(3)]
    for index, batch in enumerate(make_loader(panel, 9, 38)):
        raw = {task: values[batch.row] for task, values in outputs.items()}
        for tally in (whole, parts[index % 3]):
            tally.add(batch, criterion(raw, batch), raw)
    summed = EpochTally(criterion, CPU)
    summed.add(batch, criterion(raw, batch), raw)  # is forgotten
    summed.load_sum([part.state_dict() for part in parts])
    assert summed.compute("train") == pytest.approx(whole.compute("train"), rel=1e-12)
    summed.load_sum([])
    assert all(not value.any() for value in summed.tensors())
