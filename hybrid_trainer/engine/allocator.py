"""Memory that one step frees is kept for the next: otherwise each step gets every page from the kernel anew.

glibc gives large blocks back as soon as they are freed. A step's activations and the LSTM's workspace then come back as
fresh pages, zeroed one by one: 37,000 of them at the larger size of benchmarks/epoch.py, a third of the step's time.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h
_MIB = 1 << 20
_KEPT = 1024 * _MIB
# glibc's own thresholds rise to these while large blocks come and go; they cannot be asked for.
_USUAL_MMAP, _USUAL_TRIM = 32 * _MIB, 64 * _MIB
_USERS_OWN = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


@contextmanager
def memory_kept() -> Iterator[bool]:
    """While this is open, up to a GiB of freed memory stays with the process; at its end it is given back.

    Says whether it is so: only glibc can be told, and settings of the user's own (MALLOC_MMAP_THRESHOLD_,
    MALLOC_TRIM_THRESHOLD_, GLIBC_TUNABLES) are left alone. No result depends on it.
    """
    libc = _glibc()
    if libc is None or any(name in os.environ for name in _USERS_OWN):
        yield False
        return
    # glibc before 2.35 takes no threshold above half a heap's size, which is the usual one.
    kept = libc.mallopt(_MMAP_THRESHOLD, _KEPT) or libc.mallopt(_MMAP_THRESHOLD, _USUAL_MMAP)
    kept = libc.mallopt(_TRIM_THRESHOLD, _KEPT) and kept
    try:
        yield bool(kept)
    finally:
        libc.mallopt(_MMAP_THRESHOLD, _USUAL_MMAP)
        libc.mallopt(_TRIM_THRESHOLD, _USUAL_TRIM)
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None) if os.name == "posix" else None
    return libc if libc is not None and hasattr(libc, "gnu_get_libc_version") else None
