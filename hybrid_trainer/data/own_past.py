"""Forecasts of columns that are features as well: from the features' scale to the labels'. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hybrid_trainer.data.scaling import Scaler
from hybrid_trainer.types import TargetSpec


def own_scales(spec: TargetSpec, features: Sequence[int], scaler: Scaler) -> list[list[float]]:
    """For each of a forecast's C columns [gain, offset], so that scaled label = gain * scaled feature + offset.

    Features and labels are scaled apart, each as it was fitted; the features' scaler is linear, but for its cut-off.

    Args:
        spec: of the forecast, fitted. features: which of the F features each column is. scaler: of the features.
    """
    count = getattr(scaler.transformer, "n_features_in_", max(features) + 1)  # 'none' knows no number of features
    zero, one = scaler.transformer.inverse_transform(np.stack([np.zeros(count), np.ones(count)]))
    return [
        [float((one[index] - zero[index]) / scale), float((zero[index] - shift) / scale)]
        for index, shift, scale in zip(features, spec.shift, spec.scale, strict=False)  # one pair per step and column
    ]
