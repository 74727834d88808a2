"""Memory: how much of it there is, and what a user can do when it was not enough. Imports no torch."""

from __future__ import annotations

import errno
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from hybrid_trainer.errors import TrainingError

_CGROUPS = Path("/sys/fs/cgroup")
_V2 = ("memory.max", "memory.current", "inactive_file")
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_BATCH = (
    "lower training.batch_size and raise training.accumulate by as much (the updates stay the same), or lower "
    "model.time_window; `batch-size-find` tries what fits"
)
_TABLE = "data.cache=always keeps table and features in files"


@contextmanager
def told() -> Iterator[None]:
    """Where the block runs out of memory, raise TrainingError with one line that says what to lower.

    What the failed frames held is let go: the next run of a sweep needs that memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        said = explained(error)
        if said is None:
            raise
        traceback.clear_frames(error.__traceback__)
        raise said from None


def explained(error: BaseException) -> TrainingError | None:
    """What an error means, if it is one of memory: torch's of a GPU or a CPU, numpy's, the system's; else None."""
    text = str(error)
    if type(error).__name__ == "OutOfMemoryError" or re.search(r"CUDA.*out of memory|STATUS_ALLOC_FAILED", text):
        return TrainingError(f"out of memory on the GPU{_asked(text)}: {_BATCH}")
    if isinstance(error, RuntimeError) and re.search(r"DefaultCPUAllocator|std::bad_alloc", text):
        return TrainingError(f"out of memory{_asked(text)}: {_BATCH}; where the table is too large, {_TABLE}")
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return TrainingError(f"out of memory{_asked(text)}: {_TABLE}; else {_BATCH}")
    return None


def _asked(text: str) -> str:
    size = re.search(r"(?:[Tt]ried to|Unable to) allocate ([\d.]+) ?(\w+)", text)
    if not size:
        return ""
    amount = f"{int(size[1]) / 2**30:.2f} GiB" if size[2] == "bytes" else f"{size[1]} {size[2]}"
    return f" ({amount} more were asked for)"


def available_bytes(cgroups: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """The memory that this process may still take: the machine's, or what its control groups leave it (cgroups(7))."""
    free = int(psutil.virtual_memory().available)
    try:
        lines = own.read_text(encoding="ascii").splitlines()
    except OSError:
        return free
    for line in lines:
        _, controllers, inside = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        names, root = (_V1, cgroups / "memory") if controllers else (_V2, cgroups)
        folder = root / inside.lstrip("/")
        for group in [folder, *folder.parents]:
            if not group.is_relative_to(root):
                break
            left = _left_in(group, *names)
            free = free if left is None else min(free, left)
    return max(free, 0)


def _left_in(group: Path, limit_file: str, used_file: str, droppable: str) -> int | None:
    """Bytes below a control group's limit; pages of files that can be dropped don't count. None: it has no limit."""
    try:
        limit = (group / limit_file).read_text(encoding="ascii").strip()
        used = int((group / used_file).read_text(encoding="ascii"))
        stat = (group / "memory.stat").read_text(encoding="ascii")
    except OSError:
        return None
    if limit == "max":
        return None
    pages = re.search(rf"^{droppable} (\d+)$", stat, re.M)
    return int(limit) - used + (int(pages[1]) if pages else 0)
