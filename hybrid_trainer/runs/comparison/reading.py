"""Finding runs: whatever is wrong with one becomes its status, and no reason to hide the others."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from hybrid_trainer.errors import RunDirError
from hybrid_trainer.runs.comparison.configs import Config
from hybrid_trainer.runs.comparison.ledger import jobs
from hybrid_trainer.runs.comparison.named import Named
from hybrid_trainer.runs.comparison.records import parse
from hybrid_trainer.runs.comparison.run import Run
from hybrid_trainer.runs.directory import RECORD
from hybrid_trainer.runs.ledger import NAME as LEDGER
from hybrid_trainer.runs.provenance import is_alive

KILLED = "the process is gone and left no other word"


def all_runs(folders: Sequence[Path]) -> list[Run]:
    """Every run below some folders, which may lie in one another, once.

    Raises:
        RunDirError: a folder does not exist.
    """
    if len(folders) == 1:
        return list(find_runs(folders[0]))
    found: dict[Path, Run] = {}
    for folder in folders:
        whole = folder.resolve()  # of each run it would take longer than to read the run
        for run in find_runs(folder):
            found.setdefault(whole / run.path.relative_to(folder), run)
    return list(found.values())


def find_runs(folder: Path) -> Iterator[Run]:
    """Every run below a folder, in the order of their paths; links to folders aren't followed.

    Raises:
        RunDirError: the folder does not exist.
    """
    if not folder.is_dir():
        raise RunDirError(f"{folder}: there is no such folder")
    waiting = [str(folder)]
    while waiting:
        place = waiting.pop()
        try:
            content = _content(f"{place}/{RECORD}")
            if content is not None:
                yield _run(Path(place), content)  # nobody looks for runs inside of a run
                continue
            with os.scandir(place) as entries:
                names = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
        except OSError as error:
            yield _damaged(Path(place), error)
            continue
        if LEDGER in names:
            try:
                yield from jobs(Path(place))
            except OSError as error:
                yield _damaged(Path(place), error)
        waiting += [f"{place}/{name}" for name in sorted(names, reverse=True) if names[name]]


def read_run(path: Path) -> Run:
    """Read one run.json; whatever is wrong with it becomes the run's status."""
    try:
        return _run(path.parent, path.read_bytes())
    except OSError as error:
        return _damaged(path.parent, error)


def _content(file: str) -> bytes | None:
    """A file's bytes, None where there is none."""
    try:
        with io.FileIO(file) as stream:  # half the time of what buffers, decodes and asks for a Path
            return stream.readall()
    except FileNotFoundError:
        return None


def _run(path: Path, content: bytes) -> Run:
    try:
        record = parse(content)
        status, reason = record.status, record.reason
        if status == "running" and is_alive(record.process) is False:
            status, reason = "killed", KILLED
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _damaged(path, error)
    return Run(
        path=path,
        status=status,
        reason=reason,
        config=record.config,
        metrics=record.metrics,
        falling=record.falling,
    )


def _damaged(path: Path, error: Exception) -> Run:
    what = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else f"{RECORD}: {error}"
    return Run(path=path, status="damaged", reason=what, config=Config.of({}), metrics=Named.of({}))
