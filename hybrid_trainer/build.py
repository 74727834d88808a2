"""From the config to objects: model, criterion, optimizer, schedule, callbacks, trainer, predictor."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hybrid_trainer.augment import Augmentation
from hybrid_trainer.balancing import Balancing, make_balancing
from hybrid_trainer.balancing.probe import GradientProbe
from hybrid_trainer.callbacks.base import Callback, make_extra
from hybrid_trainer.callbacks.checkpoint import Checkpoint
from hybrid_trainer.callbacks.early_stopping import EarlyStopping
from hybrid_trainer.callbacks.history import HistoryFile
from hybrid_trainer.callbacks.progress import ProgressReport
from hybrid_trainer.callbacks.resources import Resources
from hybrid_trainer.callbacks.tensorboard import TensorBoard
from hybrid_trainer.config import monitors
from hybrid_trainer.config.balancing import BY_TASK
from hybrid_trainer.config.consistency import columns_without_past
from hybrid_trainer.config.data import SyntheticData
from hybrid_trainer.config.schema import Config
from hybrid_trainer.config.targets import FutureTarget, SignalTarget
from hybrid_trainer.config.training import SCHEDULES
from hybrid_trainer.criterion import Criterion
from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.data.features import select_features
from hybrid_trainer.data.forecasts import Forecast
from hybrid_trainer.data.gaps import allowances
from hybrid_trainer.data.layout import Layout
from hybrid_trainer.data.own_past import own_scales
from hybrid_trainer.data.synthetic import best_signal_probabilities
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.weights import weights_by_task
from hybrid_trainer.engine.checkpoint_store import CheckpointStore
from hybrid_trainer.engine.device import Precision, choose_device, choose_precision
from hybrid_trainer.engine.ema import Ema
from hybrid_trainer.engine.freezing import freeze
from hybrid_trainer.engine.graphs import StepGraph, why_not
from hybrid_trainer.engine.inductor import compiled
from hybrid_trainer.engine.optimizers import make_optimizer
from hybrid_trainer.engine.schedules import Cosine, OneCycle, Plateau, Schedule, Steps, make_own
from hybrid_trainer.engine.shared import shared
from hybrid_trainer.engine.step import Stepper
from hybrid_trainer.errors import TrainingError
from hybrid_trainer.inference.predictor import Predictor
from hybrid_trainer.inference.schema import BundleSchema, ModelSpec
from hybrid_trainer.inference.warm_start import Origin, take_over
from hybrid_trainer.losses import TaskLoss, make_losses, tasks_of_plug_ins, try_losses
from hybrid_trainer.metrics import make_own_metrics, try_own_metrics
from hybrid_trainer.models import NOT_PARAMETERS, InputDims, make_model
from hybrid_trainer.monitor import monitor_of, stopper_of
from hybrid_trainer.ranks import ALONE, Ranks
from hybrid_trainer.trainer import Trainer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Machine:
    """What a run computes with."""

    device: torch.device
    precision: Precision


def machine(config: Config) -> Machine:
    """Choose device and precision."""
    device = choose_device(config.training.device)
    return Machine(device, choose_precision(config.training.precision, device))


def oracles(config: Config, data: Dataset) -> dict[str, torch.Tensor]:
    """What could be said at best, where that is known: {task: (N, D) log probabilities}; nothing for real data."""
    if not isinstance(config.data, SyntheticData) or config.data.shuffle_labels:
        return {}
    return {
        name: torch.from_numpy(np.log(best_signal_probabilities(config.data, target, data.table).clip(1e-30)))
        for name, target in config.active_targets.items()
        if isinstance(target, SignalTarget) and target.horizon == 1 and target.thresholds is not None
    }


def model_spec(config: Config, data: Dataset) -> ModelSpec:
    """What a saved model must say of itself so that it can be made again without the config."""
    parameters = {name: value for name, value in asdict(config.model).items() if name not in NOT_PARAMETERS}
    if "embeddings" in parameters:
        own = {name: data.vocabularies[name].vector_size for name in config.data.categories}
        parameters["embeddings"] = own | parameters["embeddings"]
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
    model = make_model(spec.name, spec.dims, spec.parameters)
    if origin is not None:
        take_over(model, spec, data, origin)
    frozen = freeze(model, config.model.freeze)
    model = model.to(on.device)
    settings = config.training
    run = form_that_learns(config, model, data, on, ranks)
    criterion = Criterion(
        data.specs,
        losses_of(config, data),
        settings.loss_weights,
        on.device,
        weights_of_classes(config, data),
    )
    balancing = balancing_of(config, model, criterion)
    graphed = graphs_wanted(config, data, on, ranks)
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
    log.info(
        "model %s: %s parameters%s; %s, %s, %d thread(s)",
        spec.name,
        f"{sum(p.numel() for p in model.parameters()):,}",
        f", {frozen:,} of them frozen" if frozen else "",
        on.device,
        on.precision.name,
        settings.threads,
    )
    batches = -(-len(data.split.rows["train"]) // settings.batch_size)
    steps_per_epoch = -(-batches // settings.accumulate)
    made = Trainer(
        stepper,
        schedule(config, optimizer, steps_per_epoch),
        callbacks,
        epochs=settings.epochs,
        device=on.device,
        accumulate=settings.accumulate,
        max_rollbacks=settings.max_rollbacks if settings.on_nonfinite == "rollback" else 0,
    )
    made.steps_per_epoch = steps_per_epoch
    made.own_metrics = make_own_metrics(settings.metrics)
    if graphed:
        made.graph = StepGraph(settings.batch_size, on.device, optimizer)
    return made


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


def augmentation(config: Config, on: Machine) -> Augmentation | None:
    """What is done to training batches; None where that is nothing."""
    chosen = asdict(config.training.augment)
    return Augmentation(**chosen, device=on.device) if any(chosen.values()) else None


def origin_of(config: Config) -> Origin | None:
    """The saved model that a run begins with, verified; None where it begins with random weights.

    Raises:
        BundleError: it is incomplete or altered.
    """
    return None if config.model.init_from is None else Origin.read(Path(config.model.init_from))


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


def gradients_by(config: Config) -> str | None:
    """The setting that takes the gradient of each task by itself in every step; None: there is none."""
    kind = config.training.balancing.kind
    return f"training.balancing.kind={kind}" if kind in BY_TASK else None


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


def callbacks(
    config: Config,
    run_path: Path,
    log_dir: Path,
    fingerprint: dict[str, Any] | None = None,
    ranks: Ranks = ALONE,
) -> list[Callback]:
    """The callbacks in the order in which they are told; the checkpoint holds the state of those before it.

    Args:
        fingerprint: what the run computes with and on, for the checkpoints.
        ranks: the processes that train together; all but the first have those alone that decide something.
    """
    settings = config.callbacks
    stopping = settings.early_stopping
    stop = EarlyStopping(stopper_of(monitors.of_stopping(config)), stopping.patience)
    checkpoint = settings.checkpoint
    save = Checkpoint(
        CheckpointStore(run_path / "checkpoints", writes=ranks.first),
        monitor_of(monitors.of_checkpoint(config)),
        tasks={task: monitor_of(score) for task, score in monitors.of_tasks(config).items()}
        if checkpoint.per_task
        else None,
        every_steps=checkpoint.every_steps,
        every_minutes=checkpoint.every_minutes
        if ranks.alone
        else None,  # a state takes all of them: none has its own clock
        fingerprint=fingerprint,
    )
    extra = [make_extra(name, run_path, asdict(entry)) for name, entry in settings.extra.items()]
    deciding: list[Callback] = [stop, *extra, save] if stopping.enabled else [*extra, save]
    if not ranks.first:
        return deciding
    chosen: list[Callback] = [HistoryFile(run_path / "history.jsonl")]
    tensorboard = TensorBoard(log_dir) if settings.tensorboard.enabled else None
    if tensorboard is not None:
        chosen.append(tensorboard)
    chosen += deciding[:-1]
    if settings.resources.enabled:  # before the checkpoint: a run that is killed behind it has drawn the epoch's points
        chosen.append(Resources(run_path / "resources.jsonl", settings.resources.every_seconds, tensorboard))
    chosen.append(save)
    if settings.progress.enabled:
        chosen.append(ProgressReport())
    return chosen


def checkpoint_of(trainer: Trainer) -> Checkpoint:
    """The callback that keeps the best epochs."""
    (checkpoint,) = [callback for callback in trainer.callbacks if isinstance(callback, Checkpoint)]
    return checkpoint


def load_best(trainer: Trainer) -> int:
    """Give the trainer's model the weights of its best epoch; returns which that was."""
    checkpoint = checkpoint_of(trainer)
    best = checkpoint.monitor.best_epoch
    if best is None:
        raise TrainingError(
            "no epoch could be called the best: callbacks.checkpoint.monitor was never a number; "
            "the validation rows may hold no label of that task"
        )
    trainer.model.load_state_dict(checkpoint.store.load_best(best, trainer.device))
    return best


def predictor(config: Config, spec: ModelSpec, data: Dataset, trainer: Trainer, origin: dict[str, Any]) -> Predictor:
    """The trained model with its preprocessing, on the CPU."""
    schema = BundleSchema(
        model=spec,
        specs=data.specs,
        time_window=config.model.time_window,
        feature_set=config.data.feature_set,
        feature_columns=config.data.features,
        extra_features=config.data.extra_features,
        expressions=config.data.expressions,
        plugins=config.plugins,
        feature_names=list(data.panel.feature_names),
        vocabularies={name: list(vocabulary.names) for name, vocabulary in data.vocabularies.items()},
        clip=config.data.clip,
        missing=config.data.missing,
        on_error=config.data.on_error,
        max_gap=config.data.max_gap,
        # A sequence comes once, whole; an instrument goes on, and the rows to predict on may be few.
        gaps={} if config.data.independent_sequences else allowances(data.table, config.data.max_gap),
        independent_sequences=config.data.independent_sequences,
        layout=inference_layout(config, data.table),
        origin={
            "hybrid_trainer": origin["hybrid_trainer"],
            "python": origin["python"],
            **origin["packages"],
            "data_sha256": data.table.sha256,
            **({"init_from": origin["init_from"]} if "init_from" in origin else {}),
        },
    )
    return Predictor(
        model=trainer.model.cpu().eval(), scaler=data.scaler, context_scaler=data.context_scaler, schema=schema
    )


def inference_layout(config: Config, table: Table) -> Layout:
    """Which columns a file needs for prediction: those of training, without the labels."""
    layout, data = table.layout, config.data
    selected = select_features(data.feature_set, data.extra_features, data.expressions)
    reads = {name for entry in selected for name in entry.reads}
    own = sorted(reads & set(layout.numbers) - set(layout.prices))
    inputs = tuple(dict.fromkeys([*data.features, *layout.context_columns, *own]))
    prices = layout.prices if reads & set(layout.prices) else {}
    return replace(
        layout,
        prices=prices,
        adjusted_close=layout.adjusted_close if prices else None,
        numbers=inputs,
        labels=(),
        optional=tuple(name for name in layout.context_columns if name not in config.data.features),
        split=None,
    )


def golden_windows(data: Dataset, count: int = 8) -> dict[str, torch.Tensor]:
    """The first windows of the test split, features in units: what a bundle replays when it is loaded."""
    rows = data.split.rows["test"][:count]
    index = rows[:, None] + np.arange(1 - data.time_window, 1)
    golden = {
        "x": torch.from_numpy(data.panel.features[index]),
        "ids": data.tensors.ids.cpu()[torch.from_numpy(rows)].long(),
    }
    if data.panel.context is not None:
        golden["context"] = torch.from_numpy(data.panel.context[rows])
    return golden
