"""Checkpoint files: written whole or not at all, verified before they are read."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from hybrid_trainer.errors import RunDirError
from hybrid_trainer.runs.atomic import write_bytes

_DIGEST_BYTES = 32


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain types atomically; the file begins with the SHA-256 of the rest."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    write_bytes(path, hashlib.sha256(content).digest() + content)


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint back; a missing or damaged file is a RunDirError that names it."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise RunDirError(f"{path}: there is no such checkpoint") from error
    if hashlib.sha256(content[_DIGEST_BYTES:]).digest() != content[:_DIGEST_BYTES]:
        raise RunDirError(f"{path}: the checkpoint is damaged (its SHA-256 does not fit)")
    state: dict[str, Any] = torch.load(io.BytesIO(content[_DIGEST_BYTES:]), map_location=device, weights_only=True)
    return state
