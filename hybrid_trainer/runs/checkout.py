"""The git checkout that a run's code is in: its commit, and what was changed in it since. Imports no torch."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

_MOST_BYTES = 4 * 2**20
_MOST_NAMES = 100
# Whatever the user's settings: a patch that `git apply` takes, and no program of theirs started for it.
_DIFF = ("diff", "HEAD", "--binary", "--no-color", "--no-ext-diff", "--no-textconv", "--no-relative")
_PREFIXES = ("--src-prefix=a/", "--dst-prefix=b/")


def git_state(folder: Path) -> dict[str, Any] | None:
    """The folder's checkout; None outside one.

    Returns:
        commit, and folder, the checkout's top; dirty: whether tracked files differ from the commit, see `diff_of`;
        untracked: what else is there and not ignored, a folder as one name, the first 100.
    """
    top = top_of(folder)
    commit = None if top is None else _git(top, "rev-parse", "HEAD")
    if top is None or commit is None:
        return None
    others = _git(top, "ls-files", "-z", "--others", "--exclude-standard", "--directory", "--no-empty-directory") or ""
    names = [name for name in others.split("\0") if name]
    more = [f"... and {len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES else []
    return {
        "commit": commit,
        "folder": str(top),
        "dirty": bool(_git(top, "status", "--porcelain", "--untracked-files=no")),
        "untracked": names[:_MOST_NAMES] + more,
    }


def top_of(folder: Path) -> Path | None:
    """The topmost folder of a checkout; None outside one, or without git."""
    top = _git(folder, "rev-parse", "--show-toplevel") if shutil.which("git") else None
    return Path(top) if top else None


def holds(top: Path, file: Path) -> bool:
    """Whether a file is one of a checkout's own: not ignored there, as an installed package is."""
    return _git(top, "ls-files", "--error-unmatch", "--", str(file)) is not None


def diff_of(state: dict[str, Any]) -> tuple[bytes | None, str | None]:
    """All tracked files' changes since the commit, as a patch; or None, and why there is none.

    Args:
        state: of `git_state`.
    """
    if not state["dirty"]:
        return None, "none: no tracked file differs from the commit"
    command = ["git", *_DIFF, *_PREFIXES]
    with subprocess.Popen(
        command, cwd=state["folder"], env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        patch = process.stdout.read(_MOST_BYTES + 1)
        if len(patch) > _MOST_BYTES:
            process.kill()
            return None, f"none: it has more than {_MOST_BYTES // 2**20} MiB"
    if process.returncode:
        return None, f"none: git diff ended with status {process.returncode}"
    return patch, None


def _git(folder: Path, *words: str) -> str | None:
    done = subprocess.run(["git", *words], cwd=folder, env=_environment(), capture_output=True, check=False)
    return os.fsdecode(done.stdout).strip() if done.returncode == 0 else None


def _environment() -> dict[str, str]:
    return os.environ | {"GIT_OPTIONAL_LOCKS": "0"}  # only looks on: the user may commit at the same time
