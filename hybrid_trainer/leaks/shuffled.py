"""Shuffled labels train to chance: where every row has another row's label, no model may tell it.

What beats a constant, be it after shrinking, goes along with the label: the correlation of outputs and test labels says
so however much the model has overfitted, which a loss beside the constant's would hide.

Shape legend: R labelled test rows of a task, D outputs of its head.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from hybrid_trainer import build, prepare
from hybrid_trainer.config.callbacks import CallbacksConfig
from hybrid_trainer.config.model import LinearModelConfig
from hybrid_trainer.config.schema import Config
from hybrid_trainer.config.training import ScheduleConfig, TrainingConfig
from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.engine.collect import collect
from hybrid_trainer.engine.device import choose_precision
from hybrid_trainer.errors import UserError
from hybrid_trainer.leaks.finding import Finding, Subject
from hybrid_trainer.links import to_scaled
from hybrid_trainer.types import TargetSpec

BOUND = 4.0  # standard errors: chance goes beyond them about once in 30 000 times
_FEWEST = 30  # labelled test rows
_STEPS, _LEARNING_RATE = 300, 1e-2

Values = NDArray[np.float64]
_CPU = torch.device("cpu")


def trains_to_chance(subject: Subject) -> Finding:
    """Train a linear model on shuffled labels; its outputs must not go along with the shuffled test labels."""
    config = quick_config(subject.config, subject.seed)
    try:
        data = prepare.dataset(config, subject.data.table, _CPU)
        epochs = max(-(-_STEPS // len(data.loader("train", config.training.batch_size))), 1)
        outputs = _trained(config, data, epochs)
    except UserError as error:  # a class of a few rows may have left the training rows
        return Finding(looked_at="a linear model on shuffled labels", warnings=[f"could not be trained: {error}"])
    failures: list[str] = []
    warnings: list[str] = []
    measured: list[str] = []
    tested = 0
    for spec in data.specs:
        labels, said = _labels_and_outputs(data, spec, outputs[spec.name])
        if len(labels) < _FEWEST:
            warnings.append(f"not tried for {spec.name}: {len(labels)} labelled test rows are too few to tell chance")
            continue
        tested += len(labels)
        together, chance = correlation(labels, said)
        # Shuffling the rows of a forecast's columns leaves neighbouring labels with rows in common.
        bound = BOUND * chance * np.sqrt(spec.horizon if spec.kind == "forecast" else 1)
        text = f"{spec.name}: correlation {together:.3f}, chance {bound:.3f}"
        if together > bound:
            failures.append(f"{text}: something in the inputs tells the label")
        else:
            measured.append(text)
    looked_at = f"{tested:,} test labels; a linear model, {epochs} epoch(s); chance is {BOUND:g} standard errors"
    return Finding(looked_at=looked_at, failures=failures, warnings=warnings, measured=measured)


def quick_config(config: Config, seed: int) -> Config:
    """The same data with shuffled labels, and the smallest model."""
    return replace(
        config,
        seed=seed,
        data=replace(config.data, shuffle_labels=True),
        model=LinearModelConfig(time_window=config.model.time_window, heads=config.model.heads),
        training=TrainingConfig(
            learning_rate=_LEARNING_RATE,
            batch_size=config.training.batch_size,
            schedule=ScheduleConfig(kind="none"),
            precision="fp32",
            device="cpu",
            threads=config.training.threads,
        ),
        callbacks=CallbacksConfig(),
    )


def _trained(config: Config, data: Dataset, epochs: int) -> dict[str, Tensor]:
    """The raw outputs of the test rows after training."""
    config = replace(config, training=replace(config.training, epochs=epochs))
    precision = choose_precision("fp32", _CPU)
    trainer = build.trainer(config, build.model_spec(config, data), data, build.Machine(_CPU, precision), [])
    size = config.training.batch_size
    trainer.fit(data.loader("train", size, shuffle_seed=config.seed), data.loader("valid", size))
    return collect(trainer.model, data.loader("test", size), precision)


def correlation(labels: Values, outputs: Values) -> tuple[float, float]:
    """How far labels (R, D) and outputs (R, D) go together, -1 to 1, and the standard error of that by chance.

    By chance is: as if the labels were dealt to the rows anew. Then the mean of the R inner products has the variance
    trace(cov(labels) cov(outputs)) / R.
    """
    label, output = labels - labels.mean(axis=0), outputs - outputs.mean(axis=0)
    size = np.sqrt((label**2).sum(axis=1).mean() * (output**2).sum(axis=1).mean())
    if not size > 0:
        return 0.0, 0.0
    deviation = np.sqrt(((label.T @ label) * (output.T @ output)).sum()) / len(label)
    return float((label * output).sum(axis=1).mean() / size), float(deviation / size / np.sqrt(len(label)))


def _labels_and_outputs(data: Dataset, spec: TargetSpec, raw: Tensor) -> tuple[Values, Values]:
    """(R, D) each: of a class 1 or 0 and its log probability, else scaled numbers; of quantiles the median."""
    rows = torch.from_numpy(data.split.rows["test"])
    known = data.tensors.mask[spec.name][rows] > 0
    label, output = data.tensors.labels(spec.name, rows[known]), raw[known].double()
    if spec.kind == "classification":
        return F.one_hot(label, spec.dim).double().numpy(), output.log_softmax(dim=-1).numpy()
    output = to_scaled(output, spec)
    if spec.kind == "quantile":
        output = output[:, [spec.quantiles.index(0.5)]]
    return label.double().numpy(), output.numpy()
