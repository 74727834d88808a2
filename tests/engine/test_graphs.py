"""Steps as a CUDA graph: when that is possible, what is done in which order; on a GPU, that the bits are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hybrid_trainer.engine.device import Precision
from hybrid_trainer.engine.graphs import StepGraph, why_not
from hybrid_trainer.engine.optimizers import make_optimizer
from hybrid_trainer.trainer import Trainer
from tests.engine.helpers import CPU, make_loader, make_panel, make_trainer, same, weights

CUDA = torch.device("cuda")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.mark.parametrize(
    ("precision", "device", "accumulate", "panel", "reason"),
    [
        (torch.bfloat16, CUDA, 1, CUDA, None),
        (None, CUDA, 1, CUDA, None),
        (None, CPU, 1, CPU, "there is no GPU"),
        (None, CUDA, 1, CPU, "training.data_device"),
        (None, CUDA, 2, CUDA, "training.accumulate"),
        (torch.float16, CUDA, 1, CUDA, "training.precision=bf16"),
    ],
)
def test_what_makes_a_graph_impossible_is_said(
    precision: torch.dtype | None, device: torch.device, accumulate: int, panel: torch.device, reason: str | None
) -> None:
    found = why_not(Precision("any", device, precision), accumulate=accumulate, panel_device=panel)
    assert found is None if reason is None else found is not None and reason in found


def test_a_step_that_takes_gradients_task_by_task_is_no_graph() -> None:
    found = why_not(Precision("any", CUDA, None), accumulate=1, panel_device=CUDA, gradients_by="training.balancing")
    assert found == "training.balancing takes the gradient of each task by itself"


class FakeGraphs:
    """Stands for CUDA's part on a CPU: a capture records what would run, and a replay runs it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: str | None = None) -> None:
        self.error = error
        self.told: list[str] = []
        self.capturing = False
        self._recorded: Callable[[], None] | None = None
        stream = SimpleNamespace(wait_stream=lambda other: self.told.append("wait"))
        fakes: dict[str, Any] = {
            "Stream": lambda device: stream,
            "CUDAGraph": lambda: SimpleNamespace(replay=self._replay),
            "current_stream": lambda: stream,
            "set_stream": lambda other: self.told.append("set"),
            "stream": lambda other: nullcontext(),
            "graph": self._graph,
        }
        for name, value in fakes.items():
            monkeypatch.setattr(torch.cuda, name, value)

    @contextmanager
    def _graph(self, graph: Any, stream: Any) -> Iterator[None]:
        self.told.append("capture")
        self.capturing = True
        try:
            yield
            if self.error:
                raise RuntimeError(self.error)
        finally:
            self.capturing = False

    def _replay(self) -> None:
        self.told.append("replay")
        assert self._recorded is not None
        self._recorded()

    def watching(self, step: Callable[[Tensor], None]) -> Callable[[Tensor], None]:
        """The step, which while it is captured is only remembered, with the tensor that it was given."""

        def taken(rows: Tensor) -> None:
            if self.capturing:
                self._recorded = lambda: step(rows)
            else:
                step(rows)

        return taken


def sequence(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], error: str | None = None
) -> tuple[list[str], list[int]]:
    """What is asked of CUDA for batches of these sizes, the full ones of 4; and the first row of each step taken."""
    fake, seen = FakeGraphs(monkeypatch, error), []
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    graph = StepGraph(4, CPU, optimizer)
    step = fake.watching(lambda rows: seen.append(int(rows[0])))
    for place, size in enumerate(sizes):
        graph.take(torch.full((size,), place), step)
    return fake.told, seen


def test_three_steps_warm_up_then_full_batches_are_replayed_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    told, seen = sequence(monkeypatch, [4, 4, 3, 4, 4, 4, 1, 4])
    assert seen == list(range(8))
    assert told == ["wait", "wait"] * 3 + ["capture", "replay", "replay", "replay"]


def test_a_capture_that_fails_is_told_once_and_every_step_is_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told, seen = sequence(monkeypatch, [4] * 6, "operation not permitted\nand more")
    assert seen == list(range(6))
    assert told == ["wait", "wait"] * 3 + ["capture", "set"]
    assert caplog.messages == ["training.compile=graphs: operation not permitted; training goes on without"]


@pytest.mark.parametrize("rolls_back", [False, True])
def test_a_fit_with_replays_is_a_fit_without(monkeypatch: pytest.MonkeyPatch, rolls_back: bool) -> None:
    def fit(trainer: Trainer) -> None:
        trainer.fit(make_loader(make_panel(), 10, 37, batch_size=4), make_loader(make_panel(), 45, 54))

    def fitted(fake: FakeGraphs | None) -> Trainer:
        trainer = make_trainer(epochs=2, ema_decay=0.9, dropout=0.2)
        if fake is not None:
            trainer.graph = StepGraph(4, CPU, trainer.stepper.optimizer)
            take = trainer.graph.take
            trainer.graph.take = lambda rows, step: take(rows, fake.watching(step))  # type: ignore[method-assign]
        fit(trainer)
        if rolls_back:
            trainer.rollback(trainer.state_dict())
            trainer.epochs = 3
            fit(trainer)
        return trainer

    plain = fitted(None)
    fake = FakeGraphs(monkeypatch)
    graphed = fitted(fake)
    assert fake.told.count("replay") == 14 - 3 + (7 - 3 if rolls_back else 0)
    assert fake.told.count("capture") == 1 + rolls_back  # what was loaded lies elsewhere
    assert same(graphed.state_dict(), plain.state_dict())


def test_a_step_that_is_looked_at_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fitted(fake: FakeGraphs | None) -> Trainer:
        trainer = make_trainer(epochs=2, balancing="uncertainty", look_every=3)
        if fake is not None:
            trainer.graph = StepGraph(4, CPU, trainer.stepper.optimizer)
            take = trainer.graph.take
            trainer.graph.take = lambda rows, step: take(rows, fake.watching(step))  # type: ignore[method-assign]
        trainer.fit(make_loader(make_panel(), 10, 37, batch_size=4), make_loader(make_panel(), 45, 54))
        return trainer

    plain = fitted(None)
    fake = FakeGraphs(monkeypatch)
    assert same(fitted(fake).state_dict(), plain.state_dict())
    assert fake.told.count("replay") == 2 * 4 - 3  # of seven steps three are looked at


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_a_capturable_optimizer_has_its_learning_rate_in_a_tensor_that_schedules_write_to(name: str) -> None:
    trainer = make_trainer(optimizer=name)
    optimizer = make_optimizer(name, trainer.model, learning_rate=0.5, weight_decay=0.1, momentum=0.9, capturable=True)
    rates = [group["lr"] for group in optimizer.param_groups]
    trainer.schedule.optimizer = optimizer
    trainer.schedule.scale(0.25)
    assert all(isinstance(rate, Tensor) for rate in rates)
    assert [float(rate) for rate in rates] == pytest.approx([0.0025, 0.0025])
    assert all(group["lr"] is rate for group, rate in zip(optimizer.param_groups, rates, strict=True))


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("balancing", [{}, {"balancing": "uncertainty", "look_every": 3}], ids=["fixed", "uncertainty"])
def test_on_a_gpu_replayed_steps_have_the_bits_of_steps_taken_one_by_one(
    precision: str, optimizer: str, balancing: dict[str, Any]
) -> None:
    def fitted(graphed: bool) -> Trainer:
        options = {"precision": precision, "optimizer": optimizer, "device": CUDA, "capturable": True, **balancing}
        trainer = make_trainer(epochs=4, ema_decay=0.9, **options)
        if graphed:
            trainer.graph = StepGraph(8, CUDA, trainer.stepper.optimizer)
        panel = make_panel().to(CUDA)
        trainer.fit(make_loader(panel, 10, 43, shuffle_seed=0), make_loader(panel, 45, 54))
        assert not graphed or (trainer.graph is not None and trainer.graph._graph is not None)
        return trainer

    plain, replayed = fitted(False), fitted(True)
    assert same(weights(replayed.model), weights(plain.model))
    assert same(replayed.history, plain.history)


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("balancing", ["fixed", "uncertainty", "dwa", "gradnorm", "pcgrad"])
def test_on_a_gpu_a_step_never_waits(balancing: str) -> None:
    trainer = make_trainer(device=CUDA, precision="bf16", ema_decay=0.9, balancing=balancing, look_every=1)
    loader = make_loader(make_panel().to(CUDA), 10, 33)
    batches = list(loader)
    trainer._learn([batches[0]])
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer._learn([batches[1]])
        loader.gather(batches[2].row)
    finally:
        torch.cuda.set_sync_debug_mode("default")
