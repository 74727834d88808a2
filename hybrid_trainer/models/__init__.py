"""Model families; importing the package enters the built-in ones into the registry."""

from hybrid_trainer.models import deeplob, dlinear, hybrid, lstnet, mlstm_fcn, patchtst, tcn
from hybrid_trainer.models.making import make_model
from hybrid_trainer.models.registry import MODELS, NOT_PARAMETERS, InputDims

__all__ = [
    "MODELS",
    "NOT_PARAMETERS",
    "InputDims",
    "deeplob",
    "dlinear",
    "hybrid",
    "lstnet",
    "make_model",
    "mlstm_fcn",
    "patchtst",
    "tcn",
]
