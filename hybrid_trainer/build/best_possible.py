"""What could be said at best, where that is known."""

from __future__ import annotations

import numpy as np
import torch

from hybrid_trainer.config.data import SyntheticData
from hybrid_trainer.config.schema import Config
from hybrid_trainer.config.targets import SignalTarget
from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.data.synthetic import best_signal_probabilities


def oracles(config: Config, data: Dataset) -> dict[str, torch.Tensor]:
    """What could be said at best, where that is known: {task: (N, D) log probabilities}; nothing for real data."""
    if not isinstance(config.data, SyntheticData) or config.data.shuffle_labels:
        return {}
    return {
        name: torch.from_numpy(np.log(best_signal_probabilities(config.data, target, data.table).clip(1e-30)))
        for name, target in config.active_targets.items()
        if isinstance(target, SignalTarget) and target.horizon == 1 and target.thresholds is not None
    }
