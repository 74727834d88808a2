"""Errors that are the user's to mend: shown as plain lines without a traceback."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can mend; its text is complete, and nothing else is shown.

    `exit_status` is what the process ends with: 2 for wrong input, 1 for a run that went wrong.
    """

    exit_status = 2


class ConfigError(UserError):
    """A key or a value of the config is wrong; the text names the key and what would be right."""


class LeakError(ConfigError):
    """Something that was asked for reads what it must not read; the text names it and the row where it shows."""


class TableError(UserError):
    """A table is wrong; the text names file, row and column and what would be right."""


class RunDirError(UserError):
    """A run directory cannot be used for what was asked."""


class BundleError(UserError):
    """A saved model is incomplete, altered, or doesn't fit the data it is given."""


class TrainingError(UserError):
    """Training cannot go on; the text names the task and the epoch."""

    exit_status = 1


class ProcessGoneError(TrainingError):
    """One of the processes that train together has ended; no fault of this one's."""


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` with the closest known name, or the known names when none is close."""
    names = list(known)
    start, _, last = given.rpartition("/")
    longer = [name for name in names if start and name.startswith(f"{start}/") and last in re.split("[/_]", name)]
    if len(longer) == 1:  # valid/signal/f1, where it is called macro_f1
        return f"; did you mean '{longer[0]}'?"
    close = difflib.get_close_matches(given, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(names)}" if names else ""
