"""Devices and precisions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hybrid_trainer.engine import device
from hybrid_trainer.engine.device import choose_device, choose_precision
from hybrid_trainer.errors import ConfigError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def pretend(monkeypatch: pytest.MonkeyPatch, *, gpu: bool, bf16: bool = True) -> None:
    """Say that there is a GPU, or none; nothing is computed on it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16 or including_emulation)


@pytest.mark.parametrize(
    ("name", "gpu", "device"),
    [
        ("auto", False, "cpu"),
        ("auto", True, "cuda:0"),
        ("cpu", True, "cpu"),
        ("cpu", False, "cpu"),
        ("cuda", True, "cuda:0"),
    ],
)
def test_the_device_is_chosen_by_name(monkeypatch: pytest.MonkeyPatch, name: str, gpu: bool, device: str) -> None:
    pretend(monkeypatch, gpu=gpu)
    assert choose_device(name) == torch.device(device)


def test_cuda_without_a_gpu_is_refused_under_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, gpu=False)
    with pytest.raises(ConfigError, match=r"^training\.device: .*training\.device=cpu"):
        choose_device("cuda")


@pytest.mark.parametrize(
    ("name", "dtype"), [("fp32", None), ("bf16", torch.bfloat16), ("fp16", torch.float16), ("auto", None)]
)
def test_the_precision_on_a_cpu(monkeypatch: pytest.MonkeyPatch, name: str, dtype: torch.dtype | None) -> None:
    monkeypatch.setattr(device, "_lstm_in", lambda dtype: True)
    precision = choose_precision(name, CPU)
    assert precision.dtype == dtype
    assert precision.name == ("fp32" if name == "auto" else name)


@pytest.mark.parametrize(("bf16", "name"), [(True, "bf16"), (False, "fp16")])
def test_auto_on_a_gpu_is_bf16_only_where_it_is_native(monkeypatch: pytest.MonkeyPatch, bf16: bool, name: str) -> None:
    pretend(monkeypatch, gpu=True, bf16=bf16)
    assert choose_precision("auto", CUDA).name == name


@pytest.mark.parametrize(
    ("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_a_product_inside_the_context_has_the_precisions_type(
    monkeypatch: pytest.MonkeyPatch, name: str, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(device, "_lstm_in", lambda dtype: True)
    a = torch.ones(2, 2)
    with choose_precision(name, CPU).autocast():
        assert (a @ a).dtype == dtype
    assert (a @ a).dtype == torch.float32


@pytest.mark.parametrize("known", [True, False], ids=["oneDNN as it is", "oneDNN without"])
@pytest.mark.parametrize("name", ["fp32", "bf16", "fp16"])
def test_recurrent_layers_learn_in_every_precision_on_every_cpu(
    monkeypatch: pytest.MonkeyPatch, name: str, known: bool
) -> None:
    if not known:
        monkeypatch.setattr(device, "_lstm_in", lambda dtype: False)
    precision = choose_precision(name, CPU)
    assert known or precision.without_onednn is (name == "fp16")
    lstm, head = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 1)
    before = torch.backends.mkldnn.enabled
    with precision.autocast():
        out = head(lstm(torch.randn(2, 5, 3))[0])
    assert torch.backends.mkldnn.enabled is before
    assert out.dtype == (precision.dtype or torch.float32)
    out.float().sum().backward()
    assert lstm.weight_hh_l0.grad is not None and bool(lstm.weight_hh_l0.grad.isfinite().all())
    with pytest.raises(ValueError, match="inside"), precision.autocast():
        raise ValueError("inside")
    assert torch.backends.mkldnn.enabled is before


def test_bf16_is_fp32_on_a_cpu_without_units_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_lstm_in", lambda dtype: False)
    precision = choose_precision("bf16", CPU)
    assert (precision.name, precision.dtype, precision.asked) == ("fp32", None, "bf16")
    assert choose_precision("fp16", CPU).dtype is torch.float16
    assert choose_precision("bf16", CUDA).dtype is torch.bfloat16


@pytest.mark.parametrize(("name", "scales"), [("fp32", False), ("bf16", False), ("fp16", True)])
def test_only_float16_scales_its_loss(name: str, scales: bool) -> None:
    scaler = choose_precision(name, CPU).scaler()
    assert scaler.is_enabled() is scales
    scaled = scaler.scale(torch.tensor(3.0)).item()
    assert (scaled > 1000) is scales
    assert scales or scaled == 3.0
