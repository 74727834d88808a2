"""Which device and which precision a run computes with."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
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
    """What forward passes compute in; `dtype` None is plain float32, float16 also needs its gradients scaled."""

    name: str
    device: torch.device
    dtype: torch.dtype | None

    def autocast(self) -> AbstractContextManager[object]:
        """The context for a forward pass."""
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def scaler(self) -> torch.amp.GradScaler:
        """Scales the loss so that float16 gradients don't underflow; does nothing for other types."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype is torch.float16)


def choose_precision(name: str, device: torch.device) -> Precision:
    """auto, fp32, bf16 or fp16; auto: bf16 on a GPU that has it, fp16 on an older one, fp32 on a CPU."""
    if name == "auto":
        name = "fp32"
        if device.type == "cuda":
            name = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return Precision(name, device, {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[name])
