"""What an earlier attempt of the same torchrun has left for the next: its run, or the reason not to try again.

torchrun starts all processes anew when one of them dies (--max-restarts). The notes are kept in torchrun's own store,
which lives as long as torchrun does: no other torchrun, and no later one, finds them. Imports no torch by itself.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_trainer.errors import ProcessGoneError, RunDirError, TrainingError, UserError
from hybrid_trainer.ranks import launched, open_store, torchrun_serves
from hybrid_trainer.runs.directory import RECORD, read_record
from hybrid_trainer.runs.provenance import process_mark

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]

_RUN, _WORD = "run", "word"
_ANSWER_S = 60.0


def remember(directory: Path, *, claimed: bool = False) -> None:
    """Note which directory this attempt works in.

    Args:
        claimed: it is the run's for sure; else only if this process's mark stands in its record.
    """
    _note(_RUN, {"directory": str(directory.absolute()), "claimed": claimed, "process": process_mark()})


def former() -> Path | None:
    """The directory of the run that an earlier attempt has begun; None: there is no such run."""
    note = _noted(_RUN)
    if note is None:
        return None
    directory = Path(note["directory"])
    if not (directory / RECORD).exists():
        return None
    mine = note["claimed"] or read_record(directory).get("process") == note["process"]
    return directory if mine else None


def leave_word(error: UserError) -> None:
    """Note an error that the user has to mend: another attempt would end in the same way."""
    if not isinstance(error, ProcessGoneError):
        _note(_WORD, {"status": error.exit_status, "text": str(error)})


def last_word() -> UserError | None:
    """The error that an earlier attempt has ended with, if another one makes no sense."""
    note = _noted(_WORD)
    if note is None:
        return None
    return {TrainingError.exit_status: TrainingError, RunDirError.exit_status: UserError}[note["status"]](note["text"])


def _store() -> Store | None:
    if not launched() or not torchrun_serves():
        return None
    return open_store(f"notes/{os.environ.get('TORCHELASTIC_RUN_ID', '')}", patience_s=_ANSWER_S)


def _note(name: str, value: dict[str, Any]) -> None:
    store = _store()
    if store is not None:
        store.set(name, json.dumps(value))


def _noted(name: str) -> dict[str, Any] | None:
    store = _store()
    if store is None or not store.check([name]):
        return None
    found: dict[str, Any] = json.loads(store.get(name))
    return found
