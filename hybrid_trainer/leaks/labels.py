"""Is a label known at its own row? By changing later rows, and by looking for it among the inputs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.data.causality_targets import target_leaks
from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.data.targets import Target
from hybrid_trainer.leaks.finding import Finding, Subject

_COMPARED = 20_000  # rows on which labels and inputs are compared

Rows = NDArray[np.int64]
Values = NDArray[np.float64]


def about_the_future(subject: Subject) -> Finding:
    """Labels are made from the rows (t, t + horizon], and known at t in none of them."""
    configs = subject.config.active_targets
    leaks = target_leaks(subject.data.table, configs, subject.generator(), samples=subject.samples)
    return Finding(
        looked_at=f"{len(configs)} targets, {subject.samples} labels each, built again from their own rows",
        failures=[f"{name}: {text}" for name, texts in leaks.items() for text in texts],
    )


def not_an_input(subject: Subject) -> Finding:
    """No label equals an input of the same row, be it under other names for the classes."""
    data = subject.data
    found, count = [], 0
    for target in data.targets:
        rows = some_labelled(data, target, subject.generator(), _COMPARED)
        labels = target.at(rows)
        for name, values in _inputs(data, rows):
            count += 1
            if target.spec.kind == "classification":
                equal = _one_to_one(labels, values)
            else:
                equal = any(_equal(labels[:, number], values) for number in range(labels.shape[1]))
            if equal:
                found.append(f"{target.spec.name}: in all of {len(rows):,} rows the label is the input {name}")
    return Finding(looked_at=f"{count} pairs of a label and an input, up to {_COMPARED:,} rows each", failures=found)


def some_labelled(data: Dataset, target: Target, generator: np.random.Generator, most: int) -> Rows:
    """At most `most` decision rows that have a label, drawn at random, ascending."""
    rows = np.concatenate(list(data.split.rows.values()))
    rows = rows[target.labelled[rows]]
    return np.sort(generator.choice(rows, min(most, len(rows)), replace=False))


def _inputs(data: Dataset, rows: Rows) -> Iterator[tuple[str, NDArray[np.float32] | NDArray[np.int32]]]:
    """Each input at the decision rows, in units: its name, and (R,) values."""
    for column, name in enumerate(data.panel.feature_names):
        yield f"'{name}'", data.panel.features[rows, column]
    if data.panel.context is not None:
        names = [name for block in data.panel.context_blocks.values() for name in block]
        for column, name in enumerate(names):
            yield f"'{name}' (context)", data.panel.context[rows, column]
    ids = data.tensors.ids.numpy()
    for column, name in enumerate(data.vocabularies):
        yield f"'{name}' (category)", ids[rows, column]


def _equal(labels: Values, values: NDArray[np.float32] | NDArray[np.int32]) -> bool:
    """Whether numbers are the same as float32, and not one number all along."""
    ours = labels.astype(np.float32)
    return bool((ours != ours[0]).any()) and np.array_equal(ours, values)


def _one_to_one(classes: Rows, values: NDArray[np.float32] | NDArray[np.int32]) -> bool:
    """Whether each class goes with one value of the input, and each value with one class."""
    known, code = np.unique(values, return_inverse=True)
    present, number = np.unique(classes, return_inverse=True)
    if len(present) < 2 or len(known) != len(present):
        return False
    return len(np.unique(code * len(present) + number)) == len(present)
