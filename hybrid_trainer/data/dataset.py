"""Everything a run knows of its data, after splitting and fitting: what loaders, evaluation and the bundle read."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hybrid_trainer.data.forecasts import Forecast
from hybrid_trainer.data.panel import Panel
from hybrid_trainer.data.room import IN_MEMORY, PIECE, Room, on_disk
from hybrid_trainer.data.scaling import Scaler
from hybrid_trainer.data.splits import Split
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.targets import Target
from hybrid_trainer.data.vocabulary import Vocabulary
from hybrid_trainer.data.windows import PanelTensors, WindowLoader
from hybrid_trainer.types import TargetSpec

_WORKERS = 2  # threads that gather ahead, where the panel is on disk or the batches go to another device


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A table, made ready for one run.

    Attributes:
        table, panel: the rows, and their features in units.
        targets: labels and descriptions, in the order of the heads; numbers in units.
        split, split_report: the decision rows of each part, and what is said of them.
        scaler, context_scaler, vocabularies: fitted on training rows; no context scaler where there is no context.
        tensors: features, context, ids, labels and masks: scaled, on the device, in memory, or maps of files.
        device: where batches go.
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
    device: torch.device

    @property
    def specs(self) -> list[TargetSpec]:
        """The tasks' descriptions, in the order of the heads."""
        return [target.spec for target in self.targets]

    def loader(
        self, part: str, batch_size: int, shuffle_seed: int | None = None, share: tuple[int, int] = (0, 1)
    ) -> WindowLoader:
        """Batches of one part's windows, or of each batch the share of one of several processes."""
        return WindowLoader(
            self.tensors,
            torch.from_numpy(self.split.rows[part]),
            time_window=self.time_window,
            batch_size=batch_size,
            shuffle_seed=shuffle_seed,
            device=self.device,
            workers=_WORKERS if self.tensors.mapped or self.tensors.features.device.type != self.device.type else 0,
            share=share,
            moments=self.moments(part) if shuffle_seed is None else None,
        )

    def moments(self, part: str) -> torch.Tensor:
        """(R,) int64, the time of each decision row of a part, ns since 1970."""
        return torch.from_numpy(np.asarray(self.table.timestamp[self.split.rows[part]], dtype=np.int64))


def panel_tensors(
    features: NDArray[np.float32],
    context: NDArray[np.float32] | None,
    ids: NDArray[np.integer[Any]],
    targets: list[Target],
    room: Room = IN_MEMORY,
) -> PanelTensors:
    """Tensors of features (N, F), context (N, C), ids (N, K) and labels; numbers are scaled here.

    Args:
        features: scaled. room: where the labels go.
    """
    mapped = on_disk(features)
    labels: dict[str, NDArray[Any]] = {target.spec.name: _stored_labels(target, room) for target in targets}
    masks: dict[str, NDArray[Any]] = {target.spec.name: target.labelled for target in targets}
    if not mapped:  # as batches want them: a batch then needs no cast
        labels = {name: _ready(values) for name, values in labels.items()}
        masks = {name: mask.astype(np.float32) for name, mask in masks.items()}
        ids = ids.astype(np.int64)
    return PanelTensors(
        features=tensor_of(features),
        context=None if context is None else tensor_of(context),
        ids=tensor_of(ids),
        targets={name: tensor_of(values) for name, values in labels.items()},
        mask={name: tensor_of(mask) for name, mask in masks.items()},
        steps={target.spec.name: target.spec.horizon for target in targets if isinstance(target, Forecast)},
        weight={target.spec.name: tensor_of(target.weights) for target in targets if target.weights is not None},
        mapped=mapped,
    )


def _ready(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.int64) if values.dtype.kind == "i" else values


def tensor_of(array: NDArray[Any]) -> torch.Tensor:
    """A tensor of the same memory; one that may only be read is fine, since nobody writes to a panel."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
        return torch.from_numpy(array)


def _stored_labels(target: Target, room: Room) -> NDArray[Any]:
    """(N,) small integers, (N, D) float32 scaled numbers, or a forecast's (N, C) columns; a stand-in where masked."""
    if isinstance(target, Forecast):
        return target.scaled_columns()
    spec, values = target.spec, target.values
    classes = spec.kind == "classification"
    kind = np.int16 if spec.dim < 2**15 else np.int32
    out = room.empty(values.shape, kind if classes else np.float32)
    for start in range(0, len(values), PIECE):
        part = values[start : start + PIECE]
        if classes:
            out[start : start + PIECE] = np.maximum(part, 0)
            continue
        scaled = (part - np.array(spec.shift)) / np.array(spec.scale)
        out[start : start + PIECE] = np.where(np.isfinite(part).all(axis=1, keepdims=True), scaled, 0.0)
    return out
