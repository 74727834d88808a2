"""One job of a sweep, as any launcher runs it: composed tree in, metrics out, and the ledger knows what happens."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from hybrid_trainer.callbacks.base import Callback
from hybrid_trainer.config.compose import to_config
from hybrid_trainer.config.schema import Config
from hybrid_trainer.errors import RunDirError, TrainingError, UserError
from hybrid_trainer.runs.directory import RECORD, read_record
from hybrid_trainer.runs.ledger import Entry, Ledger
from hybrid_trainer.runs.provenance import is_alive, process_mark
from hybrid_trainer.sweeps.folder import Sweep, opened
from hybrid_trainer.sweeps.pruning import watchers
from hybrid_trainer.train import train, train_on

NUMBER = "HYBRID_TRAINER_JOB"
"""In a job's environment: its number in the ledger, where Hydra's own counts the jobs of one launch."""
_PAUSE_S = 0.2


class Job:
    """The task function of every launcher.

    Args:
        sweep: the sweep's folder.
    """

    def __init__(self, sweep: Path) -> None:
        self.sweep = sweep

    def __call__(self, tree: DictConfig) -> dict[str, float]:
        """Train one model, or go on with it; returns its metrics.

        Raises:
            UserError: what `train` raises. TrainingError: code of the user's own has called sys.exit.
        """
        hydra = HydraConfig.get()
        sweep = opened(self.sweep)
        _go_home(Path(sweep.content["folder"]))
        number = int(hydra.job.env_set.get(NUMBER, hydra.job.num))
        directory, task = Path(hydra.runtime.output_dir), [str(word) for word in hydra.overrides.task]
        with _told(sweep.ledger, number, directory):
            config = to_config(tree)
            key = config_key(config)
            sweep.ledger.append(
                number, "running", process=process_mark(), overrides=task, folder=directory.name, key=key
            )
            if sweep.content["duplicates"] == "skip" and (twin := _twin(sweep.ledger, number)):
                with suppress(OSError):
                    directory.rmdir()  # Hydra has made it; a folder with anything in it stays
                said = f"the config of job {twin.number}, which is complete"
                sweep.ledger.append(number, "duplicate", metrics=twin.metrics, reason=said)
                return twin.metrics
            record = _trained(sweep, config, directory, task, watchers(sweep.path, number))
            metrics = numbers(record["metrics"])
            sweep.ledger.append(number, record["status"], metrics=metrics, reason=record["stop_reason"])
            return metrics


def _go_home(folder: Path) -> None:
    """Work where the sweep was begun: a launcher may have started this process elsewhere, and paths are relative."""
    if folder.is_dir() and folder.resolve() != Path.cwd().resolve():
        os.chdir(folder)


def config_key(config: Config) -> str:
    """SHA-256 of a resolved config without what says where a run goes: two jobs with one key would do the same."""
    plain = {name: value for name, value in asdict(config).items() if name not in ("paths", "run")}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def numbers(metrics: dict[str, Any]) -> dict[str, float]:
    """A record's metrics that are numbers."""
    return {name: float(value) for name, value in metrics.items() if isinstance(value, int | float)}


def said_of(error: BaseException) -> str:
    """An error in one line, as the ledger has it."""
    if isinstance(error, SystemExit):
        return f"it called sys.exit({'' if error.code is None else repr(error.code)})"
    return " ".join(f"{type(error).__name__}: {error}".split())


def _trained(
    sweep: Sweep, config: Config, directory: Path, task: list[str], looking_on: Sequence[Callback]
) -> dict[str, Any]:
    """Train in the job's directory, or go on with what an earlier process has begun there; returns the run's record."""
    if not (directory / RECORD).exists():
        notes = [sweep.profile.note(config)] if sweep.profile else []
        return train(config, directory, task, notes, looking_on).record
    record = read_record(directory)
    if record["status"] in ("complete", "pruned"):
        return record  # it was killed before it could tell the ledger
    if record["status"] == "running" and is_alive(record.get("process", {})):
        raise RunDirError(f"{directory}: this run is still under way (process {record['process']['pid']})")
    return train_on(config, directory, record["overrides"], [], looking_on).record


def _twin(ledger: Ledger, number: int) -> Entry | None:
    """A complete job with the same config; waits for one that is under way and was there before."""
    while True:
        mine = ledger.refresh()[number]
        twins = [entry for entry in ledger.jobs.values() if entry.key == mine.key and entry.number != number]
        complete = [entry for entry in twins if entry.status == "complete"]
        if complete:
            return complete[0]
        if not any(entry.alive and entry.keyed < mine.keyed for entry in twins):
            return None
        time.sleep(_PAUSE_S)


@contextmanager
def _told(ledger: Ledger, number: int, directory: Path) -> Iterator[None]:
    """Tell the ledger how a job ends that doesn't end well; a job raises errors, it doesn't end the process."""
    try:
        yield
    except KeyboardInterrupt:
        ledger.append(number, "interrupted", reason="interrupted by a signal")
        raise
    except SystemExit as error:
        ledger.append(number, "failed", reason=said_of(error))
        raise TrainingError(said_of(error)) from error
    except Exception as error:
        if isinstance(error, RunDirError):
            with suppress(OSError):
                directory.rmdir()
        sys.stderr.write(f"error: {error}\n" if isinstance(error, UserError) else traceback.format_exc())
        ledger.append(number, "failed", reason=said_of(error))
        raise
