"""Processes that begin with everything imported, which is most of what a short command takes.

They are forked from one that has done nothing but import. What a cold start alone can show is shown by cold ones: the
first command of the README, torchrun (test_elastic.py), an installed wheel (test_plugins.py), what `python=` starts.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.warm_imports"])


class Child:
    """A function's call in a process of its own, which looks like a Popen with pipes.

    Args:
        folder: where it works. work: the function, by name importable; what it returns is the exit status, None is 0.
        env: all of its environment; that of the tests where it is None. merged: whether stderr goes where stdout goes.
    """

    def __init__(
        self,
        folder: Path,
        work: Callable[..., int | None],
        *arguments: object,
        env: Mapping[str, str] | None = None,
        merged: bool = False,
    ) -> None:
        self._files = []
        for _ in range(1 if merged else 2):
            handle, name = tempfile.mkstemp()
            os.close(handle)
            self._files.append(Path(name))
        given = dict(os.environ if env is None else env)
        self._process = CONTEXT.Process(
            target=_carry_out, args=(folder, [str(file) for file in self._files], given, work, arguments)
        )
        begin(self._process)

    @property
    def returncode(self) -> int | None:
        """As Popen's."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """As Popen's."""
        return self.returncode

    def communicate(self, timeout: float = 300) -> tuple[str, str]:
        """Wait for the end; what it has said on stdout and on stderr."""
        self._process.join(timeout)
        if self._process.is_alive():
            self.kill()
            self._process.join()
            raise TimeoutError(f"{timeout} s are over: {self._said()}")
        return self._said()

    def send_signal(self, number: int) -> None:
        """As Popen's."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """As Popen's."""
        self.send_signal(signal.SIGKILL)

    def _said(self) -> tuple[str, str]:
        said = [file.read_text() for file in self._files]
        for file in self._files:
            file.unlink()
        return said[0], said[1] if len(said) > 1 else ""


def begin(process: Any) -> None:
    """Start a process of CONTEXT; the one that all are forked from must have no threads."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            patch.setenv(name, "1")
        process.start()


def command(folder: Path, *arguments: str, env: Mapping[str, str] | None = None, merged: bool = False) -> Child:
    """Start `python -m hybrid_trainer ...` in a folder."""
    return Child(folder, _main, *arguments, env=env, merged=merged)


def completed(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """The same, carried out to its end."""
    child = command(folder, *arguments, env=env)
    said, error = child.communicate(timeout)
    assert child.returncode is not None
    return subprocess.CompletedProcess(list(arguments), child.returncode, said, error)


def _main(*arguments: str) -> None:
    from hybrid_trainer import __main__ as program

    sys.argv = [str(program.__file__), *arguments]
    program.main()


def _carry_out(
    folder: Path, outputs: list[str], env: dict[str, str], work: Callable[..., int | None], arguments: list[object]
) -> None:
    for stream, name in zip((1, 2), (outputs[0], outputs[-1]), strict=True):
        os.dup2(os.open(name, os.O_WRONLY | os.O_APPEND), stream)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    sys.path[:] = [str(folder), *(path for path in sys.path if path not in ("", str(ROOT)))]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background lets it be ignored,
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and nohup this one
    sys.exit(work(*arguments))
