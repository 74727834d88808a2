"""Where a run came from: commit, versions, machine, command line."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hybrid_trainer.version import __version__

_PACKAGES = ("torch", "numpy", "scikit-learn", "polars", "hydra-core", "omegaconf")


def provenance() -> dict[str, Any]:
    """What a run record says of its origin; imports none of the packages that it names."""
    return {
        "hybrid_trainer": __version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "cpu_count": os.cpu_count(),
        "command": sys.argv,
        "folder": str(Path.cwd()),
        "git": git_state(Path.cwd()),
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the folder's checkout and whether tracked files differ from it; None outside one."""
    if shutil.which("git") is None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}


def process_mark() -> dict[str, Any]:
    """What tells this process from a later one with the same number, whatever the clock does meanwhile."""
    return {"host": socket.gethostname(), "boot": _boot(), "pid": os.getpid(), "started": _start_ticks(os.getpid())}


def is_alive(mark: dict[str, Any]) -> bool | None:
    """Whether a marked process still runs; None where that can't be told from this host."""
    if mark.get("host") != socket.gethostname():
        return None
    try:
        return bool(mark["boot"] == _boot() and mark["started"] == _start_ticks(int(mark["pid"])))
    except (KeyError, TypeError, ValueError):
        return False


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _start_ticks(pid: int) -> int | None:
    """When a process began, in clock ticks since boot (proc(5), field 22 of stat); None where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])  # the name, in parentheses, may hold spaces


def _git(folder: Path, *words: str) -> str | None:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
