"""A plug-in for tests, imported by jobs as plugins=[tests_trouble]: each job of a sweep is in another kind of trouble.

Where a file named `mended` lies in the current folder, none is.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from hybrid_trainer.extend import Callback, CallbackConfig, Trainer, callback, key

KINDS = {3: "raise", 7: "exit", 11: "kill", 13: "eat", 17: "hang"}


@dataclass(kw_only=True)
class TroubleConfig(CallbackConfig):
    """Which kind."""

    kind: str = key("none", "none, raise, exit, leave, kill, eat or hang; number: by the job's number")
    number: int = key(0, "the job's number")
    slow: float = key(0.0, "seconds that each epoch takes longer")


@callback("trouble", TroubleConfig)
class Trouble(Callback):
    """Makes its job fail behind the first epoch."""

    def __init__(self, folder: Path, *, kind: str, number: int, slow: float) -> None:
        self.kind = KINDS.get(number, "none") if kind == "number" else kind
        self.slow = slow

    def epoch_end(self, trainer: Trainer) -> None:
        """Do it."""
        time.sleep(self.slow)
        if not Path("mended").exists():
            getattr(self, f"_{self.kind}")()

    def _none(self) -> None:
        """Nothing."""

    def _raise(self) -> None:
        raise RuntimeError("this job raises")

    def _exit(self) -> None:
        sys.exit(3)

    def _leave(self) -> None:
        os._exit(0)

    def _kill(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _eat(self) -> None:
        eaten = []
        while True:
            eaten.append(b"x" * 2**26)
            time.sleep(0.02)

    def _hang(self) -> None:
        time.sleep(3600)
