"""What a run computes with."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hybrid_trainer.config.schema import Config
from hybrid_trainer.engine.device import Precision, choose_device, choose_precision


@dataclass(frozen=True)
class Machine:
    """What a run computes with."""

    device: torch.device
    precision: Precision


def machine(config: Config) -> Machine:
    """Choose device and precision."""
    device = choose_device(config.training.device)
    return Machine(device, choose_precision(config.training.precision, device))
