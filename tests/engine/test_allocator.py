"""Memory that steps free stays with the process."""

from __future__ import annotations

import ctypes
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hybrid_trainer.engine import allocator
from hybrid_trainer.engine.allocator import memory_kept

ROOT = Path(__file__).parents[2]
SIZE = 48 << 20  # more than glibc ever keeps by itself
glibc = pytest.mark.skipif(allocator._glibc() is None, reason="only glibc can be told")


@pytest.fixture(autouse=True)
def no_settings_of_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)


def faults_of_another_block() -> int:
    """Pages that the kernel hands out for a block which is as large as one just freed."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = (
        ctypes.c_void_p,
        [ctypes.c_size_t],
        [ctypes.c_void_p],
    )
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        block = libc.malloc(SIZE)
        ctypes.memset(block, 1, SIZE)
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def kept_and_given_back() -> None:
    with memory_kept() as kept:
        assert kept
        assert faults_of_another_block() < 100
        held = resident()
    assert held - resident() > SIZE // 2
    assert faults_of_another_block() > 100  # as glibc does by itself


def given_back_after_an_error() -> None:
    with pytest.raises(ValueError, match="inside"), memory_kept():
        raise ValueError("inside")
    assert faults_of_another_block() > 100


@glibc
@pytest.mark.parametrize("check", [kept_and_given_back, given_back_after_an_error])
def test_a_freed_block_stays_while_a_fit_lasts_and_no_longer(check: Callable[[], None]) -> None:
    code = f"from tests.engine import test_allocator as t; t.{check.__name__}()"
    # In a process of its own: free blocks that other tests have left behind would be taken first.
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_the_users_own_settings_are_left_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    with memory_kept() as kept:
        assert not kept


def test_without_glibc_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "_glibc", lambda: None)
    with memory_kept() as kept:
        assert not kept


def test_an_older_glibc_is_told_the_largest_threshold_that_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Before235:
        """As its malloc.c has it: a mapping threshold above 32 MiB is refused with 0."""

        def __init__(self) -> None:
            self.told: list[tuple[int, int]] = []

        def mallopt(self, name: int, value: int) -> int:
            self.told.append((name, value))
            return int(name != allocator._MMAP_THRESHOLD or value <= 32 << 20)

        def malloc_trim(self, pad: int) -> int:
            return 1

    libc = Before235()
    monkeypatch.setattr(allocator, "_glibc", lambda: libc)
    with memory_kept() as kept:
        assert kept
        assert libc.told == [(-3, 1 << 30), (-3, 32 << 20), (-1, 1 << 30)]
