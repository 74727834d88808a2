"""Model families by name."""

from __future__ import annotations

from dataclasses import asdict, fields, replace

import pytest
import torch

from hybrid_trainer.config.model import HybridModelConfig
from hybrid_trainer.config.schema import OPTIONS
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.models import MODELS, NOT_PARAMETERS, make_model
from hybrid_trainer.models.hybrid import EnhancedHybridModel
from tests.engine.helpers import DIMS, PARAMETERS


def test_the_hybrid_model_is_known_by_its_name() -> None:
    assert isinstance(make_model("hybrid", DIMS, PARAMETERS), EnhancedHybridModel)


def test_an_unknown_model_is_refused_under_its_key_with_the_closest_name() -> None:
    with pytest.raises(ConfigError, match=r"^model\.name: there is no model 'hybird'; did you mean 'hybrid'\?$"):
        make_model("hybird", DIMS, PARAMETERS)
    with pytest.raises(ConfigError, match=rf"there is no model 'transformer'; known: {', '.join(MODELS)}"):
        make_model("transformer", DIMS, PARAMETERS)


def test_every_key_of_the_config_is_a_parameter_or_about_the_data() -> None:
    keys = {field.name for field in fields(HybridModelConfig)}
    optional = {
        "pooling",
        "bidirectional",
        "unknown_rate",
        "dilations",
        "residual",
        "layer_norm",
        "cell",
        "forget_bias",
        "linear_path",
        "highway",
    }
    assert keys - NOT_PARAMETERS == {*PARAMETERS, *optional, "window_norm", "window_affine"}
    assert keys >= NOT_PARAMETERS


def test_every_family_has_an_option_and_every_option_a_family() -> None:
    assert set(OPTIONS["model"]) == set(MODELS)


@pytest.mark.parametrize("name", list(OPTIONS["model"]))
@pytest.mark.parametrize("context", [{}, {"context": 3}, {"text": 2, "mood": 1}])
def test_every_family_is_made_of_its_config_and_gives_the_same_outputs(name: str, context: dict[str, int]) -> None:
    config = OPTIONS["model"][name]()
    parameters = {key: value for key, value in asdict(config).items() if key not in NOT_PARAMETERS}
    dims = replace(DIMS, context=context)
    model = make_model(name, dims, parameters)
    x = torch.randn(5, dims.time_window, dims.features)
    values = torch.randn(5, 3).index_fill(0, torch.tensor([1]), torch.nan)
    outputs = model(x, values if context else None, torch.ones(5, len(dims.vocabularies)).long())
    assert {task: tuple(raw.shape) for task, raw in outputs.items()} == {t: (5, d) for t, d in dims.heads.items()}
    sum(raw.sum() for raw in outputs.values()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_linear_model_is_linear_and_counted_by_hand() -> None:
    dims = replace(DIMS, context={"context": 2})
    model = make_model("linear", dims, {"embeddings": {}, "use_context": True}).double()
    inputs = dims.time_window * dims.features + 2
    stand_in = 2  # for a missing block
    weights = sum((inputs + 1) * size for size in dims.heads.values())
    assert sum(p.numel() for p in model.parameters()) == weights + stand_in
    ids = torch.zeros(3, len(dims.vocabularies)).long()
    x, y = torch.randn(2, 3, dims.time_window, dims.features).double()
    c, d = torch.randn(2, 3, 2).double()
    for task in dims.heads:
        middle = model((x + y) / 2, (c + d) / 2, ids)[task]
        torch.testing.assert_close(middle, (model(x, c, ids)[task] + model(y, d, ids)[task]) / 2)
