"""From the features' scale to a forecast's labels."""

from __future__ import annotations

import numpy as np
import pytest

from hybrid_trainer.data.own_past import own_scales
from hybrid_trainer.data.scaling import fit_scaler
from hybrid_trainer.types import TargetSpec


@pytest.mark.parametrize("kind", ["standard", "robust", "none"])
def test_a_scaled_feature_becomes_the_scaled_label_of_the_same_value(kind: str) -> None:
    generator = np.random.default_rng(0)
    features = (generator.normal(size=(50, 3)) * [1, 20, 300] + [5, -7, 1000]).astype(np.float32)
    scaler = fit_scaler(kind, None, features, np.arange(40))
    spec = TargetSpec(
        name="load", kind="forecast", dim=4, horizon=2, labels=("c_1", "a_1", "c_2", "a_2"),
        shift=(900.0, 4.0) * 2, scale=(250.0, 2.0) * 2,
    )  # fmt: skip
    scales = own_scales(spec, [2, 0], scaler)
    scaled = scaler(features)
    for (gain, offset), feature, shift, scale in zip(scales, [2, 0], spec.shift, spec.scale, strict=False):
        labels = (features[:, feature] - shift) / scale
        np.testing.assert_allclose(scaled[:, feature] * gain + offset, labels, rtol=1e-4, atol=1e-5)
