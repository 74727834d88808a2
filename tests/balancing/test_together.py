"""Two processes balance tasks as one does, to rounding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hybrid_trainer import meeting
from hybrid_trainer.engine.shared import shared
from hybrid_trainer.engine.step import Stepper
from hybrid_trainer.ranks import ALONE, Ranks
from hybrid_trainer.types import Batch
from tests.engine.helpers import make_panel, make_stepper, whole_batch
from tests.groups import in_two_processes

KINDS = ["fixed", "uncertainty", "dwa", "gradnorm", "pcgrad"]
PANEL = make_panel(unlabelled=0.4)
# Two groups of two batches; each process has its rows of each, the second one no label of `range` in the last batch.
GROUPS = [[(10, 15, 19), (20, 23, 26)], [(30, 36, 44), (45, 48, 52)]]


def part(first: int, border: int, last: int, ranks: Ranks) -> Batch:
    """A batch's rows of one process, or all of them."""
    if ranks.alone:
        batch = whole_batch(PANEL, first, last)
    else:
        batch = whole_batch(PANEL, first, border - 1) if ranks.first else whole_batch(PANEL, border, last)
    if last == 52:
        batch.mask["range"] = batch.mask["range"] * (batch.row < border)
    return batch


def trained(kind: str, ranks: Ranks) -> dict[str, Any]:
    """Weights, and what the epoch's row would say, behind two steps and an epoch in between."""
    stepper: Stepper = make_stepper(
        3 if ranks.first else 4, balancing=kind, look_every=1, optimizer="sgd", momentum=0.0, learning_rate=0.1
    )
    stepper.ranks = ranks
    if kind == "pcgrad":
        ranks.like_first([value.detach() for value in stepper.model.parameters()])
    elif not ranks.alone:
        stepper.run = shared(stepper.model, part(*GROUPS[0][0], ranks), stepper.precision, ranks)
    for number, group in enumerate(GROUPS):
        stepper.train([part(*rows, ranks) for rows in group], look=True)
        losses = {"train/signal/loss": 3.0 - number, "train/range/loss": 2.0}
        stepper.balancing.advance(losses)
    assert stepper.probe is not None
    said = {**losses, **stepper.balancing.row(losses), **stepper.probe.row()}
    return {"weights": stepper.model.state_dict(), "row": said}


def train_in_each_process(folder: str) -> None:
    torch.set_num_threads(1)
    with meeting.joined(), meeting.training() as ranks:
        found = {kind: trained(kind, ranks) for kind in KINDS}
        said = ranks.gather([found[kind]["row"] for kind in KINDS])
        assert said[0] == said[1]  # bit for bit
        torch.save(found, Path(folder) / f"{ranks.rank}.pt")


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("together")
    in_two_processes(folder, train_in_each_process, str(folder))
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_balance_as_one(kind: str, together: list[dict[str, Any]]) -> None:
    one = trained(kind, ALONE)
    first, second = (found[kind] for found in together)
    assert first["row"] == pytest.approx(one["row"], rel=1e-4, abs=1e-5)
    for name, value in one["weights"].items():
        torch.testing.assert_close(first["weights"][name], value, rtol=1e-4, atol=1e-5, msg=name)
        assert torch.equal(first["weights"][name], second["weights"][name]), name
