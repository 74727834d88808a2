"""Which device and which precision a run computes with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from hybrid_trainer.errors import ConfigError
from hybrid_trainer.ranks import local_rank


def choose_device(name: str) -> torch.device:
    """auto, cpu or cuda -> a device; cuda without a GPU is a ConfigError."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigError("training.device: there is no GPU that torch can use; set training.device=cpu or auto")
    if not available or name == "cpu":
        return torch.device("cpu")
    return torch.device("cuda", local_rank())  # with its number, so that it equals the device of tensors on it


def gpus() -> dict[str, Any]:
    """For a run's record: the names of all GPUs that torch sees, and the versions that it uses them with."""
    if not torch.cuda.is_available():
        return {}
    return {
        "gpus": [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())],
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
    }


@dataclass(frozen=True)
class Precision:
    """What forward passes compute in; `dtype` None is plain float32, float16 also needs its gradients scaled.

    Attributes:
        asked: what the config says, where that is something else: bf16 on a CPU without units for it is fp32.
        without_onednn: whether oneDNN is left out, which on this CPU knows the type but has no recurrent layers for it;
            torch's own compute those in float32.
    """

    name: str
    device: torch.device
    dtype: torch.dtype | None
    asked: str | None = None
    without_onednn: bool = False

    def autocast(self) -> AbstractContextManager[object]:
        """The context for a forward pass."""
        if self.dtype is None:
            return nullcontext()
        if self.without_onednn:
            return _autocast_without_onednn(self.dtype)
        return torch.autocast(self.device.type, dtype=self.dtype)

    def scaler(self) -> torch.amp.GradScaler:
        """Scales the loss so that float16 gradients don't underflow; does nothing for other types."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype is torch.float16)


def choose_precision(name: str, device: torch.device) -> Precision:
    """auto, fp32, bf16 or fp16; auto: bf16 on a GPU that has it, fp16 on an older one, fp32 on a CPU.

    bf16 exists for speed. A CPU without units for it takes ten times as long as in float32, for fewer digits: there it
    is fp32 too. fp16 on a CPU, slow on all of them, is for trying out what a GPU will do: it stays what it is.
    """
    if name == "auto":
        name = "fp32"
        if device.type == "cuda":
            name = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[name]
    if dtype is None or device.type != "cpu" or _lstm_in(dtype):
        return Precision(name, device, dtype)
    if name == "bf16":
        return Precision("fp32", device, None, asked=name)
    return Precision(name, device, dtype, without_onednn=True)


@contextmanager
def _autocast_without_onednn(dtype: torch.dtype) -> Iterator[None]:
    before = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]  # flags() sets others too, and warns of them
    try:
        with torch.autocast("cpu", dtype=dtype):
            yield
    finally:
        torch.backends.mkldnn.enabled = before


@cache
def _lstm_in(dtype: torch.dtype) -> bool:
    """Whether oneDNN has an LSTM in this type on this CPU: without AVX-512 it has none, and says so when called."""
    x, h, c = (torch.zeros(1, 1, 1) for _ in range(3))
    weights = [torch.zeros(4, 1), torch.zeros(4, 1), torch.zeros(4), torch.zeros(4)]
    try:
        with torch.no_grad(), torch.autocast("cpu", dtype=dtype):
            torch.lstm(x, [h, c], weights, True, 1, 0.0, False, False, False)
    except RuntimeError:
        return False
    return True
