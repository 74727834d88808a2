"""A compiled model, and what happens where there is no compiler."""

from __future__ import annotations

import pytest
import torch
import torch._inductor.config
from torch import Tensor, nn

from hybrid_trainer.engine.device import choose_precision
from hybrid_trainer.engine.inductor import compiled
from hybrid_trainer.engine.optimizers import make_optimizer
from hybrid_trainer.engine.step import Stepper
from tests.engine.helpers import (
    CPU,
    FEATURES,
    WINDOW,
    make_panel,
    make_stepper,
    make_tiny_model,
    same,
    weights,
    whole_batch,
)

BATCH = whole_batch(make_panel(), 10, 25)


class Small(nn.Module):
    """One kernel each way, which takes the compiler as little time as may be."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Linear(WINDOW * FEATURES, 5)
        self.heads = nn.Linear(5, 5)

    def forward(self, x: Tensor, context: None, ids: Tensor) -> dict[str, Tensor]:
        outputs = self.heads(self.trunk(x.flatten(1)).tanh())
        return {"signal": outputs[:, :3], "range": outputs[:, 3:]}


def stepper() -> Stepper:
    like, model = make_stepper(), Small()
    optimizer = make_optimizer("sgd", model, learning_rate=0.1, weight_decay=0.0, momentum=0.9)
    return Stepper(model, like.criterion, optimizer, like.precision, 1.0)


@pytest.mark.slow
def test_a_compiled_model_learns_what_the_model_learns_under_the_same_names() -> None:
    plain, fast = stepper(), stepper()
    state = torch.get_rng_state()
    with torch._inductor.config.patch(compile_threads=1):  # workers would take longer to start than to compile this
        fast.run = compiled(fast.model, BATCH, fast.precision)
    assert fast.run is not fast.model
    assert torch.equal(torch.get_rng_state(), state)
    assert same(weights(fast.model), weights(plain.model))
    assert all(p.grad is None for p in fast.model.parameters())
    for _ in range(2):
        plain.train([BATCH]), fast.train([BATCH])
    assert list(fast.model.state_dict()) == list(plain.model.state_dict())
    for name, value in fast.model.state_dict().items():
        torch.testing.assert_close(value, plain.model.state_dict()[name], rtol=1e-4, atol=1e-5, msg=name)


def test_where_it_fails_a_line_says_why_and_the_model_is_taken_as_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_compiler(model: torch.nn.Module) -> torch.nn.Module:
        def fail(*inputs: object) -> None:
            raise RuntimeError("\nno working C++ compiler was found\nmany more lines")

        return fail  # type: ignore[return-value]

    monkeypatch.setattr(torch, "compile", no_compiler)
    model = make_tiny_model().eval()
    assert compiled(model, BATCH, choose_precision("fp32", CPU)) is model
    assert not model.training
    assert caplog.messages == ["training.compile=inductor: no working C++ compiler was found; training goes on without"]
