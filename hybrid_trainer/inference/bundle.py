"""The saved model: written whole, verified and replayed before it is used. No pickle anywhere.

weights.safetensors  scaler.skops  schema.json  golden.safetensors  MODEL_CARD.md  manifest.json (SHA-256 of each),
and context_scaler.skops where there is context.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hybrid_trainer.data.features import FEATURES, select_features
from hybrid_trainer.data.scaling import Scaler
from hybrid_trainer.errors import BundleError, UserError
from hybrid_trainer.inference.files import (
    CARD,
    CONTEXT_SCALER,
    GOLDEN,
    MANIFEST,
    SCALER,
    SCHEMA,
    WEIGHTS,
    sha256_of,
    verify,
    verify_file,
)
from hybrid_trainer.inference.predictor import Predictor
from hybrid_trainer.inference.schema import BundleSchema
from hybrid_trainer.models import MODELS, make_model
from hybrid_trainer.runs.atomic import umask

_TOLERANCE = 1e-4


def save_bundle(folder: Path, predictor: Predictor, golden: dict[str, Tensor], card: str) -> None:
    """Write a bundle; the folder appears with everything in it, or not at all.

    Args:
        folder: where to; a former bundle there is replaced.
        golden: a few windows in units, `x` (B, T, F), `ids` (B, K) and, where there is one, `context` (B, C), NaN
            where a block is missing; their predictions are computed here and kept beside them.
        card: the model card's text.
    """
    import skops.io  # here: four seconds that only saving and loading need

    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        weights = {name: value.detach().cpu().contiguous() for name, value in predictor.model.state_dict().items()}
        save_file(weights, temporary / WEIGHTS)
        skops.io.dump(predictor.scaler.transformer, temporary / SCALER)
        if predictor.context_scaler is not None:
            skops.io.dump(predictor.context_scaler.transformer, temporary / CONTEXT_SCALER)
        predictor.schema.write(temporary / SCHEMA)
        outputs = predictor.predict_windows(golden["x"], golden.get("context"), golden["ids"])
        save_file(
            {**golden, **{f"output.{name}": value.contiguous() for name, value in outputs.items()}}, temporary / GOLDEN
        )
        (temporary / CARD).write_text(card, encoding="utf-8")
        digests = {path.name: sha256_of(path) for path in sorted(temporary.iterdir())}
        (temporary / MANIFEST).write_text(json.dumps(digests, indent=2) + "\n", encoding="utf-8")
        mask = umask()
        temporary.chmod(0o777 & ~mask)
        for path in temporary.iterdir():
            path.chmod(0o666 & ~mask)  # safetensors and mkdtemp keep everybody else out
        _take_place_of(folder, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def publish_bundle(bundle: Path, folder: Path) -> None:
    """Copy a saved bundle to another folder, which appears whole or not at all; a former one there is replaced.

    What a killed process has left of the same bundle goes first: its name is one run's, which one process works on.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _tidy_up(folder)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        shutil.copytree(bundle, temporary, dirs_exist_ok=True)
        _take_place_of(folder, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _tidy_up(folder: Path) -> None:
    """Remove half-copied bundles of this name; a former one that was moved away and not replaced comes back."""
    half = re.compile(rf"\.{re.escape(folder.name)}\.[a-z0-9_]{{8}}(\.former)?")
    for path in [path for path in folder.parent.iterdir() if half.fullmatch(path.name)]:
        if path.suffix == ".former" and not folder.exists():
            path.rename(folder)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _take_place_of(folder: Path, temporary: Path) -> None:
    """Move a finished folder to its place; a former one is gone only when the new one stands there."""
    former = temporary.with_name(f"{temporary.name}.former")
    if folder.exists():
        folder.rename(former)
    try:
        temporary.rename(folder)
    except BaseException:
        if former.exists():
            former.rename(folder)
        raise
    shutil.rmtree(former, ignore_errors=True)


def load_bundle(folder: Path) -> Predictor:
    """Verify a bundle's files, make its model on the CPU, and replay its golden batch.

    Raises:
        BundleError: a file is missing, altered or not trusted, or the golden batch comes out different.
    """
    digests = verify(folder)
    schema = BundleSchema.read(folder / SCHEMA)
    if schema.layout.context:
        verify_file(folder, CONTEXT_SCALER, digests)
    _refuse_unknown_names(folder, schema)
    try:
        model = make_model(schema.model.name, schema.model.dims, schema.model.parameters)
        model.load_state_dict(load_file(folder / WEIGHTS))
        golden = load_file(folder / GOLDEN)
    except (SafetensorError, RuntimeError, TypeError, AttributeError, UserError) as error:
        raise BundleError(f"{folder}: the weights do not fit the schema ({error})") from error
    predictor = Predictor(
        model=model.eval(),
        scaler=_load_scaler(folder / SCALER, schema),
        context_scaler=_load_scaler(folder / CONTEXT_SCALER, schema) if schema.layout.context else None,
        schema=schema,
    )
    try:
        _replay(folder, predictor, golden)
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise BundleError(
            f"{folder}: the model's parts do not fit each other ({type(error).__name__}: {error})"
        ) from error
    return predictor


def read_weights(folder: Path) -> tuple[BundleSchema, dict[str, Tensor]]:
    """Verify a bundle's files, and read what a model was and the weights it had; makes no model.

    Raises:
        BundleError: a file is missing or altered.
    """
    verify(folder)
    try:
        return BundleSchema.read(folder / SCHEMA), load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise BundleError(f"{folder / WEIGHTS}: the file is damaged ({error})") from error


def _refuse_unknown_names(folder: Path, schema: BundleSchema) -> None:
    """What the user's plug-ins brought must have been registered; the bundle itself never picks code to import."""
    needed = {f"the feature '{name}'": name in FEATURES for name in schema.extra_features}
    needed[f"the model family '{schema.model.name}'"] = schema.model.name in MODELS
    for what, known in needed.items():
        if not known:
            modules = ",".join(schema.plugins) or "MODULE"
            raise BundleError(
                f"{folder}: the model needs {what}, which is not a built-in one; name the module that "
                f"registers it: predict --plugins {modules}"
            )
    try:
        select_features(schema.feature_set, schema.extra_features, schema.expressions)
    except UserError as error:
        raise BundleError(f"{folder / SCHEMA}: {error}") from error


def _load_scaler(path: Path, schema: BundleSchema) -> Scaler:
    import skops.io

    try:
        return Scaler(skops.io.load(path, trusted=[]), schema.clip)
    except Exception as error:
        raise BundleError(
            f"{path}: the scaler holds something that is not trusted or cannot be read ({error})"
        ) from error


def _replay(folder: Path, predictor: Predictor, golden: dict[str, Tensor]) -> None:
    outputs = predictor.predict_windows(golden["x"], golden.get("context"), golden["ids"])
    for name, value in outputs.items():
        said = golden[f"output.{name}"]
        if not torch.allclose(value, said, rtol=_TOLERANCE, atol=_TOLERANCE):
            worst = float((value - said).abs().max())
            raise BundleError(
                f"{folder}: on this machine the model's own golden batch comes out different ('{name}' by up "
                f"to {worst:.2g}); it is not the model that was tested"
            )
