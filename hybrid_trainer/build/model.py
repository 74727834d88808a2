"""From the config to the model: what a saved one must say of itself, its first weights, the form that learns."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from hybrid_trainer.build.machine import Machine
from hybrid_trainer.config.balancing import BY_TASK
from hybrid_trainer.config.consistency import columns_without_past
from hybrid_trainer.config.schema import Config
from hybrid_trainer.config.targets import FutureTarget
from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.data.forecasts import Forecast
from hybrid_trainer.data.own_past import own_scales
from hybrid_trainer.engine.freezing import freeze
from hybrid_trainer.engine.inductor import compiled
from hybrid_trainer.engine.shared import shared
from hybrid_trainer.inference.files import naming
from hybrid_trainer.inference.schema import ModelSpec
from hybrid_trainer.inference.warm_start import Origin, take_over
from hybrid_trainer.models import NOT_PARAMETERS, InputDims, make_model
from hybrid_trainer.ranks import Ranks

log = logging.getLogger("hybrid_trainer.build")


def model_spec(config: Config, data: Dataset) -> ModelSpec:
    """What a saved model must say of itself so that it can be made again without the config."""
    parameters = {name: value for name, value in asdict(config.model).items() if name not in NOT_PARAMETERS}
    if "embeddings" in parameters:
        own = {name: data.vocabularies[name].vector_size for name in config.data.categories}
        sizes = own | parameters["embeddings"]
        parameters["embeddings"] = {name: size for name, size in sizes.items() if size is not None}
    dims = InputDims(
        features=len(data.panel.feature_names),
        context={name: len(columns) for name, columns in data.panel.context_blocks.items()},
        time_window=config.model.time_window,
        vocabularies={name: len(vocabulary) for name, vocabulary in data.vocabularies.items()},
        heads={spec.name: spec.outputs for spec in data.specs},
        **own_past(config, data),
    )
    return ModelSpec(name=config.model.name, parameters=parameters, dims=dims)


def own_past(config: Config, data: Dataset) -> dict[str, Any]:
    """`forecast_columns` and `forecast_scales` of `InputDims`: the forecasts of columns that are features as well."""
    columns, scales = {}, {}
    for target in data.targets:
        said = config.active_targets[target.spec.name]
        if isinstance(said, FutureTarget) and isinstance(target, Forecast) and not columns_without_past(config, said):
            own = [data.panel.feature_names.index(column) for column in said.columns]
            columns[target.spec.name] = own
            scales[target.spec.name] = own_scales(target.spec, own, data.scaler)
    return {"forecast_columns": columns, "forecast_scales": scales}


def model_of(config: Config, spec: ModelSpec, data: Dataset, on: Machine, origin: Origin | None) -> torch.nn.Module:
    """The model as training begins: random weights or a saved model's, some of them frozen; a line says its size."""
    model = make_model(spec.name, spec.dims, spec.parameters)
    if origin is not None:
        take_over(model, spec, data, origin)
    frozen = freeze(model, config.model.freeze)
    log.info(
        "model %s: %s parameters%s; %s, %s, %d thread(s)",
        spec.name,
        f"{sum(p.numel() for p in model.parameters()):,}",
        f", {frozen:,} of them frozen" if frozen else "",
        on.device,
        on.precision.name,
        config.training.threads,
    )
    return model.to(on.device)


def origin_of(config: Config) -> Origin | None:
    """The saved model that a run begins with, verified; None where it begins with random weights.

    Raises:
        BundleError: it is incomplete or altered.
    """
    if config.model.init_from is None:
        return None
    with naming("model.init_from"):
        return Origin.read(Path(config.model.init_from))


def form_that_learns(
    config: Config, model: torch.nn.Module, data: Dataset, on: Machine, ranks: Ranks
) -> torch.nn.Module:
    """The model, in the compiled or shared form that training calls; its weights are the first process's."""
    settings, run = config.training, model
    size = settings.batch_size
    if settings.compile == "inductor":
        if gradients_by(config) or settings.task_gradients_every:
            key = gradients_by(config) or "training.task_gradients_every"
            log.warning(
                "training.compile=inductor: %s goes through each step's graph several times, which is then "
                "compiled for one; training goes on without",
                key,
            )
        else:
            run = compiled(model, next(iter(data.loader("train", size))), on.precision)
    if ranks.alone:
        return run
    if settings.balancing.kind == "pcgrad":  # adds the gradients up itself, task by task
        ranks.like_first([value.detach() for value in (*model.parameters(), *model.buffers())])
        return run
    return shared(run, next(iter(data.loader("train", size, share=(ranks.rank, ranks.size)))), on.precision, ranks)


def gradients_by(config: Config) -> str | None:
    """The setting that takes the gradient of each task by itself in every step; None: there is none."""
    kind = config.training.balancing.kind
    return f"training.balancing.kind={kind}" if kind in BY_TASK else None
