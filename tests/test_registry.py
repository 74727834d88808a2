"""Names to objects."""

import pytest

from hybrid_trainer.errors import ConfigError
from hybrid_trainer.registry import Registry


def test_registry_names_the_key_and_the_closest_entry() -> None:
    registry: Registry[int] = Registry("model")
    registry.register("hybrid")(1)
    assert registry.get("hybrid", "model.name") == 1
    with pytest.raises(ConfigError, match=r"model\.name: there is no model 'hybird'; did you mean 'hybrid'\?"):
        registry.get("hybird", "model.name")


def test_a_name_is_entered_once() -> None:
    registry: Registry[int] = Registry("model")
    registry.register("hybrid")(1)
    with pytest.raises(ValueError, match="already"):
        registry.register("hybrid")(2)
