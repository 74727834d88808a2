"""The run directory: claimed once, and its status tells the truth however the run ends.

config.yaml  overrides.yaml  run.json  history.jsonl  resources.jsonl  train.log  data_report.json  split_report.json
uncommitted.diff  tensorboard/  checkpoints/{last,best}-*.pt  model/ (the bundle)  report/
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hybrid_trainer.errors import RunDirError
from hybrid_trainer.runs.atomic import (
    named_in_errors,
    remove_leftovers,
    umask,
    without_nan,
    write_bytes,
    write_json,
    write_text,
)
from hybrid_trainer.runs.checkout import diff_of
from hybrid_trainer.runs.provenance import process_mark, provenance

RECORD = "run.json"
_SUFFIX = re.compile(r"-[0-9a-f]{6}$")


class RunDirectory:
    """A claimed directory and its record, `run.json`.

    Statuses: running, complete, failed, interrupted, and pruned: its search has given it up, which is a result, though
    it is neither tested nor saved.
    """

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        self.path = path
        self.record = record
        self.adopted = False
        self._began = time.monotonic()

    @property
    def provenance(self) -> dict[str, Any]:
        """Where this process came from: a resumed run keeps the first one's, and each later one's beside it."""
        resumed = self.record.get("resumed", [])
        own: dict[str, Any] = resumed[-1]["provenance"] if resumed else self.record["provenance"]
        return own

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

    def note(self, **facts: Any) -> None:
        """Add what has become known of what this process computes with: in the record, and in its provenance."""
        self.provenance.update(facts)
        self.update(**facts)

    def keep_diff(self) -> None:
        """Keep what a dirty checkout differs by in a file that the provenance names; the record is not yet written."""
        state = self.provenance["git"]
        if state is None:
            return
        patch, why = diff_of(state)
        if patch is None:
            state["diff"] = why
            return
        count = len(self.record.get("resumed", []))
        kept = [path.name for path in self.path.glob("uncommitted*.diff") if path.read_bytes() == patch]
        state["diff"] = kept[0] if kept else f"uncommitted-resumed-{count}.diff" if count else "uncommitted.diff"
        if not kept:
            write_bytes(self.path / state["diff"], patch)

    def adopt(self, config: dict[str, Any], config_yaml: str, overrides: list[str]) -> None:
        """Make this the run's config: in the record, then as the files; `settle` ends it where a process was killed.

        Args:
            config, config_yaml: resolved. overrides: all that were ever given.
        """
        remove_leftovers(self.path)
        for again in self.record.get("resumed", []):
            again["adopted"] = True
        self.adopted = True
        self.update(config=config, overrides=overrides, adopting=True)
        self.settle(config_yaml)

    def settle(self, config_yaml: str) -> None:
        """Write the files that say what the record already says."""
        write_text(self.path / "config.yaml", config_yaml)
        lines = "".join(f"- {json.dumps(line, ensure_ascii=False)}\n" for line in self.record["overrides"])
        write_text(self.path / "overrides.yaml", lines or "[]\n")
        del self.record["adopting"]
        self.update()

    def finish(self, status: str, reason: str | None = None, **entries: Any) -> None:
        """Write how the run ended; `seconds` adds up over the processes that ended in an orderly way."""
        seconds = round((self.record["seconds"] or 0) + time.monotonic() - self._began, 3)
        self.update(status=status, stop_reason=reason, ended=now(), seconds=seconds, **entries)


@contextmanager
def claimed(
    path: Path,
    *,
    root: Path,
    config: dict[str, Any],
    config_yaml: str,
    overrides: list[str],
    made_up: bool = False,
) -> Iterator[RunDirectory]:
    """Claim a directory for one run; whatever ends the block, the record says so.

    Args:
        path: the directory; it may exist, but no other run may have claimed it.
        root: the directory must lie inside.
        config, config_yaml: the resolved config, for the record and as the file. overrides: as they were given.
        made_up: the name is one of many; where another run has it, another one is taken.

    Raises:
        RunDirError: the directory is outside the root, or another run's.
    """
    refuse_outside(path, root)
    record = {
        "status": "running",
        "stop_reason": None,
        "name": "",
        "started": now(),
        "ended": None,
        "seconds": None,
        "process": process_mark(),
        "overrides": overrides,
        "config": config,
        "metrics": {},
        "provenance": provenance(),
    }
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(_claimed(path, record | {"name": run_name(path, root)}))
                break
            except RunDirError:
                if not made_up:
                    raise
            path = another(path)
        record["name"] = run_name(path, root)
        run = stack.enter_context(told_how_it_ends(RunDirectory(path, record)))
        run.keep_diff()
        run.adopt(config, config_yaml, overrides)
        yield run


def another(path: Path) -> Path:
    """Another made-up name beside that of a run or a sweep: with another random end."""
    return path.with_name(_SUFFIX.sub("", path.name) + f"-{secrets.token_hex(3)}")


def read_record(path: Path) -> dict[str, Any]:
    """A run's record.

    Raises:
        RunDirError: there is none, or it can't be read.
    """
    try:
        record = json.loads((path / RECORD).read_text(encoding="utf-8"))
    except OSError as error:
        raise RunDirError(f"{path}: not a run's directory: it has no {RECORD} ({error.strerror})") from error
    except ValueError as error:
        raise RunDirError(f"{path / RECORD}: damaged ({error}); the run can't be resumed; begin a new one") from error
    if not isinstance(record, dict) or not {"status", "config", "overrides", "name", "seconds"} <= set(record):
        raise RunDirError(f"{path / RECORD}: not the record of a run")
    return record


@contextmanager
def told_how_it_ends(run: RunDirectory) -> Iterator[RunDirectory]:
    """Write into the record how the block ends."""
    try:
        yield run
    except KeyboardInterrupt:
        _finish_if_possible(run, "interrupted", "interrupted by a signal")
        raise
    except BaseException as error:
        _finish_if_possible(run, "failed", f"{type(error).__name__}: {error}")
        raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep every other process out; the system lets go of the lock however this one ends."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)  # the folder itself: no file for it is left behind
    except FileNotFoundError as error:
        raise RunDirError(f"{path}: there is no such directory") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunDirError(f"{path}: another process is at work on this run") from None
        yield
    finally:
        os.close(handle)


@contextmanager
def _claimed(path: Path, record: dict[str, Any]) -> Iterator[None]:
    """Make, lock and claim a directory."""
    path.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(path))  # before the record is there for another process to go on with
        except RunDirError:
            raise _belongs_to_another(path) from None
        _claim(path, record)
        yield


def _claim(path: Path, record: dict[str, Any]) -> None:
    """Create the record, whole and exclusively: of any number of processes, one gets the directory."""
    handle, name = tempfile.mkstemp(dir=path, prefix=f".{RECORD}.")
    temporary = Path(name)
    try:
        with named_in_errors(path / RECORD), os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(without_nan(record), stream, indent=2)
        temporary.chmod(0o666 & ~umask())
        (path / RECORD).hardlink_to(temporary)  # unlike a rename, it replaces nothing
    except (FileExistsError, FileNotFoundError):  # not found: who has got the directory has tidied it up
        raise _belongs_to_another(path) from None
    finally:
        temporary.unlink(missing_ok=True)


def _belongs_to_another(path: Path) -> RunDirError:
    return RunDirError(
        f"{path}: this directory belongs to another run; leave run.id (hydra.run.dir) out for a new one, or name "
        f"a folder that isn't there yet; to go on with that run: python -m hybrid_trainer resume {path}"
    )


def _finish_if_possible(run: RunDirectory, status: str, reason: str) -> None:
    """The disk may be what failed: the first error is the one to show, and 'running' is never taken for complete."""
    with suppress(OSError):
        run.finish(status, reason)


def run_name(path: Path, root: Path) -> str:
    """The run's name: its path below the root, such as outputs/2026-11-23/10-15-00-a1b2c3."""
    return str(path.resolve().relative_to(root.resolve()))


def refuse_outside(path: Path, root: Path) -> None:
    """Raise RunDirError for a folder that does not lie below the root."""
    if root.resolve() in path.resolve().parents:
        return
    raise RunDirError(
        f"{path}: the run directory is not inside paths.root ({root.resolve()}); set paths.root to the "
        "folder under which runs may be written"
    )


def now() -> str:
    """The time, as records have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
