"""Is all that is fitted a function of training rows? The run's data is made again with all other rows changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hybrid_trainer import build, prepare
from hybrid_trainer.config.data import DataConfig
from hybrid_trainer.config.schema import Config
from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.data.features import select_features
from hybrid_trainer.data.vocabulary import INSTRUMENT
from hybrid_trainer.errors import UserError
from hybrid_trainer.leaks.changes import with_other_rows
from hybrid_trainer.leaks.finding import Finding, Subject
from hybrid_trainer.leaks.inputs import same

_PROBED = 4096  # rows that scalers are compared on
_BATCH = 512

Rows = NDArray[np.int64]


def fitted_on_training(subject: Subject) -> Finding:
    """Change all rows that training does not reach: what is fitted, and every training batch, stay as they were."""
    config, data = subject.config, subject.data
    beyond = ~reached(config, data)
    looked_at = f"{int(beyond.sum()):,} rows beyond training's reach changed, {len(data.split.rows['train']):,} kept"
    if not beyond.any():
        return Finding(looked_at=looked_at, warnings=["training reaches every row: nothing could be changed"])
    names_decide = _names_decide(config.data)
    table = with_other_rows(data.table, beyond, subject.generator(), rename=not names_decide)
    try:
        other = prepare.dataset(config, table, torch.device("cpu"))
    except UserError as error:
        return Finding(looked_at=looked_at, failures=[f"with other rows there, training is refused: {error}"])
    if not np.array_equal(data.split.rows["train"], other.split.rows["train"]):
        return Finding(looked_at=looked_at, failures=["other rows train"])
    ours, theirs = fitted_state(config, data), fitted_state(config, other, scaled=data)
    found = [f"{name}: learned from rows that training must not reach" for name in ours if ours[name] != theirs[name]]
    if names_decide and not _known_instruments_train(data):
        found.append(f"the vocabulary of '{INSTRUMENT}': learned from rows that training must not reach")
    batches = "the training batches are others" if not _same_batches(data, other) else None
    if batches and not found:
        found.append(f"{batches}: something in them reads rows that training must not reach")
    return Finding(looked_at=f"{looked_at}; {len(ours)} fitted things compared, and all batches", failures=found)


def _names_decide(config: DataConfig) -> bool:
    """Whether the split goes by the instruments' names: sequences under other names would be dealt out anew."""
    split = config.split
    return config.independent_sequences and split.kind != "column" and split.order == "shuffled"


def _known_instruments_train(data: Dataset) -> bool:
    """Whether every name in the vocabulary is that of a training row; where names stay, other rows cannot show it."""
    trained = {data.table.instruments[code] for code in np.unique(data.table.instrument[data.split.rows["train"]])}
    return trained.issuperset(data.vocabularies[INSTRUMENT].names)


def reached(config: Config, data: Dataset) -> NDArray[np.bool_]:
    """(N,) bool: the rows that a training window, its features' lookbacks, or a training label read.

    A mean over the market reads the rows of all instruments at that time, and their lookbacks.
    """
    settings = config.data
    selected = select_features(settings.feature_set, settings.extra_features, settings.expressions)
    targets = config.active_targets.values()
    behind = max(
        data.time_window - 1 + max((entry.lookback - 1 for entry in selected), default=0),
        *(target.rows_behind for target in targets),
    )
    ahead = max(target.horizon for target in targets)
    flags = _around(data.split.rows["train"], behind, ahead, len(data.panel))
    if not any(entry.market for entry in selected):
        return flags
    times = np.unique(data.panel.timestamps[flags])
    others = np.flatnonzero(np.isin(data.panel.timestamps, times))
    return flags | _around(others, behind, 0, len(data.panel))


def _around(rows: Rows, behind: int, ahead: int, count: int) -> NDArray[np.bool_]:
    """(N,) bool: the rows from `behind` rows before to `ahead` rows after one of the (R,) rows."""
    edges = np.zeros(count + 1, dtype=np.int64)
    np.add.at(edges, np.maximum(rows - behind, 0), 1)
    np.add.at(edges, np.minimum(rows + ahead + 1, count), -1)
    flags: NDArray[np.bool_] = np.cumsum(edges[:-1]) > 0
    return flags


def fitted_state(config: Config, data: Dataset, scaled: Dataset | None = None) -> dict[str, Any]:
    """What a run learns before it trains, by its name, in a form that can be compared.

    Args:
        scaled: on whose training rows the scalers are tried out; `data` itself where it isn't given.
    """
    panel = (scaled or data).panel
    rows = data.split.rows["train"][:_PROBED]
    state: dict[str, Any] = {"the scaler of the features": data.scaler(panel.features[rows]).tobytes()}
    if data.context_scaler is not None and panel.context is not None:
        state["the scaler of the context"] = data.context_scaler(panel.context[rows]).tobytes()
    for name, vocabulary in data.vocabularies.items():
        state[f"the vocabulary of '{name}'"] = vocabulary.names
    for spec in data.specs:
        if spec.borders:
            state[f"the class borders of '{spec.name}'"] = spec.borders
        if spec.scale:
            state[f"the scale of '{spec.name}'"] = (spec.shift, spec.scale)
    for name, weights in build.weights_of_classes(config, data).items():
        state[f"the class weights of '{name}'"] = weights.tolist()
    return state


def _same_batches(ours: Dataset, theirs: Dataset) -> bool:
    for one, other in zip(ours.loader("train", _BATCH), theirs.loader("train", _BATCH), strict=True):
        pairs = [(one.x, other.x), (one.ids, other.ids)]
        if one.context is not None and other.context is not None:
            pairs.append((one.context, other.context))
        for given, again in ((one.targets, other.targets), (one.mask, other.mask), (one.weight, other.weight)):
            pairs += [(given[task], again[task]) for task in given]
        if not all(bool(same(a, b).all()) for a, b in pairs):
            return False
    return True
