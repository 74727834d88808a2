"""study.json: what the jobs of a sweep need to know of the study they belong to. Imports no Optuna."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hybrid_trainer.errors import RunDirError

RECORD = "study.json"
RETRIED = "retried"
"""What a study keeps of trials that were to be run again: their numbers."""


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """What stands in study.json.

    Attributes:
        storage: a database's URL, or the path of a journal file: a bare name is in the sweep's own folder.
        name: the study's. objectives: directions by metric. pruner: its name; options: its options.
        epochs: of a run, at most. replicates: runs of a trial: trial t has the jobs from t * replicates on.
    """

    storage: str
    name: str
    objectives: dict[str, str]
    pruner: str
    options: dict[str, Any]
    epochs: int
    replicates: int


def write_record(folder: Path, record: StudyRecord) -> None:
    """Write it for the owner's eyes alone: the URL of a database may hold a password."""
    temporary = folder / f".{RECORD}.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as stream:
        json.dump(asdict(record), stream, indent=2)
    temporary.replace(folder / RECORD)


def read_record(folder: Path) -> StudyRecord | None:
    """What a sweep's folder says of its study; None where nothing is searched.

    Raises:
        RunDirError: it can't be read.
    """
    path = folder / RECORD
    try:
        return StudyRecord(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, TypeError, ValueError) as error:
        raise RunDirError(f"{path}: damaged ({error})") from error


def place_of(folder: Path, storage: str) -> str:
    """The storage as it is opened."""
    return storage if "/" in storage else str(folder / storage)
