"""A model compiled by torch.compile, tried out before it is used."""

from __future__ import annotations

import logging
import warnings

import torch
from torch import Tensor, nn

from hybrid_trainer.engine.device import Precision
from hybrid_trainer.engine.freezing import learning
from hybrid_trainer.types import Batch

log = logging.getLogger(__name__)


def compiled(model: nn.Module, example: Batch, precision: Precision) -> nn.Module:
    """The model in compiled form, sharing its weights; the model itself where that fails, with a line that says why.

    Both passes are tried on a batch of training's own size; weights, gradients and random numbers stay as they are.
    """
    made: nn.Module = torch.compile(model)  # type: ignore[assignment]
    mode, gpus = model.training, [precision.device] if precision.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=gpus), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler warns of its own doing
            learning(model)
            with precision.autocast():
                outputs = made(example.x, example.context, example.ids)
            total: Tensor = sum(raw.float().sum() for raw in outputs.values())
            total.backward()  # type: ignore[no-untyped-call]
    except (
        Exception
    ) as error:  # whatever a compiler, or the lack of one, comes up with; the model's own would come again
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        log.warning("training.compile=inductor: %s; training goes on without", lines[0].strip())
        return model
    finally:
        model.zero_grad(set_to_none=True)
        model.train(mode)
    return made
