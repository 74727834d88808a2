"""Names that people write: a key or a metric in full, the end of a key that no other key has, or `fold`."""

from __future__ import annotations

import os
from collections.abc import Collection

from hybrid_trainer.errors import RunDirError, did_you_mean

_SHORT = {"fold": "data.split.fold"}


def find(name: str, known: Collection[str]) -> str | None:
    """The known name that is meant; None where there is none, or more than one."""
    if name in known:
        return name
    if _SHORT.get(name) in known:
        return _SHORT[name]
    ends = [one for one in known if one.endswith(f".{name}")]
    return ends[0] if len(ends) == 1 else None


def resolve(option: str, name: str, known: Collection[str]) -> str:
    """The known name that is meant.

    Raises:
        RunDirError: no run has it, or several keys end like that.
    """
    found = find(name, known)
    if found is not None:
        return found
    ends = [one for one in known if one.endswith(f".{name}")]
    if ends:
        raise RunDirError(f"{option}: '{name}' may be any of {', '.join(ends)}; write it in full")
    raise RunDirError(f"{option}: no run has '{name}'{did_you_mean(name, known)}")


def common_folder(paths: list[str]) -> str:
    """The deepest folder that holds all of several runs; none where some paths are absolute and some are not."""
    try:
        root = os.path.commonpath(paths)
    except ValueError:
        return ""
    return os.path.dirname(root) if root in paths else root  # noqa: PTH120  # text in, text out
