"""The keys that `tune-engine` measures, and which values of each. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def thread_counts(available: int) -> tuple[int, ...]:
    """1, 2, 4 ... and all cores."""
    powers = [1 << power for power in range(available.bit_length())]
    return tuple(dict.fromkeys([*powers, available]))


@dataclass(frozen=True)
class Axis:
    """One key to measure.

    Attributes:
        key: its path. values: from the number of cores: the default first, then what else is tried, the modest before
            the costly. only: the one device type on which the key means anything; None: on any.
        opt_in: the values change what is learned, not just its last bits: proposed, and taken where the user says so.
    """

    key: str
    values: Callable[[int], tuple[Any, ...]]
    only: str | None = None
    opt_in: bool = False


# A further key is one more entry: its schema default must be the first value.
AXES: tuple[Axis, ...] = (
    Axis("training.threads", thread_counts),
    # On a CPU `auto` is fp32; on a GPU `auto` knows by itself.
    Axis("training.precision", lambda cores: ("auto", "bf16"), only="cpu", opt_in=True),
)
