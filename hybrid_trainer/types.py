"""What everybody may use: a batch, a target's description, an epoch row.

Shape legend: B batch, T time, F feature, C context column, K categorical input, D output of a head.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Kind = Literal["classification", "regression", "quantile", "forecast"]
Link = Literal["identity", "softplus", "outwards"]

SPLITS = ("train", "valid", "test")

EpochRow = dict[str, float]
"""One flat mapping per epoch: {"epoch": 3, "train/loss": ..., "valid/signal/macro_f1": ..., "lr": ...}."""

METRICS: dict[Kind, tuple[str, ...]] = {
    "classification": ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "log_loss"),
    "regression": ("mae", "rmse", "r2"),
    "quantile": ("pinball", "mae", "rmse", "coverage", "coverage_error"),
    "forecast": ("mse", "mae"),
}
"""The metrics of each kind of head that add up while batches pass, for every part; in the order of showing."""

WHOLE_METRICS: dict[Kind, tuple[str, ...]] = {
    "classification": ("auroc", "ece"),
    "regression": ("spearman", "ic"),
    "quantile": (),
    "forecast": (),
}
"""Those that need all rows of a part at once: for valid and test alone. `whole_metric_names` has those of a task."""

LOWER_IS_BETTER = {"loss", "log_loss", "mae", "rmse", "mse", "pinball", "coverage_error", "ece", "qlike"}
"""Of all numbers in an epoch row, those that are better when they are smaller; plug-ins add theirs."""

JUDGED_BY = {"coverage": "coverage_error"}
"""Numbers of which neither more nor less is better, and the metric that judges them."""

MOST_CLASSES = 50
"""A task with more classes has no recall per class, and no area under a curve."""


def recall_names(labels: tuple[str, ...]) -> tuple[str, ...]:
    """recall_down, recall_flat, ...: a metric per class; by number where two names would look alike."""
    names = tuple(f"recall_{re.sub(r'[^0-9A-Za-z_]+', '_', label)}" for label in labels)
    return names if len(set(names)) == len(names) else tuple(f"recall_{number}" for number in range(len(labels)))


def whole_metric_names(kind: Kind, labels: tuple[str, ...], *, log_volatility: bool = False) -> tuple[str, ...]:
    """A task's metrics that need all rows of a part at once, in the order in which they are shown.

    Args:
        labels: the classes' or numbers' names. log_volatility: as of the task's TargetSpec.
    """
    of_classes = recall_names(labels) if kind == "classification" and len(labels) <= MOST_CLASSES else ()
    return (*WHOLE_METRICS[kind], *of_classes, *(("qlike",) if log_volatility and kind == "regression" else ()))


@dataclass(frozen=True, kw_only=True)
class TargetSpec:
    """What one head predicts.

    Attributes:
        name: the task's name, as in data.targets.
        kind: classification (the head gives `dim` logits), regression (`dim` numbers), quantile (`dim` quantiles of one
            number), or forecast (the next `horizon` rows of some columns, row after row, judged in scaled units).
        dim: number of classes, of numbers or of quantiles.
        horizon: how many bars after the decision row the label reaches; its interval is (t, t + horizon].
        labels: the classes' names, or the numbers' names; `dim` of them.
        link: how a raw output becomes a number in scaled units: softplus where it must be positive; outwards for
            quantiles: the median, and the steps from it to both sides, so that they never cross.
        shift, scale: scaled = (value - shift) / scale, one pair per number, from training rows; empty for classes. The
            quantiles of a number share one pair.
        quantiles: the probabilities of a quantile head, increasing, 0.5 among them.
        spread: whether the head tells a standard deviation beside each number: it has `dim` further outputs.
        borders: class borders that were fitted on training rows (threshold_quantiles); else empty.
        log_volatility: whether the number is the log of a volatility, which has a metric of its own (qlike).
    """

    name: str
    kind: Kind
    dim: int
    horizon: int
    labels: tuple[str, ...]
    link: Link = "identity"
    shift: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    quantiles: tuple[float, ...] = ()
    borders: tuple[float, ...] = ()
    spread: bool = False
    log_volatility: bool = False

    @property
    def outputs(self) -> int:
        """Columns of the head's raw output."""
        return 2 * self.dim if self.spread else self.dim

    @property
    def output_name(self) -> str:
        """The name under which the bundle gives this head's prediction: `signal_probs`, `volatility_pred`."""
        return f"{self.name}_{'probs' if self.kind == 'classification' else 'pred'}"

    @property
    def spread_name(self) -> str:
        """The name under which it gives the standard deviation, where the head tells one: `volatility_std`."""
        return f"{self.name}_std"

    @property
    def output_names(self) -> list[str]:
        """All names under which it gives something of this head."""
        return [self.output_name, self.spread_name] if self.spread else [self.output_name]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Windows and labels of B decision rows.

    Attributes:
        x: (B, T, F) float32, scaled features; the last step is the decision row.
        context: (B, C) float32 at the decision row, scaled; NaN in all columns of a block that is missing there. None
            where there are no context blocks.
        ids: (B, K) int64, categorical inputs; 0 is `<unk>`.
        targets: per task (B,) int64 classes or (B, D) float32 scaled numbers; arbitrary where masked. A quantile task
            has one number: (B, 1).
        mask: per task (B,) float32, 1 where there is a label, else 0.
        row: (B,) int64, the decision row in the panel.
        weight: per task (B,) float32, how much a row counts in the loss; only for tasks whose target has weights.
    """

    x: torch.Tensor
    context: torch.Tensor | None
    ids: torch.Tensor
    targets: dict[str, torch.Tensor]
    mask: dict[str, torch.Tensor]
    row: torch.Tensor
    weight: dict[str, torch.Tensor] = field(default_factory=dict)

    def to(self, device: torch.device) -> Batch:
        """The same on another device; the copy doesn't wait for the device."""

        def one(value: torch.Tensor) -> torch.Tensor:
            # A GPU fetches by itself from pinned memory alone; from other memory the copy would wait.
            pinned = value.pin_memory() if device.type == "cuda" and value.device.type == "cpu" else value
            return pinned.to(device, non_blocking=True)

        return Batch(
            x=one(self.x),
            context=None if self.context is None else one(self.context),
            ids=one(self.ids),
            targets={task: one(value) for task, value in self.targets.items()},
            mask={task: one(value) for task, value in self.mask.items()},
            row=one(self.row),
            weight={task: one(value) for task, value in self.weight.items()},
        )
