"""A callback: looks on after each epoch, and may end the training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hybrid_trainer.extend import Callback, CallbackConfig, Trainer, callback, check_range, key


@dataclass(kw_only=True)
class WeightNormConfig(CallbackConfig):
    """Ends a training whose weights grow too large."""

    limit: float = key(1000.0, "the largest norm of all weights with which training goes on")

    def __post_init__(self) -> None:
        check_range("limit", self.limit, above=0)


@callback("weight_norm", WeightNormConfig)
class WeightNorm(Callback):
    """Writes each epoch's norm of the weights to weight_norm.txt in the run's folder, and stops above a limit."""

    def __init__(self, folder: Path, *, limit: float) -> None:
        self.file = folder / "weight_norm.txt"
        self.limit = limit
        self.norms: list[float] = []

    def epoch_end(self, trainer: Trainer) -> None:
        """Once an epoch the device may be waited for; in `step_end` it must not be."""
        with torch.no_grad():
            squares = [p.double().square().sum() for p in trainer.model.parameters()]
        self.norms.append(float(torch.stack(squares).sum().sqrt()))
        if trainer.ranks.first:  # of several processes one writes
            self.file.write_text("".join(f"{norm:.6g}\n" for norm in self.norms), encoding="utf-8")
        if self.norms[-1] > self.limit:
            trainer.stop_reason = f"weight_norm: the weights' norm is {self.norms[-1]:.6g}, above {self.limit:g}"

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to go on as if nothing had happened."""
        return {"norms": list(self.norms)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state."""
        self.norms = list(state["norms"])
