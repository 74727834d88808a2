"""The only module that turns config into objects."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hybrid_trainer.callbacks.base import Callback
from hybrid_trainer.callbacks.checkpoint import Checkpoint
from hybrid_trainer.callbacks.early_stopping import EarlyStopping
from hybrid_trainer.callbacks.history import HistoryFile
from hybrid_trainer.callbacks.progress import ProgressReport
from hybrid_trainer.callbacks.resources import Resources
from hybrid_trainer.callbacks.tensorboard import TensorBoard
from hybrid_trainer.config.data import SyntheticData
from hybrid_trainer.config.schema import Config
from hybrid_trainer.config.targets import SignalTarget
from hybrid_trainer.criterion import Criterion
from hybrid_trainer.data import splits
from hybrid_trainer.data.context import fit_context_scaler, shares
from hybrid_trainer.data.dataset import Dataset, panel_tensors
from hybrid_trainer.data.features import select_features
from hybrid_trainer.data.labelling import build_targets, fit_targets, shuffle_labels
from hybrid_trainer.data.layout import Layout
from hybrid_trainer.data.panel import Panel, build_panel
from hybrid_trainer.data.scaling import Scaler, covered_rows, fit_scaler
from hybrid_trainer.data.synthetic import best_signal_probabilities
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.targets import Target, label_end
from hybrid_trainer.data.vocabulary import Vocabulary, encode_inputs, fit_vocabularies
from hybrid_trainer.data.weights import weights_by_task
from hybrid_trainer.data.windows import PanelTensors
from hybrid_trainer.engine.checkpoint_file import load_checkpoint
from hybrid_trainer.engine.device import Precision, choose_device, choose_precision
from hybrid_trainer.engine.optimizers import make_optimizer
from hybrid_trainer.engine.schedules import Cosine, OneCycle, Plateau, Schedule
from hybrid_trainer.engine.step import Stepper
from hybrid_trainer.errors import TableError, TrainingError
from hybrid_trainer.inference.predictor import Predictor
from hybrid_trainer.inference.schema import BundleSchema, ModelSpec
from hybrid_trainer.models import NOT_PARAMETERS, InputDims, make_model
from hybrid_trainer.monitor import Monitor
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


def dataset(config: Config, table: Table, device: torch.device) -> Dataset:
    """Features, labels, split and scaling of a table; whatever is learned is learned from training rows.

    Raises:
        TableError: no window fits, the split leaves a part empty, or a target has no labels to learn from.
    """
    window = config.model.time_window
    panel = panel_of(config, table)
    targets = build_targets(table, config.active_targets)
    if config.data.shuffle_labels:
        log.warning("data.shuffle_labels: every row has another row's label; nothing can be learned from this run")
        targets = shuffle_labels(targets, config.seed)
    decidable = panel.decidable_rows(window)
    _refuse_no_window(panel, decidable, window, table.file)
    labelled = np.any([target.labelled[decidable] for target in targets], axis=0)
    rows = decidable[labelled]
    if not len(rows):
        raise TableError(
            f"{table.file}: {len(decidable)} rows end a full window, but none has a label for any head "
            f"({', '.join(config.heads)})"
        )
    horizon = max(target.spec.horizon for target in targets)
    split = splits.chronological(rows, panel.timestamps, label_end(table, horizon), config.data.split.fractions)
    train = split.rows["train"]
    targets = fit_targets(targets, train, window)
    for target in targets:
        if target.spec.borders:
            borders = ", ".join(f"{border:.4g}" for border in target.spec.borders)
            log.info("class borders of %s, from training rows: %s", target.spec.name, borders)
    scaler = fit_scaler(config.data.scaler, config.data.clip, panel.features, covered_rows(train, window, len(panel)))
    vocabularies = fit_vocabularies(table, train)
    context_scaler = _context_scaler(config, panel, train, table.file)
    tensors = tensors_of(table, panel, scaler, context_scaler, vocabularies, targets).to(device)
    report = splits.report(
        split, panel.timestamps, panel.instrument, panel.instruments, targets, int((~labelled).sum())
    )
    return Dataset(
        table=table,
        panel=panel,
        targets=targets,
        split=split,
        split_report=report,
        scaler=scaler,
        context_scaler=context_scaler,
        vocabularies=vocabularies,
        tensors=tensors,
        time_window=window,
    )


def panel_of(config: Config, table: Table) -> Panel:
    """The features and context columns that the config asks for."""
    return build_panel(
        table,
        feature_set=config.data.feature_set,
        features=config.data.features,
        context=table.layout.context,
        extra_features=config.data.extra_features,
        expressions=config.data.expressions,
    )


def tensors_of(
    table: Table,
    panel: Panel,
    scaler: Scaler,
    context_scaler: Scaler | None,
    vocabularies: dict[str, Vocabulary],
    targets: list[Target],
) -> PanelTensors:
    """What batches are gathered from, with everything that was fitted given."""
    context = None if panel.context is None or context_scaler is None else context_scaler(panel.context)
    return panel_tensors(scaler(panel.features), context, encode_inputs(table, vocabularies), targets)


def _context_scaler(config: Config, panel: Panel, train: NDArray[np.int64], file: str) -> Scaler | None:
    """The scaler of the context columns, fitted on the training rows; None where there are no blocks."""
    if panel.context is None:
        return None
    scaler = fit_context_scaler(panel.context, panel.context_blocks, train, config.data.clip, file)
    for name, share in shares(panel.context, panel.context_blocks, train).items():
        log.info(
            "context '%s': %d column(s), in %.1f%% of the training rows",
            name,
            len(panel.context_blocks[name]),
            100 * share,
        )
    return scaler


def _refuse_no_window(
    panel: Panel, decidable: np.ndarray[tuple[int], np.dtype[np.int64]], window: int, file: str
) -> None:
    if len(decidable):
        return
    longest = int((panel.segments[:, 1] - panel.segments[:, 0]).max()) if len(panel.segments) else 0
    raise TableError(
        f"{file}: the longest unbroken stretch with all features has {longest} rows, but a window needs "
        f"model.time_window={window}; bring more rows or lower model.time_window"
    )


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
        heads={spec.name: spec.dim for spec in data.specs},
    )
    return ModelSpec(name=config.model.name, parameters=parameters, dims=dims)


def trainer(config: Config, spec: ModelSpec, data: Dataset, on: Machine, callbacks: list[Callback]) -> Trainer:
    """Model, criterion, optimizer, schedule and callbacks, joined."""
    model = make_model(spec.name, spec.dims, spec.parameters).to(on.device)
    settings = config.training
    criterion = Criterion(
        data.specs, settings.losses, settings.loss_weights, on.device, weights_of_classes(config, data)
    )
    optimizer = make_optimizer(
        settings.optimizer,
        model,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        momentum=settings.momentum,
    )
    stepper = Stepper(model, criterion, optimizer, on.precision, settings.clip_norm)
    log.info(
        "model %s: %s parameters; %s, %s, %d thread(s)",
        spec.name,
        f"{sum(p.numel() for p in model.parameters()):,}",
        on.device,
        on.precision.name,
        settings.threads,
    )
    batches = -(-len(data.split.rows["train"]) // settings.batch_size)
    steps_per_epoch = -(-batches // settings.accumulate)
    return Trainer(
        stepper,
        schedule(config, optimizer, steps_per_epoch),
        callbacks,
        epochs=settings.epochs,
        device=on.device,
        accumulate=settings.accumulate,
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
            Monitor(settings.monitor),
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
    return Schedule(optimizer, settings.warmup_steps)


def callbacks(config: Config, run_path: Path, log_dir: Path) -> list[Callback]:
    """The callbacks in the order in which they are told; the checkpoint holds the state of those before it."""
    settings = config.callbacks
    chosen: list[Callback] = [HistoryFile(run_path / "history.jsonl")]
    tensorboard = TensorBoard(log_dir) if settings.tensorboard.enabled else None
    if tensorboard is not None:
        chosen.append(tensorboard)
    stopping = settings.early_stopping
    if stopping.enabled:
        chosen.append(EarlyStopping(Monitor(stopping.monitor, stopping.mode, stopping.min_delta), stopping.patience))
    checkpoint = settings.checkpoint
    chosen.append(Checkpoint(run_path / "checkpoints", Monitor(checkpoint.monitor, checkpoint.mode)))
    if settings.resources.enabled:
        chosen.append(Resources(run_path / "resources.jsonl", settings.resources.every_seconds, tensorboard))
    if settings.progress.enabled:
        chosen.append(ProgressReport())
    return chosen


def load_best(trainer: Trainer, checkpoints: Path) -> int:
    """Give the trainer's model the weights of its best epoch; returns which that was."""
    path = checkpoints / "best.pt"
    if not path.exists():
        raise TrainingError(
            "no epoch could be called the best: callbacks.checkpoint.monitor was never a number; "
            "the validation rows may hold no label of that task"
        )
    state = load_checkpoint(path, trainer.device)
    trainer.model.load_state_dict(state["model"])
    return int(state["epoch"])


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
        layout=inference_layout(config, data.table),
        origin={
            "hybrid_trainer": origin["hybrid_trainer"],
            "python": origin["python"],
            **origin["packages"],
            "data_sha256": data.table.sha256,
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
