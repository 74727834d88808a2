"""The plug-ins by themselves: no run is needed to test them."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import trend_plugins  # noqa: F401  enters everything
from trend_plugins.callback import WeightNorm
from trend_plugins.features import acceleration, body
from trend_plugins.loss import LogCosh
from trend_plugins.metric import sure_accuracy
from trend_plugins.model import Gated
from trend_plugins.schedule import Halving
from trend_plugins.source import RandomWalkData, random_walk

from hybrid_trainer.extend import Bars, InputDims, Steps, TargetSpec


def test_features_by_hand() -> None:
    close = np.exp(np.array([0.0, 0.1, 0.3, 0.6, 1.0]))
    bars = Bars({"open": close / np.exp(0.02), "high": close, "low": close, "close": close})
    np.testing.assert_allclose(body(bars)[-1], 0.02)
    np.testing.assert_allclose(acceleration(bars)[2:], 0.1)


def test_the_source_has_sound_bars() -> None:
    frame = random_walk(RandomWalkData(walks=2, days=100))
    assert frame.shape == (200, 6)
    assert (frame["low"] <= frame["close"]).all() and (frame["close"] <= frame["high"]).all()
    assert frame.equals(random_walk(RandomWalkData(walks=2, days=100)))


def test_the_model_gives_an_output_per_head() -> None:
    dims = InputDims(features=3, context={}, time_window=4, vocabularies={"instrument": 5}, heads={"a": 2, "b": 1})
    model = Gated(dims, units=8, dropout=0.0, embeddings={"instrument": 2}, use_context=True, unknown_rate=0.0)
    outputs = model(torch.randn(6, 4, 3), None, torch.zeros(6, 1, dtype=torch.long))
    assert {task: tuple(raw.shape) for task, raw in outputs.items()} == {"a": (6, 2), "b": (6, 1)}


def test_the_loss_is_the_log_of_cosh_and_does_not_overflow() -> None:
    spec = TargetSpec(name="a", kind="regression", dim=2, horizon=1, labels=("a", "b"))
    raw, label = torch.tensor([[1.0, -2.0], [0.0, 500.0]]), torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    by_hand = [4 * (np.log(np.cosh(0.5)) + np.log(np.cosh(1.0))) / 2, 4 * (250 - np.log(2)) / 2]
    np.testing.assert_allclose(LogCosh(spec, width=2.0)(raw, label), by_hand, rtol=1e-6)


def test_the_metric_looks_at_the_surest_rows() -> None:
    spec = TargetSpec(name="a", kind="classification", dim=2, horizon=1, labels=("a", "b"))
    predicted, label = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.5, 0.5]]), np.array([0, 0, 0, 1])
    assert sure_accuracy(predicted, label, spec, share=0.5) == 0.5
    assert sure_accuracy(predicted, label, spec, share=0.01) == 1.0


def test_the_callback_stops_and_remembers(tmp_path: Path) -> None:
    watch = WeightNorm(tmp_path, limit=4.0)
    trainer = SimpleNamespace(model=torch.nn.Linear(1, 1), ranks=SimpleNamespace(first=True), stop_reason=None)
    with torch.no_grad():
        trainer.model.weight.fill_(3.0)
        trainer.model.bias.fill_(4.0)
    watch.epoch_end(trainer)
    assert trainer.stop_reason == "weight_norm: the weights' norm is 5, above 4"
    assert (tmp_path / "weight_norm.txt").read_text() == "5\n"
    again = WeightNorm(tmp_path, limit=4.0)
    again.load_state_dict(watch.state_dict())
    assert again.norms == [5.0]


def test_the_schedule_halves() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.8)
    halving = Halving(optimizer, Steps(warmup=0, per_epoch=5, total=50), every=2)
    rates = []
    for epoch in range(1, 5):
        halving.epoch({"epoch": float(epoch)})
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.8, 0.4, 0.4, 0.2])
