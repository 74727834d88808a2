"""A run's log: `train.log` with times, and the same lines on the terminal without."""

from __future__ import annotations

import errno
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from hybrid_trainer.errors import UserError
from hybrid_trainer.runs.atomic import named_in_errors


def has_gone(error: BaseException | None) -> bool:
    """Whether a write failed since nobody is there to read it: a closed pipe, or a closed terminal."""
    return isinstance(error, BrokenPipeError) or (isinstance(error, OSError) and error.errno == errno.EIO)


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

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """A reader that has gone (`| head`, a closed terminal) is no error: the run goes on, its log is in the file."""
        if not has_gone(sys.exc_info()[1]):
            super().handleError(record)


class _File(logging.FileHandler):
    """A log that can't be written ends the run as any other file does; logging itself would only print a trace."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Raise what went wrong."""
        with named_in_errors(Path(self.baseFilename)):
            raise


@contextmanager
def logging_to(file: Path) -> Iterator[None]:
    """Send the package's log to a file and to the terminal while the block runs."""
    logger = logging.getLogger("hybrid_trainer")
    to_file = _File(file, encoding="utf-8")
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
        with suppress(OSError):  # the disk may be what failed
            to_file.handle(
                logger.makeRecord(
                    logger.name, logging.ERROR, __file__, 0, f"{type(error).__name__}: {error}", (), trace
                )
            )
        raise
    finally:
        for handler in (to_file, console):
            logger.removeHandler(handler)
            with suppress(OSError):  # of lines that were refused before
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
