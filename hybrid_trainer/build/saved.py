"""From a trained model to what is saved of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from hybrid_trainer.config.schema import Config
from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.data.features import select_features
from hybrid_trainer.data.gaps import allowances
from hybrid_trainer.data.layout import Layout
from hybrid_trainer.data.table import Table
from hybrid_trainer.inference.predictor import Predictor
from hybrid_trainer.inference.schema import BundleSchema, ModelSpec
from hybrid_trainer.trainer import Trainer


def predictor(config: Config, spec: ModelSpec, data: Dataset, trainer: Trainer, origin: dict[str, Any]) -> Predictor:
    """The trained model with its preprocessing, on the CPU."""
    schema = BundleSchema(
        model=spec,
        specs=data.specs,
        time_window=config.model.time_window,
        feature_set=config.data.feature_set,
        feature_columns=config.data.features,
        extra_features=config.data.extra_features,
        expressions=config.data.expressions,
        plugins=config.plugins,
        feature_names=list(data.panel.feature_names),
        vocabularies={name: list(vocabulary.names) for name, vocabulary in data.vocabularies.items()},
        clip=config.data.clip,
        missing=config.data.missing,
        on_error=config.data.on_error,
        max_gap=config.data.max_gap,
        # A sequence comes once, whole; an instrument goes on, and the rows to predict on may be few.
        gaps={} if config.data.independent_sequences else allowances(data.table, config.data.max_gap),
        independent_sequences=config.data.independent_sequences,
        layout=inference_layout(config, data.table),
        origin={
            "hybrid_trainer": origin["hybrid_trainer"],
            "python": origin["python"],
            **origin["packages"],
            "data_sha256": data.table.sha256,
            **({"init_from": origin["init_from"]} if "init_from" in origin else {}),
        },
    )
    return Predictor(
        model=trainer.model.cpu().eval(), scaler=data.scaler, context_scaler=data.context_scaler, schema=schema
    )


def inference_layout(config: Config, table: Table) -> Layout:
    """Which columns a file needs for prediction: those of training, without the labels."""
    layout, data = table.layout, config.data
    selected = select_features(data.feature_set, data.extra_features, data.expressions)
    reads = {name for entry in selected for name in entry.reads}
    own = sorted(reads & set(layout.numbers) - set(layout.prices))
    inputs = tuple(dict.fromkeys([*data.features, *layout.context_columns, *own]))
    prices = layout.prices if reads & set(layout.prices) else {}
    return replace(
        layout,
        prices=prices,
        adjusted_close=layout.adjusted_close if prices else None,
        numbers=inputs,
        labels=(),
        optional=tuple(name for name in layout.context_columns if name not in config.data.features),
        split=None,
    )


def golden_windows(data: Dataset, count: int = 8) -> dict[str, torch.Tensor]:
    """The first windows of the test split, features in units: what a bundle replays when it is loaded."""
    rows = data.split.rows["test"][:count]
    index = rows[:, None] + np.arange(1 - data.time_window, 1)
    golden = {
        "x": torch.from_numpy(data.panel.features[index]),
        "ids": data.tensors.ids.cpu()[torch.from_numpy(rows)].long(),
    }
    if data.panel.context is not None:
        golden["context"] = torch.from_numpy(data.panel.context[rows])
    return golden
