"""From the config to a trainer: model, criterion, optimizer, schedule and callbacks, joined."""

from __future__ import annotations

import logging
from dataclasses import asdict

import torch

from hybrid_trainer.augment import Augmentation
from hybrid_trainer.balancing.probe import GradientProbe
from hybrid_trainer.build.criterion import balancing_of, criterion_of
from hybrid_trainer.build.machine import Machine
from hybrid_trainer.build.model import form_that_learns, gradients_by, model_of
from hybrid_trainer.callbacks.base import Callback
from hybrid_trainer.config import monitors
from hybrid_trainer.config.schema import Config
from hybrid_trainer.config.training import SCHEDULES
from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.engine.ema import Ema
from hybrid_trainer.engine.graphs import StepGraph, why_not
from hybrid_trainer.engine.optimizers import make_optimizer
from hybrid_trainer.engine.schedules import Cosine, OneCycle, Plateau, Schedule, Steps, make_own
from hybrid_trainer.engine.step import Stepper
from hybrid_trainer.inference.schema import ModelSpec
from hybrid_trainer.inference.warm_start import Origin
from hybrid_trainer.metrics import make_own_metrics
from hybrid_trainer.monitor import monitor_of
from hybrid_trainer.ranks import ALONE, Ranks
from hybrid_trainer.trainer import Trainer

log = logging.getLogger("hybrid_trainer.build")


def trainer(
    config: Config,
    spec: ModelSpec,
    data: Dataset,
    on: Machine,
    callbacks: list[Callback],
    ranks: Ranks = ALONE,
    origin: Origin | None = None,
) -> Trainer:
    """Model, criterion, optimizer, schedule and callbacks, joined.

    Args:
        ranks: the processes that train together. origin: the saved model that this one begins with.
    """
    monitors.check_classes(config, data.specs)
    model = model_of(config, spec, data, on, origin)
    settings = config.training
    graphed = graphs_wanted(config, data, on, ranks)
    stepper = stepper_of(config, model, data, on, ranks, graphed=graphed)
    batches = -(-len(data.split.rows["train"]) // settings.batch_size)
    steps_per_epoch = -(-batches // settings.accumulate)
    made = Trainer(
        stepper,
        schedule(config, stepper.optimizer, steps_per_epoch),
        callbacks,
        epochs=settings.epochs,
        device=on.device,
        accumulate=settings.accumulate,
        max_rollbacks=settings.max_rollbacks if settings.on_nonfinite == "rollback" else 0,
    )
    made.steps_per_epoch = steps_per_epoch
    made.own_metrics = make_own_metrics(settings.metrics)
    if graphed:
        made.graph = StepGraph(settings.batch_size, on.device, stepper.optimizer)
    return made


def stepper_of(
    config: Config, model: torch.nn.Module, data: Dataset, on: Machine, ranks: Ranks, *, graphed: bool
) -> Stepper:
    """What takes the steps that a config asks for.

    Args:
        graphed: whether they are to be captured as a CUDA graph.
    """
    settings = config.training
    run = form_that_learns(config, model, data, on, ranks)
    criterion = criterion_of(config, data, on)
    balancing = balancing_of(config, model, criterion)
    optimizer = make_optimizer(
        settings.optimizer,
        model,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        momentum=settings.momentum,
        capturable=graphed,
        further=balancing.parameters,
    )
    stepper = Stepper(
        model,
        criterion,
        optimizer,
        on.precision,
        settings.clip_norm,
        skip_bad=settings.on_nonfinite == "skip",
        ema=None if settings.ema_decay is None else Ema(model, settings.ema_decay),
        ranks=ranks,
        balancing=balancing,
    )
    stepper.run = run
    stepper.augment = augmentation(config, on)
    if settings.task_gradients_every is not None:
        stepper.probe = GradientProbe(model, criterion.tasks, settings.task_gradients_every, on.device)
    return stepper


def augmentation(config: Config, on: Machine) -> Augmentation | None:
    """What is done to training batches; None where that is nothing."""
    chosen = asdict(config.training.augment)
    return Augmentation(**chosen, device=on.device) if any(chosen.values()) else None


def graphs_wanted(config: Config, data: Dataset, on: Machine, ranks: Ranks) -> bool:
    """Whether steps are to be captured as a CUDA graph; where that was asked for in vain, a line says why."""
    if config.training.compile != "graphs":
        return False
    panel = data.tensors.features.device
    reason = why_not(
        on.precision,
        accumulate=config.training.accumulate,
        panel_device=panel,
        alone=ranks.alone,
        gradients_by=gradients_by(config),
    )
    if reason is not None:
        log.warning("training.compile=graphs: %s; training goes on without", reason)
    return reason is None


def schedule(config: Config, optimizer: torch.optim.Optimizer, steps_per_epoch: int) -> Schedule:
    """The learning-rate schedule."""
    settings = config.training.schedule
    total = config.training.epochs * steps_per_epoch
    if settings.kind == "plateau":
        return Plateau(
            optimizer,
            monitor_of(monitors.of_schedule(config)),
            factor=settings.factor,
            patience=settings.patience,
            min_learning_rate=settings.min_learning_rate,
            warmup_steps=settings.warmup_steps,
        )
    if settings.kind == "cosine":
        smallest = min(settings.min_learning_rate / config.training.learning_rate, 1.0)
        return Cosine(optimizer, warmup_steps=settings.warmup_steps, total_steps=total, smallest=smallest)
    if settings.kind == "onecycle":
        return OneCycle(optimizer, total_steps=total)
    if settings.kind in SCHEDULES:
        steps = Steps(warmup=settings.warmup_steps, per_epoch=steps_per_epoch, total=total)
        return make_own(settings.kind, optimizer, steps, settings.options)
    return Schedule(optimizer, settings.warmup_steps)
