"""A job of the local launcher, in its own process: forked, set apart from its siblings, and told when to stop."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from hydra._internal.callbacks import Callbacks
from hydra.core.utils import run_job
from hydra.types import HydraContext, RunMode
from omegaconf import open_dict

from hybrid_trainer.runs.ledger import Ledger
from hybrid_trainer.runs.provenance import process_mark
from hybrid_trainer.sweeps.folder import opened
from hybrid_trainer.sweeps.job import Job, said_of

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Stopped(KeyboardInterrupt):
    """The sweep has told this job to stop, or is gone."""


@dataclass(frozen=True)
class Surroundings:
    """What a job has from the process that orders it; the fork server may have begun in others.

    Attributes:
        folder: the current one. variables: the environment. gpus: what CUDA is to see; None: what this process sees.
    """

    folder: Path
    variables: dict[str, str]
    gpus: str | None


def carry_out(sweep: Path, number: int, words: list[str], around: Surroundings) -> None:
    """Run one job; whatever becomes of it stands in the ledger, and nothing is raised.

    Args:
        sweep: its folder. words: the job's overrides and what Hydra needs to know of it.
        around: what it has from there.
    """
    os.chdir(around.folder)  # as a process that had been started from there
    ledger = Ledger(sweep)
    try:
        _set_apart(sweep / "logs" / f"{number}.txt", around)
        ledger.append(number, "running", process=process_mark())
        if (parent := multiprocessing.parent_process()) is not None and not parent.is_alive():
            raise Stopped
        _composed_and_run(sweep, number, words)
    except KeyboardInterrupt:
        _unless_told(ledger, number, "interrupted", "interrupted by a signal")
    except BaseException as error:
        traceback.print_exc()
        _unless_told(ledger, number, "failed", said_of(error))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _composed_and_run(folder: Path, number: int, words: list[str]) -> None:
    sweep = opened(folder)
    with sweep.composing() as hydra:
        mine = [word for word in sweep.overrides if word.startswith(("hydra.", "+hydra.", "++hydra.", "hydra/"))]
        tree = hydra.config_loader.load_configuration("config", [*mine, *words], RunMode.RUN)
        with open_dict(tree):
            tree.hydra.job.id = tree.hydra.job.num = number
        context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks())
        run_job(Job(folder), tree, "hydra.sweep.dir", "hydra.sweep.subdir", context)


def _set_apart(log: Path, around: Surroundings) -> None:
    """Give this process a session, an output and GPUs of its own; it stops when it is told to or the sweep is gone."""
    signal.signal(signal.SIGTERM, _stop)
    os.setsid()  # Ctrl-C and a closed terminal are for the sweep, which tells its jobs
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)
    for text in (sys.stdout, sys.stderr):
        text.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(around.variables)
    if around.gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = around.gpus  # CUDA has not begun here


def _unless_told(ledger: Ledger, number: int, status: str, reason: str) -> None:
    if ledger.refresh()[number].status in ("queued", "running"):
        ledger.append(number, status, reason=reason)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped
