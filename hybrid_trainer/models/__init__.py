"""Model families; importing the package enters the built-in ones into the registry."""

from hybrid_trainer.models import dlinear, hybrid, patchtst
from hybrid_trainer.models.making import make_model
from hybrid_trainer.models.registry import MODELS, NOT_PARAMETERS, InputDims

__all__ = ["MODELS", "NOT_PARAMETERS", "InputDims", "dlinear", "hybrid", "make_model", "patchtst"]
