"""Going on in the directory of a run that has ended; a resumption that is refused leaves no trace there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hybrid_trainer.errors import UserError
from hybrid_trainer.runs.atomic import write_bytes
from hybrid_trainer.runs.directory import RECORD, RunDirectory, locked, now, read_record, told_how_it_ends
from hybrid_trainer.runs.provenance import process_mark, provenance


@contextmanager
def reopened(path: Path, added: list[str]) -> Iterator[RunDirectory]:
    """Go on in the directory of a run that has ended in whatever way; the record says so, and how this time ends.

    Where it turns out that the run can't go on as was asked, the directory is as it was before.

    Args:
        path: the directory. added: overrides that are given this time.

    Raises:
        RunDirError: no run is there, or another process works on it.
    """
    with locked(path):
        former = read_record(path)
        as_it_was = _undo(path)
        again = {
            "at": now(),
            "before": former["status"],
            "overrides": added,
            "adopted": False,
            "provenance": provenance(),
        }
        run = RunDirectory(path, {**former, "resumed": [*map(dict, former.get("resumed", [])), again]})
        try:
            run.keep_diff()
            run.update(status="running", stop_reason=None, ended=None, process=process_mark())
            with told_how_it_ends(run):
                yield run
        except UserError as error:
            if error.exit_status == 2 and not run.adopted:
                as_it_was()
            raise


def pending(record: dict[str, Any]) -> list[str]:
    """Overrides of resumptions that were neither refused nor came as far as to go on with them: the next one's too."""
    return [word for again in record.get("resumed", []) if again.get("adopted") is False for word in again["overrides"]]


def settle(path: Path, config_yaml: str) -> None:
    """End what a process was killed in: the record has another config than config.yaml."""
    with locked(path):
        RunDirectory(path, read_record(path)).settle(config_yaml)


def _undo(path: Path) -> Callable[[], None]:
    """What brings the record, the log and the list of kept diffs back to what they are now."""
    record, log = (path / RECORD).read_bytes(), path / "train.log"
    length = log.stat().st_size if log.exists() else None
    diffs = set(path.glob("uncommitted*.diff"))

    def undo() -> None:
        write_bytes(path / RECORD, record)
        if length is not None:
            os.truncate(log, length)
        for added in [*(set(path.glob("uncommitted*.diff")) - diffs), *([log] if length is None else [])]:
            added.unlink(missing_ok=True)

    return undo
