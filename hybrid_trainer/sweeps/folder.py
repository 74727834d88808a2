"""A sweep's folder: what the sweep is (sweep.json), what its configs are composed from (conf/), its ledger and jobs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra

from hybrid_trainer.config import user_files
from hybrid_trainer.config.compose import register
from hybrid_trainer.config.machine_profile import Profile
from hybrid_trainer.errors import RunDirError
from hybrid_trainer.plugins import load_plugins
from hybrid_trainer.runs.atomic import write_json
from hybrid_trainer.runs.directory import another, locked, now, refuse_outside
from hybrid_trainer.runs.ledger import Ledger
from hybrid_trainer.runs.provenance import provenance
from hybrid_trainer.sweeps import plugins
from hybrid_trainer.sweeps.freezing import BUILT_IN, CONFIG_FILE, thawed

NAME = "sweep.json"
VERSION = 1


class Sweep:
    """A sweep on the disk.

    Attributes:
        content: what sweep.json says; see `created`.
    """

    def __init__(self, path: Path, content: dict[str, Any]) -> None:
        self.path = path
        self.content = content
        self.ledger = Ledger(path)

    @property
    def conf(self) -> Path:
        """The frozen copies that configs are composed from."""
        return self.path / "conf"

    @property
    def profile(self) -> Profile | None:
        """The machine profile that all jobs have."""
        said = self.content["profile"]
        return None if said is None else Profile(Path(said["path"]), said["values"], said["unfit"])

    @property
    def overrides(self) -> list[str]:
        """The sweep's command line for Hydra, with everything in this folder where it is now."""
        places = ",".join(_quoted(place) for place in thawed(self.conf, self.content["searchpath"]))
        found = [f"hydra.searchpath=[{places}]"] if places else []
        return [*self.content["overrides"], *found, f"hydra.sweep.dir={_quoted(str(self.path))}"]

    def update(self, **entries: Any) -> None:
        """Add entries to sweep.json."""
        self.content |= entries
        write_json(self.path / NAME, self.content)

    @contextmanager
    def composing(self) -> Iterator[Hydra]:
        """Hydra, to compose from the frozen copies alone; plug-ins are loaded."""
        load_plugins(self.content["plugins"])
        if (self.conf / CONFIG_FILE).is_file():
            user_files.take_config_option(["--config", str(self.conf / CONFIG_FILE)])
        register(self.profile.values if self.profile else {})
        plugins.register()
        GlobalHydra.instance().clear()
        folder = str((self.conf / BUILT_IN).absolute())
        with initialize_config_dir(folder, version_base="1.3", job_name="hybrid_trainer"):
            hydra = GlobalHydra.instance().hydra
            assert hydra is not None
            yield hydra

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process from carrying this sweep out.

        Raises:
            RunDirError: one is at work on it.
        """
        try:
            lock = locked(self.path)
            lock.__enter__()
        except RunDirError:
            raise RunDirError(f"{self.path}: another process is at work on this sweep") from None
        try:
            yield
        finally:
            lock.__exit__(None, None, None)


def created(path: Path, root: Path, *, made_up: bool, **content: Any) -> Sweep:
    """Make a sweep's folder.

    Args:
        path: where; it must lie inside `root`. made_up: where another sweep has this name, another one is taken.
        content: command: as it was given. overrides: made ready for Hydra. searchpath: frozen. plugins: their names.
            profile: the machine's. threads: the most that a job takes. objectives: metrics. replicates: lists of
            overrides, for a sweeper that repeats each trial.

    Raises:
        RunDirError: the folder is outside the root, or another sweep's.
    """
    refuse_outside(path, root)
    while not _claim(path):
        if not made_up:
            raise RunDirError(
                f"{path}: this folder belongs to another sweep; name one that isn't there yet (hydra.sweep.dir); to "
                f"go on with that sweep: python -m hybrid_trainer sweep resume {path}"
            )
        path = another(path)
    (path / "logs").mkdir(exist_ok=True)
    began = {"version": VERSION, "created": now(), "folder": str(Path.cwd()), "study": None}
    return Sweep(path, began | content | {"provenance": provenance()})


def _claim(path: Path) -> bool:
    """Whether this process has got a folder."""
    path.mkdir(parents=True, exist_ok=True)
    try:
        os.close(os.open(path / NAME, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    except FileExistsError:
        return False
    return True


def opened(path: Path) -> Sweep:
    """A sweep that was made before.

    Raises:
        RunDirError: there is none in the folder, or its sweep.json can't be read.
    """
    try:
        content = json.loads((path / NAME).read_text(encoding="utf-8"))
    except OSError as error:
        raise RunDirError(f"{path}: not a sweep's folder: it has no {NAME} ({error.strerror})") from error
    except ValueError as error:
        raise RunDirError(f"{path / NAME}: damaged ({error}): the sweep had not begun; begin a new one") from error
    if content.get("version") != VERSION:
        raise RunDirError(f"{path / NAME}: its version is {content.get('version')!r}, not {VERSION}")
    return Sweep(path, content)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
