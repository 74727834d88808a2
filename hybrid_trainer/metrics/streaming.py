"""Streaming metrics: sums on the device while batches pass, numbers when the epoch ends; exact over masked rows.

Each equals scikit-learn's of the same name on the labelled rows; no row counts more than another, whatever the loss
does. Shape legend: B batch, D output of a head, C classes, Q quantiles.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from hybrid_trainer.links import pinball, to_scaled
from hybrid_trainer.types import Kind, TargetSpec

AT_ONCE = 8192


class Sums:
    """What adds up in tensors: they are its state."""

    def tensors(self) -> list[Tensor]:
        """All of them."""
        return [value for value in vars(self).values() if isinstance(value, Tensor)]

    def state_dict(self) -> dict[str, Any]:
        """A copy of every tensor, by its name."""
        return {name: value.clone() for name, value in vars(self).items() if isinstance(value, Tensor)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state."""
        for name, value in state.items():
            getattr(self, name).copy_(value)


class Streaming(Sums):
    """Adds small batches up in larger pieces, which on a CPU costs a tenth: most of a small sum is the call.

    Batches wait until they hold `AT_ONCE` outputs; the state has those that wait, so that a resumed run sums the same
    pieces. On a GPU none waits: there a captured step may write into the same tensors again.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Tensor, Tensor, Tensor]] = []
        self._outputs = 0

    def update(self, raw: Tensor, target: Tensor, mask: Tensor) -> None:
        """Add a batch: raw outputs (B, D), labels (B,) or (B, D), mask (B,)."""
        self._waiting.append((raw, target, mask))
        self._outputs += raw.numel()
        if self._outputs >= AT_ONCE or raw.device.type != "cpu":
            self._add_waiting()

    def tensors(self) -> list[Tensor]:
        """All of them; none waits any longer."""
        self._add_waiting()
        return super().tensors()

    def _add_waiting(self) -> None:
        if self._waiting:
            self._add(*(torch.cat(parts) for parts in zip(*self._waiting, strict=True)))
        self._waiting, self._outputs = [], 0

    def _add(self, raw: Tensor, target: Tensor, mask: Tensor) -> None:
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """The sums, and the batches that wait to be added."""
        waiting = [[part.clone() for part in batch] for batch in self._waiting]  # a clone leaves out what it was cut of
        return super().state_dict() | {"waiting": waiting}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state."""
        super().load_state_dict({name: value for name, value in state.items() if name != "waiting"})
        self._waiting, self._outputs = [], 0
        for batch in state["waiting"]:
            self.update(*batch)


class Metric(Protocol):
    """A running set of sums for one task."""

    def update(self, raw: Tensor, target: Tensor, mask: Tensor) -> None:
        """Add a batch: raw outputs (B, D), labels (B,) or (B, D), mask (B,); nothing waits for the device."""

    def compute(self) -> dict[str, float]:
        """The metrics of all rows added so far; NaN where no row had a label. Waits for the device."""

    def tensors(self) -> list[Tensor]:
        """The sums."""

    def state_dict(self) -> dict[str, Any]:
        """The sums, by name."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state."""


class ClassificationMetric(Streaming):
    """Accuracy, balanced accuracy, macro F1, Matthews correlation and log-loss from a confusion matrix."""

    def __init__(self, spec: TargetSpec, device: torch.device) -> None:
        super().__init__()
        self.confusion = torch.zeros(spec.dim, spec.dim, dtype=torch.float64, device=device)  # (C true, C predicted)
        self.log_loss = torch.zeros((), dtype=torch.float64, device=device)

    def _add(self, raw: Tensor, target: Tensor, mask: Tensor) -> None:
        """Add (B, C) logits, (B,) classes, (B,) mask."""
        classes = raw.shape[1]
        true = F.one_hot(target, classes).float() * mask[:, None]  # (B, C)
        predicted = F.one_hot(raw.argmax(dim=1), classes).float()  # (B, C)
        # A product of 0/1 matrices counts exactly in float32 and, unlike bincount, neither waits nor races on a GPU.
        self.confusion += (true.T @ predicted).double()
        nll = F.cross_entropy(raw.float(), target, reduction="none")
        self.log_loss += torch.where(mask > 0, nll, 0.0).sum(dtype=torch.float64)

    def compute(self) -> dict[str, float]:
        """Classes that neither occur nor are predicted are left out of the means, as in scikit-learn."""
        self._add_waiting()
        confusion = self.confusion.cpu()
        n = confusion.sum()
        hits, true, predicted = confusion.diag(), confusion.sum(dim=1), confusion.sum(dim=0)
        recall = hits / true
        f1 = 2 * hits / (true + predicted)
        covariance = hits.sum() * n - (true * predicted).sum()
        spread = ((n**2 - (predicted**2).sum()) * (n**2 - (true**2).sum())).sqrt()
        return {
            "accuracy": (hits.sum() / n).item(),
            "balanced_accuracy": recall[true > 0].mean().item(),
            "macro_f1": f1[true + predicted > 0].mean().item(),
            "mcc": (covariance / spread).item() if spread > 0 else (0.0 if n > 0 else float("nan")),
            "log_loss": (self.log_loss.cpu() / n).item(),
        }


class RegressionMetric(Streaming):
    """MAE, RMSE and R², each the mean over the D numbers; MAE and RMSE in the target's own units."""

    def __init__(self, spec: TargetSpec, device: torch.device) -> None:
        super().__init__()
        self.spec = spec
        self.count = torch.zeros((), dtype=torch.float64, device=device)
        # rows: |error|, error², label, label²; in scaled units, so that the sums of squares keep their digits. (4, D)
        self.sums = torch.zeros(4, spec.dim, dtype=torch.float64, device=device)

    def _add(self, raw: Tensor, target: Tensor, mask: Tensor) -> None:
        """Add (B, D) raw outputs, (B, D) scaled labels, (B,) mask."""
        label = target.double()
        error = to_scaled(raw.double(), self.spec) - label
        rows = torch.stack([error.abs(), error**2, label, label**2])  # (4, B, D)
        self.sums += torch.where(mask[:, None] > 0, rows, 0.0).sum(dim=1)
        self.count += mask.sum()

    def compute(self) -> dict[str, float]:
        """R² is 1 - residual / total sum of squares per number (where labels never change 1 or 0), then the mean."""
        self._add_waiting()
        n = self.count.cpu()
        absolute, squared, label, label_squared = self.sums.cpu()
        scale = torch.tensor(self.spec.scale, dtype=torch.float64)
        total = label_squared - label**2 / n
        return {
            "mae": (absolute / n * scale).mean().item(),
            "rmse": ((squared / n).sqrt() * scale).mean().item(),
            "r2": torch.where(total > 1e-12 * label_squared, 1 - squared / total, (squared == 0).double()).mean().item()
            if n
            else math.nan,
        }


class QuantileMetric(Streaming):
    """Pinball loss (the mean over the quantiles), MAE and RMSE of the median, all in units; and how honest a range is.

    `coverage` is the share of labels in [first, last quantile], `coverage_error` its distance from the share that
    should be there.
    """

    def __init__(self, spec: TargetSpec, device: torch.device) -> None:
        super().__init__()
        self.spec = spec
        self.count = torch.zeros((), dtype=torch.float64, device=device)
        # pinball, |error of the median|, its square, whether the label is in the range. (4,)
        self.sums = torch.zeros(4, dtype=torch.float64, device=device)

    def _add(self, raw: Tensor, target: Tensor, mask: Tensor) -> None:
        """Add (B, Q) raw outputs, (B, 1) scaled labels, (B,) mask."""
        label = target.double()  # (B, 1)
        predicted = to_scaled(raw.double(), self.spec)  # (B, Q)
        median = predicted[:, self.spec.quantiles.index(0.5)] - label[:, 0]  # (B,)
        inside = (predicted[:, 0] <= label[:, 0]) & (label[:, 0] <= predicted[:, -1])
        rows = torch.stack([pinball(predicted, label, self.spec.quantiles), median.abs(), median**2, inside.double()])
        self.sums += torch.where(mask > 0, rows, 0.0).sum(dim=1)
        self.count += mask.sum()

    def compute(self) -> dict[str, float]:
        """The metrics in the target's units."""
        self._add_waiting()
        loss, absolute, squared, inside = (self.sums.cpu() / self.count.cpu()).tolist()
        (scale,) = self.spec.scale
        nominal = self.spec.quantiles[-1] - self.spec.quantiles[0]
        return {
            "pinball": loss * scale,
            "mae": absolute * scale,
            "rmse": math.sqrt(squared) * scale,
            "coverage": inside,
            "coverage_error": abs(inside - nominal),
        }


class ForecastMetric(Streaming):
    """MSE and MAE over rows, steps and columns together, in scaled units: columns of any unit count the same."""

    def __init__(self, spec: TargetSpec, device: torch.device) -> None:
        super().__init__()
        self.spec = spec
        self.count = torch.zeros((), dtype=torch.float64, device=device)
        self.sums = torch.zeros(2, dtype=torch.float64, device=device)

    def _add(self, raw: Tensor, target: Tensor, mask: Tensor) -> None:
        """Add (B, D) raw outputs, (B, D) scaled labels, (B,) mask."""
        error = to_scaled(raw.float(), self.spec) - target
        rows = torch.stack([(error**2).mean(dim=1), error.abs().mean(dim=1)])  # (2, B)
        self.sums += torch.where(mask > 0, rows, 0.0).sum(dim=1, dtype=torch.float64)
        self.count += mask.sum()

    def compute(self) -> dict[str, float]:
        """The means."""
        self._add_waiting()
        squared, absolute = (self.sums.cpu() / self.count.cpu()).tolist()
        return {"mse": squared, "mae": absolute}


METRIC_CLASSES: dict[Kind, type[ClassificationMetric | RegressionMetric | QuantileMetric | ForecastMetric]] = {
    "classification": ClassificationMetric,
    "regression": RegressionMetric,
    "quantile": QuantileMetric,
    "forecast": ForecastMetric,
}


def metric_for(spec: TargetSpec, device: torch.device) -> Metric:
    """The metric of a task's kind."""
    return METRIC_CLASSES[spec.kind](spec, device)
