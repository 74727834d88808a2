"""One checkpoint on disk: the file, and behind it the SHA-256 that makes it one.

NAME.pt          what torch.save writes of tensors and plain types
NAME.pt.sha256   written last, in sha256sum's format: a file without it is no checkpoint, a file that differs is damaged
"""

from __future__ import annotations

import errno
import hashlib
import io
import shutil
from pathlib import Path
from typing import Any

import torch

from hybrid_trainer.errors import RunDirError, TrainingError
from hybrid_trainer.runs.atomic import write_bytes, write_text

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain types; a process that ends on the way leaves the checkpoints before it as they were.

    Raises:
        TrainingError: the disk is full; what had been written of this checkpoint is gone again.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    manifest_of(path).unlink(missing_ok=True)  # of a former file of this name
    try:
        write_bytes(path, content)
        write_text(manifest_of(path), _line(path, content))
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        remove_checkpoint(path)
        raise TrainingError(
            f"{path}: {error.strerror}: the checkpoint needs {len(content):,} bytes, {_free(path.parent):,} are free "
            "on the disk; the one before it is intact"
        ) from error


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint back; tensors go to `device`.

    Raises:
        RunDirError: it is missing, unfinished or damaged; the text names the file.
    """
    try:
        content, manifest = path.read_bytes(), manifest_of(path).read_bytes()
    except FileNotFoundError as error:
        raise RunDirError(f"{path}: there is no such checkpoint (or no {manifest_of(path).name} beside it)") from error
    if manifest != _line(path, content).encode():
        raise RunDirError(f"{path}: the checkpoint is damaged: it does not fit the SHA-256 in {manifest_of(path).name}")
    state: dict[str, Any] = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    return state


def remove_checkpoint(path: Path) -> None:
    """Remove a checkpoint, its manifest first: half of one is none."""
    manifest_of(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def manifest_of(path: Path) -> Path:
    """The file that holds a checkpoint's SHA-256."""
    return path.with_name(f"{path.name}.sha256")


def _line(path: Path, content: bytes) -> str:
    return f"{hashlib.sha256(content).hexdigest()}  {path.name}\n"


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free
