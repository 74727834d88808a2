"""What training does to its windows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_trainer import build
from hybrid_trainer.augment import Augmentation
from hybrid_trainer.criterion import Criterion
from hybrid_trainer.types import Batch
from tests.conftest import make_config
from tests.engine.helpers import (
    CPU,
    SPECS,
    make_loader,
    make_panel,
    make_stepper,
    make_trainer,
    same,
    weights,
    whole_batch,
)
from tests.test_build import MACHINE

ALL = {"input_noise": 0.1, "time_mask": 0.5, "feature_mask": 0.2, "mixup": 0.4}


def some(**changes: float) -> Augmentation:
    torch.manual_seed(0)
    return Augmentation(**changes, device=CPU)


def ones(rows: int = 2000, steps: int = 10, features: int = 3) -> Batch:
    batch = whole_batch(make_panel(20), 8, 9)
    return replace(batch, x=torch.ones(rows, steps, features))


def test_noise_has_the_deviation_that_was_asked_for_and_no_mean() -> None:
    noise = some(input_noise=0.5)(ones()).x - 1
    assert abs(float(noise.mean())) < 0.01
    assert abs(float(noise.std()) - 0.5) < 0.01


def test_a_stretch_is_hidden_in_all_features_up_to_the_share_and_never_the_decision_row() -> None:
    x = some(time_mask=0.35)(ones()).x
    hidden = (x == 0).all(dim=2)
    assert torch.equal(hidden, (x == 0).any(dim=2))
    assert not hidden[:, -1].any()
    lengths = hidden.sum(dim=1)
    assert set(lengths.tolist()) == {0, 1, 2, 3}  # 0.35 of 10 rows
    edges = (hidden[:, 1:] != hidden[:, :-1]).sum(dim=1) + hidden[:, 0]
    assert edges[lengths > 0].tolist() == [2] * int((lengths > 0).sum())  # one beginning and one end
    assert hidden[:, :-1].any(dim=0).all()  # it may lie anywhere else


@settings(max_examples=50, deadline=None)
@given(steps=st.integers(2, 12), share=st.floats(0.01, 0.95), seed=st.integers(0, 100))
def test_a_window_of_any_length_keeps_its_decision_row(steps: int, share: float, seed: int) -> None:
    augment = some(time_mask=share)
    torch.manual_seed(seed)
    hidden = augment(ones(20, steps)).x == 0
    assert not hidden[:, -1].any()
    assert hidden.sum(dim=1).max() <= share * steps


def test_features_are_hidden_at_their_rate_in_all_rows_of_a_window() -> None:
    x = some(feature_mask=0.3)(ones()).x
    hidden = (x == 0).all(dim=1)  # (B, F)
    assert torch.equal(hidden, (x == 0).any(dim=1))
    assert abs(float(hidden.float().mean()) - 0.3) < 0.02


def test_a_mixture_is_of_two_windows_of_the_batch_by_one_share_of_which_the_own_is_larger() -> None:
    batch = whole_batch(make_panel(60), 10, 40)
    batch = replace(batch, context=torch.randn(31, 2).index_fill(0, torch.tensor([4]), torch.nan))
    assert batch.context is not None
    mixed = some(mixup=0.4)(batch)
    share = mixed.weight["signal"][0]
    assert 0.5 <= share < 1
    rows = len(batch.row)
    others = mixed.targets["range"][rows:]
    other = [int((batch.targets["range"] == label).all(dim=1).nonzero()) for label in others]
    assert sorted(other) == list(range(rows))
    torch.testing.assert_close(mixed.x, share * batch.x + (1 - share) * batch.x[other])
    assert mixed.context is not None
    torch.testing.assert_close(
        mixed.context, share * batch.context + (1 - share) * batch.context[other], equal_nan=True
    )
    missing = mixed.context.isnan().all(dim=1)
    assert missing.tolist() == [4 in (row, other[row]) for row in range(rows)]
    assert torch.equal(mixed.ids, batch.ids)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_of_a_mixture_is_that_of_both_labels_by_their_shares_and_counts_stay_exact(weighted: bool) -> None:
    panel = make_panel(60, unlabelled=0.3)
    batch = whole_batch(panel, 10, 40)
    if weighted:
        batch = replace(batch, weight={"range": torch.rand(31)})
    criterion = Criterion(SPECS, {}, {}, CPU, {"signal": torch.tensor([1.0, 2.0, 3.0])} if weighted else {})
    augment = some(mixup=0.4)
    mixed = augment(batch)
    outputs = {"signal": torch.randn(31, 3), "range": torch.randn(31, 2)}
    found = criterion(augment.labelled(outputs), mixed)
    share = float(mixed.weight["signal"][0])
    second = Batch(
        x=batch.x, context=None, ids=batch.ids, row=batch.row,
        targets={task: values[31:] for task, values in mixed.targets.items()},
        mask={task: values[31:] for task, values in mixed.mask.items()},
        weight={"range": mixed.weight["range"][31:] / (1 - share)} if weighted else {},
    )  # fmt: skip
    parts = [criterion(outputs, batch), criterion(outputs, second)]
    torch.testing.assert_close(found.sums, share * parts[0].sums + (1 - share) * parts[1].sums)
    torch.testing.assert_close(found.counts, parts[0].counts)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_learns_from_what_was_made_and_reports_the_outputs_of_each_window(accumulate: int) -> None:
    batches = [whole_batch(make_panel(60), 10, 20), whole_batch(make_panel(60), 21, 40)][:accumulate]
    steppers = [make_stepper(), make_stepper()]
    steppers[1].augment = some(**ALL)
    done = [stepper.train(batches) for stepper in steppers]
    for batch, (parts, outputs) in zip(batches, done[1], strict=True):
        assert {task: len(raw) for task, raw in outputs.items()} == dict.fromkeys(outputs, len(batch.row))
        torch.testing.assert_close(parts.counts, torch.full((2,), float(len(batch.row))))
    assert not same(weights(steppers[0].model), weights(steppers[1].model))


def trainer() -> Any:
    made = make_trainer(epochs=3)
    made.stepper.augment = Augmentation(**ALL, device=CPU)
    return made


def test_validation_sees_windows_as_they_are() -> None:
    panel = make_panel()
    augmented, plain = trainer(), make_trainer()
    valid = make_loader(panel, 40, 59)
    assert augmented.evaluate(valid, "valid") == plain.evaluate(valid, "valid")


def test_the_same_seed_gives_the_same_bits_and_a_resumed_fit_those_of_one_that_was_not_interrupted() -> None:
    panel = make_panel()

    def loaders() -> Any:
        return make_loader(panel, 8, 39, shuffle_seed=0), make_loader(panel, 40, 59)

    whole, again, first = trainer(), trainer(), trainer()
    for fit in (whole, again):
        torch.manual_seed(5)
        fit.fit(*loaders())
    assert same(weights(whole.model), weights(again.model))
    first.epochs = 1
    torch.manual_seed(5)
    first.fit(*loaders())
    state = first.state_dict()
    torch.manual_seed(77)
    rest = trainer()
    rest.load_state_dict(state)
    rest.fit(*loaders())
    assert same(weights(rest.model), weights(whole.model))


def test_nothing_is_made_where_nothing_is_asked_for() -> None:
    assert build.augmentation(make_config(), MACHINE) is None
    assert build.augmentation(make_config("training.augment.mixup=0.2"), MACHINE) is not None
