"""Where a run came from: commit, versions, machine, command line. Imports no torch.

What is known only later (data, device, threads, GPUs) is added by `RunDirectory.note`.
"""

from __future__ import annotations

import os
import platform
import socket
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hybrid_trainer.config.machine_profile import cpu_model
from hybrid_trainer.runs.checkout import git_state, holds, top_of
from hybrid_trainer.version import __version__

_PACKAGES = (  # whatever a number goes through on its way, and what reads the config
    "torch", "numpy", "scipy", "scikit-learn", "polars", "safetensors", "skops", "hydra-core", "omegaconf",
)  # fmt: skip
_PACKAGE = Path(__file__).parents[1]


def provenance() -> dict[str, Any]:
    """What a run record says of its origin; imports none of the packages that it names."""
    return {
        "hybrid_trainer": __version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "cpu": cpu_model(),
        "cpu_count": os.cpu_count(),
        "command": sys.argv,
        "folder": str(Path.cwd()),
        "git": _checkout(),
    }


def _checkout() -> dict[str, Any] | None:
    """The checkout that one works in; elsewhere the one that this package is in, where it is not an installed copy."""
    state = git_state(Path.cwd())
    if state is None and (top := top_of(_PACKAGE)) and holds(top, _PACKAGE / "__init__.py"):
        state = git_state(_PACKAGE)
    return state


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
