"""What the Tab key offers beside Hydra's groups and keys: commands and flags. Imports nothing heavy."""

from __future__ import annotations

import os
from collections.abc import Iterable

_WITH_KEYS = ("batch-size-find", "check", "lr-find", "repro-check", "tune-engine")
FLAGS = ("--multirun", "--config", "--dry-run", "--cfg", "--help", "--version")


def is_query(arguments: list[str]) -> bool:
    """Whether the shell asks what could stand here: `--shell-completion query=bash`."""
    asks = any(argument in ("--shell-completion", "-sc") for argument in arguments)
    return asks and any(argument.startswith("query=") for argument in arguments)


def offers(commands: Iterable[str]) -> list[str] | None:
    """The commands or flags that fit the word being typed; None where only Hydra knows.

    The shell says what has been typed in COMP_LINE, and where the cursor is in COMP_POINT.
    """
    line = os.environ.get("COMP_LINE", "")
    line = line[: int(os.environ.get("COMP_POINT", len(line)))]
    before = line.split()
    word = "" if line.endswith(" ") or not before else before.pop()
    if word.startswith("-"):
        return [flag for flag in FLAGS if flag.startswith(word)]
    if len(before) > 1 and before[1] in _WITH_KEYS:
        rest = line.replace(f"{before[1]} ", "", 1)  # its arguments are those of a run: Hydra knows them
        os.environ |= {"COMP_LINE": rest, "COMP_POINT": str(len(rest))}
        return None
    if len(before) > 1 and before[1] in commands:
        return []  # a command's arguments are folders and files: the shell completes them itself
    fitting = [command for command in commands if command.startswith(word)]
    return fitting if len(before) == 1 and word and fitting else None


def words() -> list[str]:
    """The overrides that are typed already, the word at the cursor aside."""
    line = os.environ.get("COMP_LINE", "")
    typed = line[: int(os.environ.get("COMP_POINT", len(line)))].split(" ")[:-1]
    return [word for word in typed if "=" in word]
