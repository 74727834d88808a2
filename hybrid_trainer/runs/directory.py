"""The run directory: claimed once, and its status tells the truth however the run ends.

config.yaml  overrides.yaml  run.json  history.jsonl  resources.jsonl  train.log  data_report.json  split_report.json
tensorboard/  checkpoints/{last,best}.pt  model/ (the bundle)  report/
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hybrid_trainer.errors import RunDirError
from hybrid_trainer.runs.atomic import without_nan, write_json, write_text
from hybrid_trainer.runs.provenance import process_mark, provenance

RECORD = "run.json"


class RunDirectory:
    """A claimed directory and its record, `run.json`.

    Statuses: running, complete, failed, interrupted.
    """

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        self.path = path
        self.record = record
        self._began = time.monotonic()

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def bundle(self) -> Path:
        """The folder of the saved model."""
        return self.path / "model"

    @property
    def report(self) -> Path:
        """The folder of what was measured."""
        return self.path / "report"

    def update(self, **entries: Any) -> None:
        """Add entries to the record and write it."""
        self.record |= entries
        write_json(self.path / RECORD, self.record)

    def finish(self, status: str, reason: str | None = None, **entries: Any) -> None:
        """Write how the run ended."""
        self.update(
            status=status, stop_reason=reason, ended=_now(), seconds=round(time.monotonic() - self._began, 3), **entries
        )


@contextmanager
def claimed(
    path: Path, *, root: Path, config: dict[str, Any], config_yaml: str, overrides: list[str]
) -> Iterator[RunDirectory]:
    """Claim a directory for one run; whatever ends the block, the record says so.

    Args:
        path: the directory; it may exist, but no other run may have claimed it.
        root: the directory must lie inside.
        config, config_yaml: the resolved config, for the record and as the file. overrides: as they were given.

    Raises:
        RunDirError: the directory is outside the root, or another run's.
    """
    _refuse_outside(path, root)
    record = {
        "status": "running",
        "stop_reason": None,
        "name": run_name(path, root),
        "started": _now(),
        "ended": None,
        "seconds": None,
        "process": process_mark(),
        "overrides": overrides,
        "config": config,
        "metrics": {},
        "provenance": provenance(),
    }
    _claim(path, record)
    run = RunDirectory(path, record)
    try:
        write_text(path / "config.yaml", config_yaml)
        write_text(
            path / "overrides.yaml",
            "".join(f"- {json.dumps(line, ensure_ascii=False)}\n" for line in overrides) or "[]\n",
        )
        yield run
    except KeyboardInterrupt:
        _finish_if_possible(run, "interrupted", "interrupted by a signal")
        raise
    except BaseException as error:
        _finish_if_possible(run, "failed", f"{type(error).__name__}: {error}")
        raise


def _claim(path: Path, record: dict[str, Any]) -> None:
    """Create the record exclusively: of any number of processes, one gets the directory."""
    path.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path / RECORD, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        raise RunDirError(
            f"{path}: this directory belongs to another run; leave hydra.run.dir to its default for a new "
            "one, or a folder that isn't there yet"
        ) from None
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(without_nan(record), stream, indent=2)


def _finish_if_possible(run: RunDirectory, status: str, reason: str) -> None:
    """The disk may be what failed: the first error is the one to show, and 'running' is never taken for complete."""
    with suppress(OSError):
        run.finish(status, reason)


def run_name(path: Path, root: Path) -> str:
    """The run's name: its path below the root, such as outputs/2026-11-23/10-15-00-a1b2c3."""
    return str(path.resolve().relative_to(root.resolve()))


def _refuse_outside(path: Path, root: Path) -> None:
    if root.resolve() in path.resolve().parents:
        return
    raise RunDirError(
        f"{path}: the run directory is not inside paths.root ({root.resolve()}); set paths.root to the "
        "folder under which runs may be written"
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
