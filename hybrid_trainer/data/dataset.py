"""Everything a run knows of its data, after splitting and fitting: what loaders, evaluation and the bundle read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hybrid_trainer.data.forecasts import Forecast
from hybrid_trainer.data.panel import Panel
from hybrid_trainer.data.scaling import Scaler
from hybrid_trainer.data.splits import Split
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.targets import Target
from hybrid_trainer.data.vocabulary import Vocabulary
from hybrid_trainer.data.windows import PanelTensors, WindowLoader
from hybrid_trainer.types import TargetSpec


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A table, made ready for one run.

    Attributes:
        table, panel: the rows, and their features in units.
        targets: labels and descriptions, in the order of the heads; numbers in units.
        split, split_report: the decision rows of each part, and what is said of them.
        scaler, context_scaler, vocabularies: fitted on training rows; no context scaler where there is no context.
        tensors: scaled features and context, ids, labels and masks on the device.
    """

    table: Table
    panel: Panel
    targets: list[Target]
    split: Split
    split_report: dict[str, Any]
    scaler: Scaler
    context_scaler: Scaler | None
    vocabularies: dict[str, Vocabulary]
    tensors: PanelTensors
    time_window: int

    @property
    def specs(self) -> list[TargetSpec]:
        """The tasks' descriptions, in the order of the heads."""
        return [target.spec for target in self.targets]

    def loader(self, part: str, batch_size: int, shuffle_seed: int | None = None) -> WindowLoader:
        """Batches of one part's windows."""
        return WindowLoader(
            self.tensors,
            torch.from_numpy(self.split.rows[part]),
            time_window=self.time_window,
            batch_size=batch_size,
            shuffle_seed=shuffle_seed,
        )


def panel_tensors(
    features: NDArray[np.float32], context: NDArray[np.float32] | None, ids: NDArray[np.int32], targets: list[Target]
) -> PanelTensors:
    """Tensors of scaled features (N, F) and context (N, C), ids (N, K) and labels; numbers are scaled here."""
    labels: dict[str, torch.Tensor] = {}
    masks: dict[str, torch.Tensor] = {}
    steps: dict[str, int] = {}
    weights: dict[str, torch.Tensor] = {}
    for target in targets:
        spec, labelled = target.spec, target.labelled
        masks[spec.name] = torch.from_numpy(labelled.astype(np.float32))
        if target.weights is not None:
            weights[spec.name] = torch.from_numpy(target.weights)
        if isinstance(target, Forecast):
            labels[spec.name] = torch.from_numpy(target.scaled_columns())
            steps[spec.name] = spec.horizon
        elif spec.kind == "classification":
            labels[spec.name] = torch.from_numpy(np.where(labelled, target.values, 0))
        else:
            scaled = (target.values - np.array(spec.shift)) / np.array(spec.scale)
            labels[spec.name] = torch.from_numpy(np.where(labelled[:, None], scaled, 0.0).astype(np.float32))
    return PanelTensors(
        features=torch.from_numpy(features),
        context=None if context is None else torch.from_numpy(context),
        ids=torch.from_numpy(ids),
        targets=labels,
        mask=masks,
        steps=steps,
        weight=weights,
    )
