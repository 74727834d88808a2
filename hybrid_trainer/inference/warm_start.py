"""The weights of a saved model as the beginning of another one: what fits by name, shape and meaning is taken over."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.inference.bundle import read_weights
from hybrid_trainer.inference.files import bundle_digest
from hybrid_trainer.inference.schema import BundleSchema, ModelSpec
from hybrid_trainer.models.blocks import CategoryEmbedding
from hybrid_trainer.types import TargetSpec

log = logging.getLogger(__name__)

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Origin:
    """A saved model that another one begins with; `sha256` is that of its manifest, which holds those of its files."""

    folder: Path
    sha256: str
    schema: BundleSchema
    weights: Weights

    @classmethod
    def read(cls, folder: Path) -> Origin:
        """Verify the files and read them.

        Raises:
            BundleError: a file is missing or altered.
        """
        schema, weights = read_weights(folder)
        return cls(folder, bundle_digest(folder), schema, weights)


def take_over(model: nn.Module, spec: ModelSpec, data: Dataset, origin: Origin) -> None:
    """Give a model of the same family and features the weights of a saved one; a line says what was left fresh.

    Vectors of categories go by the category's name, heads by the task's name, kind and classes, everything else by its
    own name and shape.

    Raises:
        ConfigError: the saved model is of another family or other features, or no weight fits.
    """
    where = f"model.init_from: {origin.folder}"
    _refuse_others(where, spec, data, origin.schema)
    theirs = _without_other_tasks(origin, data.specs)
    theirs |= _embeddings(model, spec, data, origin)
    ours = model.state_dict()
    taken = {name: value for name, value in theirs.items() if name in ours and ours[name].shape == value.shape}
    if not taken:
        raise ConfigError(f"{where}: none of its weights fits this model")
    model.load_state_dict({**ours, **taken})
    log.info("%s: %d of %d tensors taken over (manifest %s)", where, len(taken), len(ours), origin.sha256[:16])
    if fresh := [name for name in ours if name not in taken]:
        log.info("%s: begins fresh: %s", where, ", ".join(fresh))
    if changed := _other_inputs(spec, data, origin.schema):
        log.warning("%s: %s; layers that read them learn that anew", where, changed)


def _refuse_others(where: str, spec: ModelSpec, data: Dataset, schema: BundleSchema) -> None:
    if schema.model.name != spec.name:
        raise ConfigError(f"{where} is a model of the family '{schema.model.name}', not '{spec.name}'; choose that one")
    ours, theirs = list(data.panel.feature_names), schema.feature_names
    if ours != theirs:
        lacking = [name for name in theirs if name not in ours]
        new = [name for name in ours if name not in theirs]
        said = [f"here is no {', '.join(lacking)}"] if lacking else []
        said += [f"it knows no {', '.join(new)}"] if new else []
        raise ConfigError(f"{where} reads other features: {'; '.join(said) or 'in another order'}; bring the same ones")


def _without_other_tasks(origin: Origin, specs: list[TargetSpec]) -> Weights:
    """The weights but those of heads that here tell something else, by what is part of their names: head_TASK."""
    before = {spec.name: _meaning(spec) for spec in origin.schema.specs}
    same = {f"head_{spec.name}" for spec in specs if before.get(spec.name) == _meaning(spec)}
    other = {f"head_{name}" for name in before} - same
    return {name: value for name, value in origin.weights.items() if not other & set(name.split("."))}


def _meaning(spec: TargetSpec) -> TargetSpec:
    """What the head tells, whatever the units and the horizon are: scaled numbers are read in new units."""
    return replace(spec, horizon=1, shift=(), scale=(), borders=())


def _embeddings(model: nn.Module, spec: ModelSpec, data: Dataset, origin: Origin) -> Weights:
    """The vectors of categories that are known here and there, the other ones as they are here."""
    schema, found = origin.schema, {}
    before = [name for name in schema.model.dims.vocabularies if name in schema.model.parameters.get("embeddings", {})]
    inputs = list(spec.dims.vocabularies)
    for path, module in model.named_modules():
        if not isinstance(module, CategoryEmbedding):
            continue
        for index, column in enumerate(module.columns):
            name, key = inputs[column], f"{path}.tables.{index}.weight"
            fresh = model.state_dict()[key]
            position = before.index(name) if name in before else -1
            theirs = origin.weights.get(f"{path}.tables.{position}.weight")
            if theirs is None or theirs.shape[1:] != fresh.shape[1:]:
                found[key] = fresh[:0]  # fits nothing: what has this name there belongs to another input
            else:
                known = (schema.vocabularies[name], list(data.vocabularies[name].names))
                found[key] = _by_name(fresh, theirs, *known)
    return found


def _by_name(fresh: Tensor, theirs: Tensor, before: list[str], names: list[str]) -> Tensor:
    """(ours, size): the vector of each category that both know; row 0 is `<unk>`'s in both."""
    made = fresh.clone()
    place = {name: row for row, name in enumerate(before, start=1)}
    pairs = [(0, 0)] + [(row, place[name]) for row, name in enumerate(names, start=1) if name in place]
    rows, from_rows = (torch.tensor(side) for side in zip(*pairs, strict=True))
    made[rows] = theirs[from_rows].to(made)
    return made


def _other_inputs(spec: ModelSpec, data: Dataset, schema: BundleSchema) -> str:
    """What of the windows' norm, categories and context blocks differs, in words; empty where nothing does."""
    said = []
    before, now = schema.model.parameters.get("embeddings", {}), spec.parameters.get("embeddings", {})
    if before != now:
        said.append(f"embeddings were {before} and are {now}")
    norms = [each.parameters.get("window_norm", "none") for each in (schema.model, spec)]
    if norms[0] != norms[1]:
        said.append(f"window_norm was {norms[0]} and is {norms[1]}")
    blocks = {name: list(columns) for name, columns in schema.layout.context.items()}
    ours = {name: list(columns) for name, columns in data.panel.context_blocks.items()}
    if blocks != ours:
        said.append(f"context was {blocks} and is {ours}")
    return "; ".join(said)
