"""Gradients that several processes share: added up, once per group, and nothing of the trial is left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from hybrid_trainer import meeting
from hybrid_trainer.engine.device import choose_precision
from hybrid_trainer.engine.shared import kept_back, shared
from hybrid_trainer.ranks import Agreement
from hybrid_trainer.types import Batch
from tests.groups import in_two_processes


class Small(nn.Module):
    """One weight that counts, one that no output hangs on, and a batch norm."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([start]))
        self.unused = nn.Parameter(torch.tensor([start]))
        self.norm = nn.BatchNorm1d(1, affine=False)

    def forward(self, x: torch.Tensor, context: None, ids: None) -> dict[str, torch.Tensor]:
        self.norm(x)
        drawn = nn.functional.dropout(x, 0.5, self.training)
        return {"task": self.weight * x + 0 * drawn}


def batch(*values: float) -> Batch:
    x = torch.tensor(values)[:, None]
    return Batch(x=x, context=None, ids=None, targets={}, mask={}, row=torch.arange(len(x)))  # type: ignore[arg-type]


def share_in_each_process() -> None:
    torch.set_num_threads(1)
    with meeting.joined(), meeting.training() as ranks:
        model = Small(5.0 if ranks.first else 7.0)
        torch.manual_seed(3)
        before = torch.get_rng_state()
        run = shared(model, batch(1.0, 2.0), choose_precision("fp32", torch.device("cpu")), ranks)
        assert torch.equal(torch.get_rng_state(), before)
        assert [model.weight.item(), model.unused.item()] == [5.0, 5.0]  # the first one's
        assert model.weight.grad is None and model.unused.grad is None
        assert model.norm.num_batches_tracked == 0 and model.norm.running_mean == 0
        assert set(model.state_dict()) == {"weight", "unused", *(f"norm.{name}" for name in model.norm.state_dict())}

        for last in (False, True):  # two batches of a group
            own = batch(1.0, 10.0) if ranks.first else batch(100.0, 1000.0)
            with kept_back(run, last):
                run(own.x, None, None)["task"].sum().backward()
            if not last:
                assert model.weight.grad.item() == (11.0 if ranks.first else 1100.0)
        assert model.weight.grad.item() == 2 * 1111.0  # not the mean of the two
        assert model.unused.grad is None
        ranks.like_first(model.buffers())
        assert ranks.gather(model.norm.running_mean.item())[0] == model.norm.running_mean.item()


def agree_in_each_process() -> None:
    """The second asks for 15 at its third look: both know at their fourth; whoever waits knows at once."""
    with meeting.joined(), meeting.training() as ranks:
        agreement = Agreement(ranks)
        own = [0, 0, 0, 0] if ranks.first else [0, 0, 15, 15]
        assert [agreement.look(number) for number in own] == [0, 0, 0, 15]
        assert agreement.settle(0) == 15
        assert agreement.settle(0 if ranks.first else 2) == 2
        assert agreement.look(7) == 0


@pytest.mark.parametrize("work", [share_in_each_process, agree_in_each_process])
def test_two_processes(work: Callable[[], None], tmp_path: Path) -> None:
    """Gradients are added up, and the trial leaves nothing behind; a signal's number is known one look later."""
    in_two_processes(tmp_path, work)
