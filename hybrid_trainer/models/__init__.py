"""Model families; importing the package enters the built-in ones into the registry."""

from hybrid_trainer.models import hybrid
from hybrid_trainer.models.registry import MODELS, NOT_PARAMETERS, InputDims, make_model

__all__ = ["MODELS", "NOT_PARAMETERS", "InputDims", "hybrid", "make_model"]
