"""From the config to what is minimised: losses, weights of tasks and classes, balancing."""

from __future__ import annotations

import logging

import torch

from hybrid_trainer.balancing import Balancing, make_balancing
from hybrid_trainer.build.machine import Machine
from hybrid_trainer.config.schema import Config
from hybrid_trainer.criterion import Criterion
from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.data.weights import weights_by_task
from hybrid_trainer.losses import TaskLoss, make_losses, tasks_of_plug_ins, try_losses
from hybrid_trainer.metrics import make_own_metrics, try_own_metrics

log = logging.getLogger("hybrid_trainer.build")


def criterion_of(config: Config, data: Dataset, on: Machine) -> Criterion:
    """The tasks' losses and their weights."""
    settings = config.training
    return Criterion(
        data.specs,
        losses_of(config, data),
        settings.loss_weights,
        on.device,
        weights_of_classes(config, data),
    )


def losses_of(config: Config, data: Dataset) -> dict[str, TaskLoss]:
    """The losses that the config names; those of plug-ins are tried on training labels, its metrics on validation's."""
    chosen = config.training.losses
    made = make_losses(data.specs, chosen)
    tasks = tasks_of_plug_ins(data.specs, chosen)
    try_losses(data.specs, chosen, made, {task: some_labels(data, task, "train") for task in tasks})
    metrics = make_own_metrics(config.training.metrics)
    for spec in data.specs if metrics else ():
        try_own_metrics(metrics, spec, some_labels(data, spec.name, "valid"))
    return made


def some_labels(data: Dataset, task: str, part: str, most: int = 256) -> torch.Tensor:
    """Up to `most` labels of a part's rows: (n,) classes or (n, D) scaled numbers."""
    rows = torch.from_numpy(data.split.rows[part]).to(data.tensors.features.device)
    known = data.tensors.mask[task].index_select(0, rows) > 0
    return data.tensors.labels(task, rows[known][:most])


def balancing_of(config: Config, model: torch.nn.Module, criterion: Criterion) -> Balancing:
    """How the tasks' losses become one update of a model."""
    settings = config.training.balancing
    return make_balancing(
        settings.kind,
        model,
        criterion.specs,
        criterion.weights,
        alpha=settings.alpha,
        temperature=settings.temperature,
        seed=config.seed,
    )


def weights_of_classes(config: Config, data: Dataset) -> dict[str, torch.Tensor]:
    """The (C,) class weights of every task that tells classes, from its training labels; {} for `none`."""
    settings = config.training
    if settings.class_weights == "none":
        return {}
    cap = settings.class_weight_cap if settings.class_weights == "capped" else None
    found = weights_by_task(data.targets, data.split.rows["train"], cap)
    for task, weights in found.items():
        log.info("class weights of %s: %s", task, ", ".join(f"{weight:.3g}" for weight in weights))
    return {task: torch.from_numpy(weights).float() for task, weights in found.items()}
