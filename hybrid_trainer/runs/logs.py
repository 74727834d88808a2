"""A run's log: `train.log` with times, and the same lines on the terminal without."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from hybrid_trainer.errors import UserError


class _Console(logging.StreamHandler[TextIO]):
    """Looks up sys.stdout at each line, so that a live progress bar can put lines above itself."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stdout

    @stream.setter
    def stream(self, value: Any) -> None:
        """Keep following sys.stdout."""


@contextmanager
def logging_to(file: Path) -> Iterator[None]:
    """Send the package's log to a file and to the terminal while the block runs."""
    logger = logging.getLogger("hybrid_trainer")
    to_file = logging.FileHandler(file, encoding="utf-8")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    console = _Console()
    console.setFormatter(logging.Formatter("%(message)s"))
    former = logger.level
    logger.setLevel(logging.INFO)
    for handler in (to_file, console):
        logger.addHandler(handler)
    try:
        yield
    except BaseException as error:
        # Only to the file: whoever catches the error says on the terminal what a user needs.
        trace = None if isinstance(error, UserError) else (type(error), error, error.__traceback__)
        to_file.handle(
            logger.makeRecord(logger.name, logging.ERROR, __file__, 0, f"{type(error).__name__}: {error}", (), trace)
        )
        raise
    finally:
        for handler in (to_file, console):
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(former)


@contextmanager
def quiet() -> Iterator[None]:
    """Nobody is told what a run would log while its parts are made again and again."""
    logger, silent = logging.getLogger("hybrid_trainer"), logging.NullHandler()
    logger.addHandler(silent)
    try:
        yield
    finally:
        logger.removeHandler(silent)
