"""Which GPUs a job gets: each GPU is divided into places, or several of them make one. Nobody asks CUDA here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

_ANSWER_S = 20.0


def visible_gpus() -> list[str]:
    """The GPUs that this process's children may use, as CUDA_VISIBLE_DEVICES names them."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip() not in ("", "-1")]
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        said = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=_ANSWER_S, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    return re.findall(r"^GPU (\d+):", said, flags=re.M)


class GpuPlaces:
    """Places for jobs on GPUs.

    Args:
        gpus: their names. per_job: how many each job gets; a part of one: 1 / per_job jobs share it; 0: none is given.
    """

    def __init__(self, gpus: list[str], per_job: float) -> None:
        self.free: list[str] = []
        self.given = per_job > 0
        if 0 < per_job < 1:
            shares = int(1 / per_job + 1e-9)
            self.free = [gpu for _ in range(shares) for gpu in gpus]  # first one on each, then a second one
        elif per_job >= 1:
            size = int(per_job)
            self.free = [",".join(gpus[first : first + size]) for first in range(0, len(gpus) - size + 1, size)]
        self.total = len(self.free)

    def take(self) -> str | None:
        """A place, as CUDA_VISIBLE_DEVICES says it; None: a job is to see what there is."""
        return self.free.pop(0) if self.given else None

    def give_back(self, place: str | None) -> None:
        """A job has ended."""
        if place is not None:
            self.free.append(place)

    @property
    def room(self) -> bool:
        """Whether a job may begin."""
        return not self.given or bool(self.free)
