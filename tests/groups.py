"""Processes that belong together, with the environment that torchrun gives each."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable
from pathlib import Path

from tests.warm import Child


def environments(size: int) -> list[dict[str, str]]:
    """Of each process, the first one's first; they meet at a port that is free now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [os.environ | given | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(size)]


def in_two_processes(folder: Path, work: Callable[..., None], *arguments: str) -> None:
    """Call a function of a test module in both of two processes; a warning in either is an error."""
    started = [Child(folder, _strictly, work, *arguments, env=given, merged=True) for given in environments(2)]
    said = [child.communicate(timeout=200)[0] for child in started]
    assert [child.returncode for child in started] == [0, 0], said


def _strictly(work: Callable[..., None], *arguments: str) -> None:
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", ".*torch.jit.*", DeprecationWarning)  # as in setup.cfg
    work(*arguments)
