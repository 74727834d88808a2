"""Model families by name."""

from __future__ import annotations

from dataclasses import fields

import pytest

from hybrid_trainer.config.model import HybridModelConfig
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
    assert keys - NOT_PARAMETERS == set(PARAMETERS)
    assert keys >= NOT_PARAMETERS
