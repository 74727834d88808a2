"""The files of a saved model and their digests. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hybrid_trainer.errors import BundleError

MANIFEST = "manifest.json"
WEIGHTS, SCALER, SCHEMA, GOLDEN, CARD = (
    "weights.safetensors",
    "scaler.skops",
    "schema.json",
    "golden.safetensors",
    "MODEL_CARD.md",
)
CONTEXT_SCALER = "context_scaler.skops"


def verify(folder: Path) -> dict[str, str]:
    """Check the files that every bundle has; returns the digests of all.

    Raises:
        BundleError: one is missing or altered.
    """
    if not folder.is_dir():
        raise BundleError(f"{folder}: there is no such folder; name a run's model folder: RUN_DIR/model")
    try:
        digests = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        inner = folder / "model" / MANIFEST
        hint = f"; did you mean {inner.parent}?" if inner.is_file() else ""
        raise BundleError(f"{folder}: not a saved model: there is no {MANIFEST}{hint}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{folder / MANIFEST}: the file is damaged ({error})") from error
    if not isinstance(digests, dict):
        raise BundleError(f"{folder / MANIFEST}: the file is damaged")
    for name in (WEIGHTS, SCALER, SCHEMA, GOLDEN, CARD):
        verify_file(folder, name, digests)
    return digests


def verify_named(key: str, folder: str) -> None:
    """Check the files of the bundle that a config's key names.

    Raises:
        BundleError: as `verify`; the text names the key.
    """
    with naming(key):
        verify(Path(folder))


@contextmanager
def naming(key: str) -> Iterator[None]:
    """Put a config's key before what is told of the bundle that it names."""
    try:
        yield
    except BundleError as error:
        raise BundleError(f"{key}: {error}") from error


def verify_file(folder: Path, name: str, digests: dict[str, str]) -> None:
    """Check one file against the manifest's digests."""
    path = folder / name
    if name not in digests:
        raise BundleError(f"{folder / MANIFEST}: the file is damaged (it does not list {name})")
    if not path.is_file():
        raise BundleError(f"{path}: the file is missing; the model is incomplete")
    if sha256_of(path) != digests[name]:
        raise BundleError(f"{path}: the file was altered (its SHA-256 is not the one in {MANIFEST})")


def bundle_digest(folder: Path) -> str:
    """The SHA-256 of a bundle's manifest: it stands for the content of all its files."""
    return sha256_of(folder / MANIFEST)


def sha256_of(path: Path) -> str:
    """The digest of one file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
